-- What signs for whom: wallets on the CLOB, clients at the Exchange API's authorization server.

create table wallets (
    id uuid primary key,
    name text not null constraint wallets_name_is_unique unique
        constraint wallets_name_is_plain check (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    key_id uuid not null constraint wallets_key_exists references keys,
    owner text not null,
    chain_id bigint not null constraint wallets_chain_is_known check (chain_id in (137, 80002)),
    signature_type smallint not null constraint wallets_signature_type_is_known check (signature_type between 0 and 3),
    funder bytea constraint wallets_funder_is_an_address check (octet_length(funder) = 20),
    session_key boolean not null default false,
    created_at timestamptz not null default now()
);
comment on column wallets.signature_type is '0 EOA, 1 POLY_PROXY, 2 POLY_GNOSIS_SAFE, 3 POLY_1271.';
comment on column wallets.funder is 'Who pays, 20 bytes. Null: the key''s own address.';
comment on column wallets.session_key is 'POLY_1271 only: the key signs for a wallet that was not derived from it.';

create table clients (
    id uuid primary key,
    name text not null constraint clients_name_is_unique unique
        constraint clients_name_is_plain check (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    key_id uuid not null constraint clients_key_exists references keys,
    owner text not null,
    environment text not null,
    client_id text not null,
    created_at timestamptz not null default now(),
    constraint clients_client_id_is_unique unique (environment, client_id)
);
comment on column clients.environment is 'An [oauth.environments.NAME] section; the key''s environment is the same.';
comment on column clients.client_id is 'What the authorization server calls the client: iss and sub of an assertion.';
