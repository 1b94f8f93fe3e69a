-- An order that counts as open exposure counts until it expires or is seen to be over.

create table closings (
    intent_id uuid constraint closings_pkey primary key,
    closed_at timestamptz not null default clock_timestamp(),
    how text not null constraint closings_how_is_known check (how in ('expired', 'filled', 'cancelled', 'drained'))
);
comment on table closings is 'Orders that count as open exposure no more, and why. No foreign key, for the reason that intents has none.';
comment on column closings.how is 'expired: its signed end is past; filled, cancelled: the venue said so when this service asked it; drained: the wallet''s drain is on record.';
create trigger closings_are_only_added before update or delete or truncate on closings
    for each statement execute function refuse_change();

create index intents_open on intents (subject_id, id) where open_counters is not null;

create function close_orders(p_intents uuid[], p_how text) returns bigint
language plpgsql set lock_timeout = '1s' as $$
#variable_conflict use_column
declare
    most constant bigint := 4611686018427387903;
    done uuid[];
begin
    with closed as (
        insert into closings (intent_id, how)
        select i.id, p_how from intents i join ends e on e.intent_id = i.id and e.outcome = 'released'
        where i.id = any(p_intents) and i.open_counters is not null
        order by i.id
        on conflict (intent_id) do nothing
        returning intent_id)
    select array_agg(intent_id) into done from closed;
    if done is null then
        return 0;
    end if;
    -- In the order in which groups lock them.
    perform from limit_counters
        where id in (select unnest(open_counters) from intents where id = any(done)) order by id for update;
    update limit_counters l set open = l.open - least(l.open, given.amount)
    from (select counter, least(sum(i.amount), most)::bigint as amount
          from intents i cross join unnest(i.open_counters) as counter
          where i.id = any(done) group by counter) given
    where l.id = given.counter;
    return cardinality(done);
end
$$;
comment on function close_orders is 'Gives back what these orders count as open for, each once; says how many there were.';
