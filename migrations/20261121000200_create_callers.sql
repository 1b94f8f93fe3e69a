-- Who may call. A token is shown once; only its hash is kept.

create table callers (
    id uuid primary key,
    name text not null constraint callers_name_is_unique unique
        constraint callers_name_is_plain check (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    owner text not null,
    roles text[] not null,
    created_at timestamptz not null default now(),
    revoked_at timestamptz
);
comment on column callers.owner is 'The desk or team; the policy compares it with the owner of a wallet or client.';
comment on column callers.roles is 'Names that the policy gives a meaning: operator, trader, auditor, …';

create table caller_tokens (
    id uuid primary key,
    caller_id uuid not null constraint caller_tokens_caller_exists references callers,
    token_hash bytea not null constraint caller_tokens_hash_is_unique unique
        constraint caller_tokens_hash_is_sha256 check (octet_length(token_hash) = 32),
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    revoked_at timestamptz
);
comment on column caller_tokens.token_hash is 'SHA-256 of the whole token text. The token has 256 random bits, so a slow hash would add nothing.';
create index caller_tokens_by_caller on caller_tokens (caller_id);
