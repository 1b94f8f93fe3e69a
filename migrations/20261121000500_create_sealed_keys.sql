-- The sealed keystore keeps private keys in software, for deployments that accept it.
create table sealed_keys (
    key_id uuid not null,
    algorithm text not null,
    sealed bytea not null,
    public_key bytea not null,
    created_at timestamptz not null default now(),
    constraint sealed_keys_pkey primary key (key_id),
    constraint sealed_keys_algorithm_known check (algorithm in ('secp256k1', 'rsa2048', 'rsa3072', 'rsa4096'))
);

comment on table sealed_keys is
    'Private keys of the sealed software keystore. Worthless without the master key, which is in a file.';
comment on column sealed_keys.sealed is
    'nonce (12 bytes) || AES-256-GCM of the PKCS#8 DER || tag (16 bytes); associated data: key_id (16 bytes) || algorithm.';
comment on column sealed_keys.public_key is 'SubjectPublicKeyInfo, DER.';
