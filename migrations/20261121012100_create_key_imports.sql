-- Private keys that are brought from outside: what was announced, and what the device waits for.

create table key_imports (
    key_id uuid not null constraint key_imports_key_exists references keys,
    announced bytea not null,
    opened_by uuid not null constraint key_imports_caller_exists references callers,
    opened_at timestamptz not null default now(),
    ends_at timestamptz not null,
    ticket bytea,
    busy_until timestamptz,
    ended_at timestamptz,
    constraint key_imports_pkey primary key (key_id),
    constraint key_imports_end_takes_the_ticket check (ended_at is null or ticket is null)
);
comment on table key_imports is 'One row for each key whose private half is brought. Such a key has no public key until it is there.';
comment on column key_imports.announced is 'SubjectPublicKeyInfo in DER: the only key that will be taken.';
comment on column key_imports.ends_at is 'Until then the offer stands. It can be begun again.';
comment on column key_imports.ticket is 'What the device wants to see again with the key. A secret in it is sealed by the device. Null: no offer stands.';
comment on column key_imports.busy_until is 'A replica is at the device; another waits, no longer than this.';
comment on column key_imports.ended_at is 'The key is in its device and on record.';
create index key_imports_offers on key_imports (ends_at) where ticket is not null;

create function require_announced_key() returns trigger language plpgsql as $$
begin
    if old.public_key is null and new.public_key is not null and new.origin = 'imported' and not exists (
        select from key_imports i where i.key_id = new.id and i.announced = new.public_key
    ) then
        raise exception 'key % is not the one that was announced', new.id
            using errcode = 'integrity_constraint_violation', constraint = 'keys_brought_as_announced';
    end if;
    return new;
end
$$;
create trigger keys_brought_as_announced before update on keys
    for each row execute function require_announced_key();

create function keep_announced_key() returns trigger language plpgsql as $$
begin
    if new.announced is distinct from old.announced or old.ended_at is not null then
        raise exception 'the import of key % is for the announced key, once', old.key_id
            using errcode = 'integrity_constraint_violation', constraint = 'key_imports_stay_as_announced';
    end if;
    return new;
end
$$;
create trigger key_imports_stay_as_announced before update on key_imports
    for each row execute function keep_announced_key();

alter table sealed_keys add column imported boolean not null default false;
comment on column sealed_keys.imported is 'The key existed before it was kept here.';
