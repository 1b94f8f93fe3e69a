-- Auditors search the log by caller, key, wallet, market and time: which leaves each is found by is kept beside the tree.
--
-- Nothing of it is written while something is signed, and none of it is evidence: it is made of the leaves, and can be made again.

create table log_stretches (
    stretch int not null constraint log_stretches_pkey primary key constraint log_stretches_count_from_zero check (stretch >= 0),
    from_ms bigint not null,
    to_ms bigint not null
);
comment on table log_stretches is '8,192 leaves of the tree each, the first with 0, without gaps: those that can be found.';
comment on column log_stretches.from_ms is 'The earliest time that a leaf in it says, in milliseconds since 1970.';
comment on column log_stretches.to_ms is 'The latest.';

create table log_terms (
    term bigint not null,
    stretch int not null,
    places bytea not null,
    constraint log_terms_pkey primary key (term, stretch)
);
comment on table log_terms is 'Where in a stretch the leaves are that a term finds. Not every kind of leaf has terms: a release is found by its intent.';
comment on column log_terms.term is 'The first 8 bytes of SHA-256 over what the leaf is found by.';
comment on column log_terms.places is 'Numbers within the stretch, ascending, two bytes each, big-endian; where they are 512 or more, 1,024 bytes with a bit for each leaf instead.';

create trigger log_stretches_are_only_added before update or delete or truncate on log_stretches
    for each statement execute function refuse_change();
create trigger log_terms_are_only_added before update or delete or truncate on log_terms
    for each statement execute function refuse_change();

create function index_log(p_stretch int, p_from_ms bigint, p_to_ms bigint, t_term bigint[], t_places bytea[])
returns boolean language plpgsql as $$
begin
    if p_stretch > 0 and not exists (select from log_stretches where stretch = p_stretch - 1) then
        return false;
    end if;
    insert into log_stretches (stretch, from_ms, to_ms) values (p_stretch, p_from_ms, p_to_ms) on conflict do nothing;
    if not found then -- another replica was first
        return false;
    end if;
    insert into log_terms (term, stretch, places)
        select term, p_stretch, places from unnest(t_term, t_places) as t (term, places) order by term;
    return true;
end
$$;
comment on function index_log is 'Makes the leaves of a stretch known by their terms, once.';

-- What somebody has in hand and asks what it is. Few rows each, and none is written for a signature.
create index credentials_by_api_key on credentials (api_key);
create index credential_nonces_by_nonce on credential_nonces (nonce);
create index wallets_by_funder on wallets (funder) where funder is not null;
create index keys_by_fingerprint on keys (sha256(public_key)) where public_key is not null;

-- An export covers what was signed between two moments, whenever it is made.
create index checkpoints_by_time on checkpoints (signed_at);
