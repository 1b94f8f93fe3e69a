-- What rows say that decide is stated in authority, several versions in one transaction where it changes several rows.
--
-- Programs from before this migration change callers, people, proposals, keys, wallets and clients without a statement, and what is not
-- stated is refused: stop them all, migrate, and start the new ones. The first of them states all rows as it finds them, once.

create or replace function authority_head_only_grows() returns trigger language plpgsql as $$
begin
    -- The same, sealed under another key; or some versions more.
    if (new.version, new.tightened, new.link) is not distinct from (old.version, old.tightened, old.link) then
        return new;
    end if;
    if new.version <= old.version
        or not (new.tightened = old.tightened or new.tightened between old.version + 1 and new.version) then
        raise exception 'authority_head counts version by version';
    end if;
    return new;
end
$$;
comment on column authority.kind is 'halt, policy, limit, or which table''s row it is that says so: caller, credential, person, approver, proposal, key, wallet, client.';
