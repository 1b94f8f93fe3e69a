-- How keys end: reminders before their cryptoperiod does, changes of it, and destruction after a waiting period.

alter table key_transitions alter column actor_id drop not null;
comment on column key_transitions.actor_id is 'Null: the service itself, at the end of a cryptoperiod or of a waiting period.';

create table destructions (
    key_id uuid not null,
    epoch bigint not null,
    requested_by uuid not null constraint destructions_caller_exists references callers,
    requested_at timestamptz not null default now(),
    reason text not null,
    approval text not null,
    accepted text[] not null,
    not_before timestamptz not null,
    begun_at timestamptz,
    ended_at timestamptz,
    outcome text constraint destructions_outcome_is_known check (outcome in ('destroyed', 'cancelled')),
    trouble text,
    certificate jsonb,
    constraint destructions_pkey primary key (key_id, epoch),
    constraint destructions_step_exists foreign key (key_id, epoch) references key_transitions,
    constraint destructions_end_is_whole check ((outcome is null) = (ended_at is null)),
    constraint destructions_are_certified check ((outcome = 'destroyed') = (certificate is not null) or outcome is null),
    constraint destructions_begin_before_they_end check (outcome <> 'destroyed' or begun_at is not null)
);
comment on table destructions is 'One row for each time that a key went to destroy-pending.';
comment on column destructions.epoch is 'The key''s epoch after that step.';
comment on column destructions.accepted is 'What stood in the way and was accepted, with the reason, when it was requested.';
comment on column destructions.not_before is 'Until then it can be cancelled, and the device is not asked.';
comment on column destructions.begun_at is 'On record before the device is asked, so that a key that is gone is known to be gone on purpose. From then on there is no way back.';
comment on column destructions.trouble is 'Why the last attempt did not come to its end.';
create index destructions_open on destructions (not_before) where ended_at is null;

create function require_destruction() returns trigger language plpgsql as $$
begin
    if new.to_state = 'destroyed' and not exists (
        select from destructions d
        where d.key_id = new.key_id and d.epoch = new.epoch - 1 and d.begun_at is not null and d.ended_at is null
    ) then
        raise exception 'key % is not being destroyed', new.key_id
            using errcode = 'integrity_constraint_violation', constraint = 'key_transitions_destroyed_in_the_device';
    end if;
    return new;
end
$$;
create trigger key_transitions_destroyed_in_the_device before insert on key_transitions
    for each row execute function require_destruction();

create function keep_destruction() returns trigger language plpgsql as $$
begin
    if old.ended_at is not null or (old.begun_at is not null and (
        new.begun_at is distinct from old.begun_at or new.outcome = 'cancelled'
    )) then
        raise exception 'the destruction of key % has begun or is over', old.key_id
            using errcode = 'integrity_constraint_violation', constraint = 'destructions_go_forward';
    end if;
    return new;
end
$$;
create trigger destructions_go_forward before update on destructions
    for each row execute function keep_destruction();

create table key_cryptoperiods (
    key_id uuid not null constraint key_cryptoperiods_key_exists references keys,
    was timestamptz not null,
    ends_at timestamptz not null,
    actor_id uuid not null constraint key_cryptoperiods_caller_exists references callers,
    approval text not null,
    reason text not null,
    at timestamptz not null default now(),
    constraint key_cryptoperiods_pkey primary key (key_id, at),
    constraint key_cryptoperiods_change_something check (was <> ends_at)
);
comment on table key_cryptoperiods is 'Each change of a key''s cryptoperiod.';
create trigger key_cryptoperiods_are_only_added before update or delete or truncate on key_cryptoperiods
    for each statement execute function refuse_change();

create function require_cryptoperiod() returns trigger language plpgsql as $$
begin
    if new.cryptoperiod_ends_at is distinct from old.cryptoperiod_ends_at then
        if not exists (
            select from key_cryptoperiods c
            where c.key_id = new.id and c.was = old.cryptoperiod_ends_at and c.ends_at = new.cryptoperiod_ends_at
              and c.at = now()
        ) then
            raise exception 'the cryptoperiod of key % cannot change without a record', new.id
                using errcode = 'integrity_constraint_violation', constraint = 'keys_cryptoperiod_follows_a_record';
        end if;
        -- A day more, for the clocks of two computers.
        if new.cryptoperiod_ends_at > old.created_at
            + (case old.purpose when 'wallet' then interval '1096 days' else interval '731 days' end) then
            raise exception 'the cryptoperiod of key % would be too long', new.id
                using errcode = 'integrity_constraint_violation', constraint = 'keys_cryptoperiod_has_a_maximum';
        end if;
    end if;
    return new;
end
$$;
create trigger keys_cryptoperiod_follows_a_record before update on keys
    for each row execute function require_cryptoperiod();

create table key_alarms (
    key_id uuid not null constraint key_alarms_key_exists references keys,
    ends_at timestamptz not null,
    hours_left int not null,
    raised_at timestamptz not null default now(),
    constraint key_alarms_pkey primary key (key_id, ends_at, hours_left)
);
comment on table key_alarms is 'Reminders of the end of a cryptoperiod, each raised once, by whichever replica was first.';
comment on column key_alarms.ends_at is 'The end as it was then: a changed period has reminders of its own.';
comment on column key_alarms.hours_left is 'The threshold: so many hours before the end; 0 at the end, -1 an hour after it, and so on.';
create trigger key_alarms_are_only_added before update or delete or truncate on key_alarms
    for each statement execute function refuse_change();
