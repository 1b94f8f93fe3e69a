-- What somebody meant when they put a wallet on record, and the way back from a signature to its record.

alter table wallets
    add column funder_unverified boolean not null default false,
    add column allow_replace boolean not null default false;
comment on column wallets.funder_unverified is 'Somebody said to take a funder that does not follow from the key.';
comment on column wallets.allow_replace is 'A raw ClobAuth may use a new nonce although the wallet has a live credential, which that replaces.';

-- The signature's r, 64 hexadecimal digits, out of an order's answer: whatever else of the order is changed, it leads back
-- here. The rows stay as they are, and a hash index keeps four bytes of each.
create index releases_by_r on releases
    using hash (substring(answer from position('"signature":"0x'::bytea in answer) + 15 for 64))
    where order_hash is not null and not answer_is_sealed;
