-- What wallets were made to do is on record by its nonce: one live signature for each, and what became of it.

alter table intents drop constraint intents_operation_is_known;
alter table intents add constraint intents_operation_is_known
    check (operation in ('order', 'assertion', 'clob-auth', 'l2-headers', 'builder-headers', 'possession', 'attestation',
                         'wallet-operation')) not valid;

alter table limit_counters drop constraint limit_counters_what_is_known;
alter table limit_counters add constraint limit_counters_what_is_known
    check (what in ('order', 'l1-header', 'assertion', 'token', 'look-up', 'withdrawal')) not valid;

create table operation_accounts (
    chain_id bigint not null,
    address bytea not null constraint operation_accounts_address_is_20_bytes check (octet_length(address) = 20),
    created_at timestamptz not null default now(),
    constraint operation_accounts_pkey primary key (chain_id, address)
);
comment on table operation_accounts is 'Addresses that hold assets or count nonces. The row is locked while it is decided what may be signed for one.';

create table operations (
    intent_id uuid constraint operations_pkey primary key,
    wallet_id uuid not null constraint operations_wallet_exists references wallets,
    caller_id uuid not null,
    chain_id bigint not null,
    holder bytea not null constraint operations_holder_is_20_bytes check (octet_length(holder) = 20),
    kind text not null constraint operations_kind_is_known
        check (kind in ('transaction', 'safe-creation', 'safe', 'relayed', 'batch')),
    counter text not null constraint operations_counter_is_known
        check (counter in ('transactions', 'safe-creation', 'safe', 'relay-hub', 'deposit')),
    counted bytea not null constraint operations_counted_is_20_bytes check (octet_length(counted) = 20),
    nonce numeric(78) not null constraint operations_nonce_is_not_negative check (nonce >= 0),
    calls_hash bytea not null constraint operations_calls_hash_is_32_bytes check (octet_length(calls_hash) = 32),
    recipient bytea constraint operations_recipient_is_20_bytes check (octet_length(recipient) = 20),
    outflow bigint not null constraint operations_outflow_is_not_negative check (outflow >= 0),
    expires_at timestamptz,
    replaces uuid,
    at timestamptz not null default now(),
    state text not null default 'live' constraint operations_state_is_known
        check (state in ('live', 'unsigned', 'replaced', 'expired', 'executed', 'dead')),
    settled_at timestamptz,
    transaction_hash bytea constraint operations_transaction_hash_is_32_bytes check (octet_length(transaction_hash) = 32),
    next_nonce numeric(78),
    constraint operations_settlement_is_whole check ((state in ('unsigned', 'executed', 'dead')) = (settled_at is not null))
);
comment on table operations is 'What wallets were to do, one row for each intent of that kind. The intent''s leaf has the decoded calls.';
comment on column operations.holder is 'The account that holds the assets.';
comment on column operations.counted is 'Whose nonce it is: the key''s address, the Safe or the deposit wallet.';
comment on column operations.calls_hash is 'What it does, whatever its nonce: the same while it is not known what became of the first could pay twice.';
comment on column operations.outflow is 'What leaves for a recipient, in units of 10^-6; a position counts as what it can be worth at most.';
comment on column operations.expires_at is 'Until when it can be carried out; null: for as long as its nonce is not spent.';
comment on column operations.replaces is 'The operation with the same nonce that it is meant to be faster than.';
comment on column operations.state is 'live: signed, or being signed. unsigned: nothing was released. replaced: another one with its nonce was signed since, and either may happen. expired: its deadline was over when another one with its nonce was signed. executed, dead: what became of it, as somebody has shown.';
comment on column operations.next_nonce is 'The counter as it was seen when the outcome was put on record.';

create unique index operations_one_is_live on operations (chain_id, counted, counter, nonce) where state = 'live';
create index operations_by_nonce on operations (chain_id, counted, counter, nonce);
create index operations_by_wallet on operations (wallet_id, intent_id);
create index operations_by_recipient on operations (recipient, intent_id) where recipient is not null;
create index operations_by_transaction on operations (transaction_hash) where transaction_hash is not null;
create index operations_by_outflow on operations (chain_id, holder, at) where outflow > 0;

create function settle_operation_once() returns trigger language plpgsql as $$
begin
    if old.state in ('unsigned', 'executed', 'dead') or new.state = 'live' then
        raise exception 'operation % is settled', old.intent_id
            using errcode = 'integrity_constraint_violation', constraint = 'operations_are_settled_once';
    end if;
    return new;
end
$$;
create trigger operations_are_settled_once before update on operations
    for each row execute function settle_operation_once();
create trigger operations_are_never_removed before delete or truncate on operations
    for each statement execute function refuse_change();
