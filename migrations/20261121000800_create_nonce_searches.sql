-- Searches for nonces that were used elsewhere and that nobody wrote down.

create table nonce_searches (
    id uuid primary key,
    wallet_id uuid not null constraint nonce_searches_wallet_exists references wallets,
    first numeric(20) not null,
    last numeric(20) not null,
    next numeric(20) not null,
    found int not null default 0,
    started_by uuid not null constraint nonce_searches_caller_exists references callers,
    started_at timestamptz not null default now(),
    stepped_at timestamptz not null default now(),
    constraint nonce_searches_go_forward check (0 <= first and first <= next and next <= last + 1),
    constraint nonce_searches_are_bounded check (last - first < 100000)
);
comment on column nonce_searches.next is 'The nonce that is tried next; beyond last when the search is over.';
comment on column nonce_searches.found is 'How many of the tried nonces had made an API key.';
