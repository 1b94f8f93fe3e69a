-- A device may wait by itself before it destroys a key, and give it back until then.

alter table destructions
    add column due_at timestamptz,
    add column was_disabled boolean not null default false,
    add constraint destructions_are_begun_before_they_are_due check (due_at is null or begun_at is not null);
comment on column destructions.begun_at is 'On record before the device is asked, so that a key that is gone is known to be gone on purpose. From then on there is no way back, unless the device itself waits.';
comment on column destructions.due_at is 'When the device destroys the key, where it waits by itself. Until it has, it is asked to give the key back when this is cancelled.';
comment on column destructions.was_disabled is 'Whether the device was told before not to use the key. Given back, it stays so.';

create or replace function keep_destruction() returns trigger language plpgsql as $$
begin
    if old.ended_at is not null or (old.begun_at is not null and (
        new.begun_at is distinct from old.begun_at
        or new.was_disabled <> old.was_disabled
        or (new.outcome = 'cancelled' and old.due_at is null)
    )) then
        raise exception 'the destruction of key % has begun or is over', old.key_id
            using errcode = 'integrity_constraint_violation', constraint = 'destructions_go_forward';
    end if;
    return new;
end
$$;
