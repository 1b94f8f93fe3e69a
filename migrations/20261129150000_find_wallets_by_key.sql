-- Every minute the ends of all keys are looked at, each with the wallets that it signs for: without this, each key reads all wallets.
create index wallets_by_key on wallets (key_id);
