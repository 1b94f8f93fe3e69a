-- Versions of what decides are chained, and the head is sealed: whoever changes, adds or removes one in the database is seen.

alter table authority add column link bytea constraint authority_link_is_sha256 check (octet_length(link) = 32);
comment on column authority.link is 'SHA-256 over the link of the version before and all that this row says.';
alter table authority_head add column link bytea constraint authority_head_link_is_sha256 check (octet_length(link) = 32),
    add column seal bytea;
comment on column authority_head.link is 'The link of the newest version.';
comment on column authority_head.seal is 'Version, tightened and link, authenticated with the service''s sealing key ([sealing] key_file), which the database never sees. None before the first version.';

create or replace function authority_head_only_grows() returns trigger language plpgsql as $$
begin
    -- The same, sealed under another key; or one version more.
    if (new.version, new.tightened, new.link) is not distinct from (old.version, old.tightened, old.link) then
        return new;
    end if;
    if new.version <> old.version + 1 or new.tightened not in (old.tightened, new.version) then
        raise exception 'authority_head counts version by version';
    end if;
    return new;
end
$$;
