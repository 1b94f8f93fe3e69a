-- Who fetches a token, and which tokens still count. The tokens themselves stay in the memory of whoever fetched them.

create table token_slots (
    slot bytea constraint token_slots_pkey primary key
        constraint token_slots_slot_is_sha256 check (octet_length(slot) = 32),
    client_id uuid not null constraint token_slots_client_exists references clients,
    key_id uuid not null,
    key_epoch bigint not null,
    generation bigint not null default 0,
    forced_at timestamptz,
    lease_holder uuid,
    lease_until timestamptz,
    granted text[],
    granted_at timestamptz,
    touched_at timestamptz not null default now(),
    constraint token_slots_lease_is_whole check ((lease_holder is null) = (lease_until is null))
);
comment on table token_slots is 'One row for each place of the token cache, shared by all replicas. A lease and not a lock: no connection is held while the authorization server is asked, and the lease of a replica that died runs out.';
comment on column token_slots.slot is 'SHA-256 over environment, client, audience, scopes, key and key epoch.';
comment on column token_slots.generation is 'Raised when a caller reports a dead token; tokens of earlier generations count no more, on any replica.';
comment on column token_slots.lease_holder is 'The fetch that may ask the authorization server.';
comment on column token_slots.granted is 'The scopes of the last token that was asked for without naming any: what the application is granted.';
create index token_slots_by_client on token_slots (client_id);

create table token_fetches (
    id uuid constraint token_fetches_pkey primary key,
    slot bytea not null constraint token_fetches_slot_exists references token_slots on delete cascade,
    generation bigint not null,
    granted text[],
    fetched_at timestamptz not null default now(),
    expires_at timestamptz not null
);
comment on table token_fetches is 'Which place of the cache a token was fetched for, so that it can be reported by its id. Forgotten a day after the token expired.';
comment on column token_fetches.id is 'The intent of the assertion that was exchanged; callers see it as the token''s id.';
comment on column token_fetches.granted is 'The token''s scopes; null where nobody said.';
create index token_fetches_by_expiry on token_fetches (expires_at);
create index token_fetches_by_slot on token_fetches (slot);
