-- That a key has no open orders any more: seen at the venue, or said by people who answer for it.

create table drains (
    id uuid primary key,
    key_id uuid not null constraint drains_key_exists references keys,
    key_epoch bigint not null,
    chain_id bigint not null,
    wallet_id uuid not null constraint drains_wallet_exists references wallets,
    how text not null constraint drains_how_is_known check (how in ('venue', 'said')),
    began_at timestamptz not null,
    evidence jsonb not null,
    actor_id uuid not null constraint drains_caller_exists references callers,
    approval text not null,
    at timestamptz not null default now(),
    constraint drains_end_after_they_begin check (began_at <= at)
);
comment on column drains.how is 'venue: all orders were cancelled there, and then it listed none. said: people recorded why none is open.';
comment on column drains.began_at is 'Orders that were released before this are covered, unless the key became active again.';
create index drains_by_key on drains (key_id, chain_id);
create trigger drains_are_only_added before update or delete or truncate on drains
    for each statement execute function refuse_change();

create function require_quiet_key() returns trigger language plpgsql as $$
begin
    if not exists (
        select from keys k
        where k.id = new.key_id and k.epoch = new.key_epoch and k.state not in ('pre-activation', 'active')
    ) then
        raise exception 'key % may sign orders', new.key_id
            using errcode = 'integrity_constraint_violation', constraint = 'drains_are_of_quiet_keys';
    end if;
    return new;
end
$$;
create trigger drains_are_of_quiet_keys before insert on drains
    for each row execute function require_quiet_key();
