-- What was handed to the relayer is on record before it is sent, so that a lost answer never leads to a second signature.

create table submissions (
    id uuid constraint submissions_pkey primary key,
    wallet_id uuid not null constraint submissions_wallet_exists references wallets,
    chain_id bigint not null,
    kind text not null constraint submissions_kind_is_known
        check (kind in ('SAFE', 'SAFE-CREATE', 'PROXY', 'WALLET', 'WALLET-CREATE')),
    counted bytea constraint submissions_counted_is_20_bytes check (octet_length(counted) = 20),
    nonce numeric(78) constraint submissions_nonce_is_not_negative check (nonce >= 0),
    state text not null default 'sending' constraint submissions_state_is_known
        check (state in ('sending', 'unclear', 'refused', 'taken', 'failed', 'executed')),
    tries integer not null default 1 constraint submissions_tries_are_counted check (tries > 0),
    transaction_id text constraint submissions_transaction_id_is_short check (length(transaction_id) between 1 and 100),
    progress text constraint submissions_progress_is_known
        check (progress in ('NEW', 'EXECUTED', 'MINED', 'CONFIRMED', 'INVALID', 'FAILED')),
    transaction_hash bytea constraint submissions_transaction_hash_is_32_bytes check (octet_length(transaction_hash) = 32),
    trouble text constraint submissions_trouble_is_short check (length(trouble) <= 400),
    first_at timestamptz not null default now(),
    changed_at timestamptz not null default now(),
    look_at timestamptz not null default now(),
    constraint submissions_taken_has_a_transaction check (state not in ('taken', 'executed') or transaction_id is not null),
    constraint submissions_nonce_is_somebodys check ((nonce is null) = (counted is null))
);
comment on table submissions is 'What the relayer was asked to carry out. The text is not here: it is read from what was released.';
comment on column submissions.id is 'The operation''s intent; for the making of a deposit wallet, which nobody signs, the wallet.';
comment on column submissions.kind is 'The relayer''s word for the body.';
comment on column submissions.counted is 'Whose nonce it is, as the relayer is asked about it; null where there is none.';
comment on column submissions.state is 'sending: on its way. unclear: it may have been taken. refused: it was not. taken: it is under way. failed, executed: what the relayer says became of it.';
comment on column submissions.look_at is 'When it is looked after next, by any replica.';
comment on column submissions.trouble is 'Why it was not taken, or cannot be followed, for people.';

create index submissions_to_follow on submissions (look_at) where state = 'taken';
create index submissions_by_wallet on submissions (wallet_id, first_at);

create function submissions_end_once() returns trigger language plpgsql as $$
begin
    if old.state = 'executed'
       or (old.state = 'taken' and new.state not in ('taken', 'failed', 'executed'))
       or new.tries < old.tries or new.id <> old.id then
        raise exception 'submission % does not go from % to %', old.id, old.state, new.state
            using errcode = 'integrity_constraint_violation', constraint = 'submissions_go_on';
    end if;
    return new;
end
$$;
create trigger submissions_go_on before update on submissions
    for each row execute function submissions_end_once();
create trigger submissions_are_never_removed before delete or truncate on submissions
    for each statement execute function refuse_change();
