-- At the CLOB an API key belongs to an address, whatever wallets that address signs for; nonces count per address too.

create table accounts (
    id uuid primary key,
    chain_id bigint not null constraint accounts_chain_is_known check (chain_id in (137, 80002)),
    address bytea not null constraint accounts_address_is_20_bytes check (octet_length(address) = 20),
    created_at timestamptz not null default now(),
    constraint accounts_address_is_unique unique (chain_id, address)
);
comment on table accounts is 'Addresses that log in to the CLOB. The row is locked while it is decided what may be signed for one.';

-- The table of the same name was made for wallets and never written to.
drop table credential_nonces;

create table credential_nonces (
    account_id uuid not null constraint credential_nonces_account_exists references accounts,
    nonce numeric(20) not null constraint credential_nonces_nonce_is_64_bit check (nonce between 0 and 18446744073709551615),
    origin text not null constraint credential_nonces_origin_is_known check (origin in ('signed', 'declared', 'searched')),
    recorded_at timestamptz not null default now(),
    recorded_by uuid not null constraint credential_nonces_caller_exists references callers,
    constraint credential_nonces_pkey primary key (account_id, nonce)
);
comment on table credential_nonces is 'CLOB nonces, on record before anything signed with them leaves (P4). One (account, nonce) makes one API key at the venue.';
comment on column credential_nonces.origin is 'signed: first used here. declared: an operator says that it was used elsewhere. searched: tried by a search.';
create trigger credential_nonces_are_only_added before update or delete or truncate on credential_nonces
    for each statement execute function refuse_change();

create table logins (
    intent_id uuid constraint logins_pkey primary key,
    account_id uuid not null,
    nonce numeric(20) not null,
    wallet_id uuid not null,
    caller_id uuid not null,
    purpose text not null constraint logins_purpose_is_known check (purpose in ('create', 'derive', 'header')),
    signed_for bigint not null,
    at timestamptz not null default now(),
    outcome text constraint logins_outcome_is_known check (outcome in ('made', 'refused', 'nothing')),
    settled_at timestamptz,
    constraint logins_nonce_is_on_record foreign key (account_id, nonce) references credential_nonces,
    constraint logins_settlement_is_whole check ((outcome is null) = (settled_at is null))
);
comment on table logins is 'Every ClobAuth message that was to be signed. One row for each intent of that kind.';
comment on column logins.purpose is 'create and derive: sent by the service itself. header: handed to a caller, who can spend it either way.';
comment on column logins.signed_for is 'The timestamp in the message, unix seconds. The venue takes it within a window around it.';
comment on column logins.outcome is 'What it did. made: there is an API key for the nonce. refused: the venue refused this very message. nothing: its window is over and the nonce made no key. Null: not known.';
create index logins_by_nonce on logins (account_id, nonce);
create index logins_unsettled on logins (account_id) where outcome is null;

create function settle_login_once() returns trigger language plpgsql as $$
begin
    if old.outcome is not null then
        raise exception 'login % is settled', old.intent_id
            using errcode = 'integrity_constraint_violation', constraint = 'logins_are_settled_once';
    end if;
    return new;
end
$$;
create trigger logins_are_settled_once before update on logins
    for each row execute function settle_login_once();

create table credentials (
    id uuid primary key,
    account_id uuid not null constraint credentials_account_exists references accounts,
    kind text not null constraint credentials_kind_is_known check (kind in ('trading', 'builder')),
    api_key text not null constraint credentials_api_key_is_short check (char_length(api_key) between 1 and 100),
    nonce numeric(20),
    version int not null default 1,
    sealed_in text not null,
    sealed_secret bytea not null,
    sealed_passphrase bytea not null,
    origin text not null constraint credentials_origin_is_known check (origin in ('created', 'derived', 'given')),
    state text not null constraint credentials_state_is_known check (state in ('unproven', 'live', 'replaced', 'dead', 'deleted')),
    state_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    created_by uuid not null constraint credentials_caller_exists references callers,
    constraint credentials_api_key_is_unique unique (account_id, kind, api_key),
    constraint credentials_nonce_is_on_record foreign key (account_id, nonce) references credential_nonces,
    constraint credentials_of_trading_have_a_nonce check (kind = 'builder' or nonce is not null)
);
comment on table credentials is 'API keys of the CLOB with their secrets, sealed.';
comment on column credentials.version is 'Raised when the secrets are sealed anew; part of the associated data.';
comment on column credentials.sealed_in is 'The device that seals: the name of a [custody.NAME] section.';
comment on column credentials.sealed_secret is 'The HMAC secret as the venue gave it. Associated data: what it is, chain, address, API key, version.';
comment on column credentials.state is 'unproven: no call with it has worked yet. live: the last one did. replaced: a newer one is live. dead: the venue refuses it. deleted: on request.';
create unique index credentials_one_is_live on credentials (account_id) where state = 'live' and kind = 'trading';
create unique index credentials_one_a_nonce on credentials (account_id, nonce) where kind = 'trading';

alter table intents drop constraint intents_operation_is_known;
alter table intents add constraint intents_operation_is_known
    check (operation in ('order', 'assertion', 'clob-auth', 'l2-headers', 'builder-headers'));
