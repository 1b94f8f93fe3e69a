-- What was to be signed, and what left. An intent is on record before a device is asked; a release before an answer.

create table intents (
    id uuid primary key,
    operation text not null constraint intents_operation_is_known check (operation in ('order', 'assertion')),
    caller_id uuid not null,
    subject_id uuid not null,
    key_id uuid not null,
    key_epoch bigint not null,
    request_digest bytea not null constraint intents_request_digest_is_sha256 check (octet_length(request_digest) = 32),
    idempotency_key text,
    digest bytea not null constraint intents_digest_is_32_bytes check (octet_length(digest) = 32),
    record jsonb not null,
    attempt int not null default 1,
    lease_until timestamptz not null,
    created_at timestamptz not null default now(),
    outcome text constraint intents_outcome_is_known check (outcome in ('released', 'refused', 'abandoned')),
    reason text,
    ended_at timestamptz,
    constraint intents_end_is_whole check ((outcome is null) = (ended_at is null))
);
comment on table intents is 'One row for each thing to be signed. No foreign keys: the rows it names were read in the same transaction, and locking them for each signature would make every caller wait for every other.';
comment on column intents.subject_id is 'The wallet or the client.';
comment on column intents.request_digest is 'SHA-256 over method, path and the canonical body of the request.';
comment on column intents.digest is 'What is signed: the EIP-712 digest, or SHA-256 of the JWS signing input.';
comment on column intents.record is 'The same for people: domain and struct of an order, claims of an assertion.';
comment on column intents.attempt is 'Who holds the intent: raised by whoever takes over after the lease, so that the first holder''s end no longer fits.';
comment on column intents.lease_until is 'Until then the replica that wrote the row works on it; afterwards any replica ends it.';
create index intents_by_digest on intents (digest);
create index intents_open on intents (lease_until) where outcome is null;

create table releases (
    intent_id uuid constraint releases_pkey primary key,
    order_hash bytea constraint releases_order_hash_is_32_bytes check (octet_length(order_hash) = 32),
    answer bytea not null,
    answer_is_sealed boolean not null,
    expires_at timestamptz,
    released_at timestamptz not null default now(),
    constraint releases_intent_exists foreign key (intent_id) references intents
);
comment on column releases.answer is 'The body that was answered, byte for byte; sealed with the sealing key where it is a credential.';
comment on column releases.expires_at is 'When what was signed stops being of use; an assertion is not answered again after that.';
create index releases_by_order_hash on releases (order_hash) where order_hash is not null;
create trigger releases_are_only_added before update or delete or truncate on releases
    for each statement execute function refuse_change();

create table idempotency_keys (
    caller_id uuid not null,
    key text not null constraint idempotency_keys_key_is_short check (char_length(key) between 1 and 255),
    request_digest bytea not null,
    intent_id uuid,
    answer bytea,
    expires_at timestamptz not null,
    constraint idempotency_keys_pkey primary key (caller_id, key)
);
comment on table idempotency_keys is 'One key, one request, one answer (P3).';
comment on column idempotency_keys.intent_id is 'The signature that the key stands for; moved only when an intent ended without a release.';
comment on column idempotency_keys.answer is 'The sealed answer of an administrative write, which has no intent.';
create index idempotency_keys_by_expiry on idempotency_keys (expires_at);

create table jtis (
    jti uuid constraint jtis_pkey primary key,
    intent_id uuid not null,
    client_id uuid not null,
    issued_at timestamptz not null,
    expires_at timestamptz not null
);
comment on table jtis is 'Every jti that may have left, once (P4).';
create trigger jtis_are_only_added before update or delete or truncate on jtis
    for each statement execute function refuse_change();

create table credential_nonces (
    wallet_id uuid not null constraint credential_nonces_wallet_exists references wallets,
    nonce numeric(20) not null constraint credential_nonces_nonce_is_64_bit check (nonce between 0 and 18446744073709551615),
    recorded_at timestamptz not null default now(),
    recorded_by uuid not null references callers,
    constraint credential_nonces_pkey primary key (wallet_id, nonce)
);
comment on table credential_nonces is 'CLOB nonces, on record before anything signed with them leaves (P4). One (wallet, nonce) makes one API key at the venue.';
create trigger credential_nonces_are_only_added before update or delete or truncate on credential_nonces
    for each statement execute function refuse_change();
