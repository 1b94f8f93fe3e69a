-- People sign in with what they call with, and come back with a cookie: a session stands for that credential, on all
-- replicas, until it ends, idles or the credential does. The cookie's secret is kept nowhere, only its hash.

create table sessions (
    hash bytea not null,
    credential_id uuid not null,
    proof bytea not null,
    created_at timestamptz not null default now(),
    used_at timestamptz not null default now(),
    ends_at timestamptz not null,
    ended_at timestamptz,
    constraint sessions_pkey primary key (hash),
    constraint sessions_have_the_hash_of_a_secret check (octet_length(hash) = 32),
    constraint sessions_stand_for_a_credential foreign key (credential_id) references caller_tokens (id),
    constraint sessions_end_after_they_began check (ends_at > created_at)
);
create index sessions_by_credential on sessions (credential_id, created_at);
create index sessions_by_end on sessions (ends_at);

comment on table sessions is 'Who has signed in with a browser. Rows are removed some time after they are over.';
comment on column sessions.hash is 'SHA-256 of the secret in the cookie, under a prefix of its own.';
comment on column sessions.proof is 'Nothing, sealed to hash, credential and end: a row that somebody else wrote stands for nobody.';
comment on column sessions.used_at is 'When it was last used, as exact as a minute.';
