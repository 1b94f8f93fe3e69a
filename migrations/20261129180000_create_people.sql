-- Approvals are given by people, whoever's token a request came with: callers belong to people, and a person signs with keys of their own.

create table people (
    id uuid primary key,
    name text not null constraint people_name_is_unique unique
        constraint people_name_is_plain check (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    roles text[] not null,
    created_at timestamptz not null default now(),
    ended_at timestamptz
);
comment on table people is 'Whoever approves, and whoever asks for what has to be approved.';
comment on column people.roles is 'What quorums count: security-officer, …. Nothing else looks at them; what a caller may ask for is for callers.roles.';
comment on column people.ended_at is 'From then on nothing that they signed counts any more.';

create table approver_keys (
    id uuid primary key,
    person_id uuid not null constraint approver_keys_person_exists references people,
    kind text not null constraint approver_keys_kind_is_known check (kind in ('ssh', 'passkey')),
    name text not null,
    public_key bytea not null constraint approver_keys_public_key_is_unique unique,
    credential_id bytea constraint approver_keys_credential_is_unique unique,
    created_at timestamptz not null default now(),
    revoked_at timestamptz,
    constraint approver_keys_passkey_has_credential check ((kind = 'passkey') = (credential_id is not null))
);
comment on column approver_keys.public_key is 'kind ssh: the key as the SSH protocol writes it (RFC 4253, section 6.6). kind passkey: SubjectPublicKeyInfo, DER.';
comment on column approver_keys.credential_id is 'What the browser calls the passkey.';
create index approver_keys_by_person on approver_keys (person_id);

alter table callers add column person_id uuid constraint callers_person_exists references people;
comment on column callers.person_id is 'Whose it is; null for a program. Set once: another person would be another approver.';
create index callers_by_person on callers (person_id);

create function people_only_end() returns trigger language plpgsql as $$
begin
    if new.id is distinct from old.id or new.name is distinct from old.name
        or new.created_at is distinct from old.created_at
        or (old.ended_at is not null and new is distinct from old) then
        raise exception 'a person changes roles and ends, nothing else';
    end if;
    return new;
end $$;
create trigger people_only_end before update on people for each row execute function people_only_end();

create function approver_keys_are_only_revoked() returns trigger language plpgsql as $$
begin
    if old.revoked_at is not null
        or (new.id, new.person_id, new.kind, new.name, new.public_key, new.created_at)
           is distinct from (old.id, old.person_id, old.kind, old.name, old.public_key, old.created_at)
        or new.credential_id is distinct from old.credential_id then
        raise exception 'an approver''s key is revoked once, nothing else';
    end if;
    return new;
end $$;
create trigger approver_keys_are_only_revoked before update on approver_keys
    for each row execute function approver_keys_are_only_revoked();

create function callers_keep_their_person() returns trigger language plpgsql as $$
begin
    if old.person_id is not null and new.person_id is distinct from old.person_id then
        raise exception 'a caller belongs to one person for ever';
    end if;
    return new;
end $$;
create trigger callers_keep_their_person before update of person_id on callers
    for each row execute function callers_keep_their_person();
