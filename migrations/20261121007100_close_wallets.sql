-- A wallet is its key, so a new key is a new wallet: the old one names it, and is closed when nothing is left of it.

alter table wallets
    add column successor_id uuid constraint wallets_successor_exists references wallets,
    add column closed_at timestamptz,
    add constraint wallets_succeed_others check (successor_id <> id);
comment on column wallets.successor_id is 'The wallet that takes this one''s orders. Callers are told its name when this one takes no more.';
comment on column wallets.closed_at is 'Since when somebody says that nothing is left of it: no order, balance, position or allowance.';
