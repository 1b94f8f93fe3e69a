-- A caller comes by more than a token: by a certificate, or by another issuer's word. Each is a row of its own, revoked by itself.

alter table caller_tokens
    add column kind text not null default 'token'
        constraint caller_tokens_kind_is_known check (kind in ('token', 'spiffe', 'certificate', 'jwt')),
    add column identity text
        constraint caller_tokens_identity_is_short check (octet_length(identity) <= 4096),
    add constraint caller_tokens_identity_fits_kind check ((kind = 'token') = (identity is null)),
    drop constraint caller_tokens_hash_is_unique;

-- What was revoked may be given again, to the same caller or to another one.
create unique index caller_tokens_hash_is_unique on caller_tokens (token_hash) where revoked_at is null;

comment on table caller_tokens is 'Credentials of callers, of all kinds. The id is the credential id of the log.';
comment on column caller_tokens.identity is 'Who it is, as people read it; null for a token, of which nothing is kept but the hash.';
comment on column caller_tokens.token_hash is 'SHA-256: of the whole token text, which has 256 random bits; of any other kind, of a prefix that no token has, the kind and the identity.';
