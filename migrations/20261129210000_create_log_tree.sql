-- The Merkle tree over all leaves: which index each has, the nodes that proofs are made of, and what was signed of it.

create table log_head (
    the_only boolean not null default true constraint log_head_pkey primary key constraint log_head_has_one_row check (the_only),
    origin text not null,
    size bigint not null default 0 constraint log_head_counts_leaves check (size >= 0),
    frontier bytea not null default '',
    constraint log_head_has_a_hash_for_each_node
        check (octet_length(frontier) = 32 * length(replace(size::bit(64)::text, '0', '')))
);
comment on table log_head is 'How far the tree has come: moved with the rows that it grows by, in one statement, from the size that was read.';
comment on column log_head.origin is 'The log''s name in checkpoints; it never changes.';
comment on column log_head.frontier is 'The hashes of the perfect subtrees that the tree is made of, from left to right.';

create table log_runs (
    run int not null constraint log_runs_pkey primary key,
    batch bigint not null
);
comment on table log_runs is 'The last batch of each run that has its place in the tree.';

create table log_batches (
    first bigint not null constraint log_batches_pkey primary key,
    batch bigint not null,
    run int not null,
    leaves int not null constraint log_batches_have_leaves check (leaves > 0),
    constraint log_batches_come_once unique (run, batch)
);
comment on table log_batches is 'Where a batch stands in the tree: its leaf at position n has the index first + n.';

create table log_nodes (
    index bigint not null,
    hash bytea not null constraint log_nodes_hash_is_sha256 check (octet_length(hash) = 32),
    level smallint not null constraint log_nodes_level_is_stored check (level > 0 and level % 8 = 0),
    constraint log_nodes_pkey primary key (level, index)
);
comment on table log_nodes is 'Roots of perfect subtrees of 256, 65536, … leaves: what lies between is computed from at most 128 of the level below.';

create table log_keys (
    number int not null constraint log_keys_pkey primary key constraint log_keys_count_from_one check (number > 0),
    public_key bytea not null constraint log_keys_public_key_is_ed25519 check (octet_length(public_key) = 32),
    sealed bytea not null,
    made_at timestamptz not null default clock_timestamp()
);
comment on table log_keys is 'Ed25519 keys that sign checkpoints, sealed under the service''s sealing key; the last one signs.';

create table checkpoints (
    size bigint not null constraint checkpoints_pkey primary key,
    signed_at timestamptz not null default clock_timestamp(),
    note text not null
);
comment on table checkpoints is 'What was signed of the tree: one note for each size, the first.';

create trigger log_batches_are_only_added before update or delete or truncate on log_batches
    for each statement execute function refuse_change();
create trigger log_nodes_are_only_added before update or delete or truncate on log_nodes
    for each statement execute function refuse_change();
create trigger checkpoints_are_only_added before update or delete or truncate on checkpoints
    for each statement execute function refuse_change();

create function grow_log(
    p_from bigint, p_to bigint, p_frontier bytea,
    b_run int[], b_batch bigint[], b_first bigint[], b_leaves int[],
    n_level smallint[], n_index bigint[], n_hash bytea[]
) returns boolean language plpgsql as $$
begin
    -- Whoever read another size than there is has read for nothing: another replica was first.
    update log_head set size = p_to, frontier = p_frontier where size = p_from;
    if not found then
        return false;
    end if;
    insert into log_batches (first, batch, run, leaves)
        select first, batch, run, leaves from unnest(b_first, b_batch, b_run, b_leaves) as b (first, batch, run, leaves);
    insert into log_nodes (level, index, hash)
        select level, index, hash from unnest(n_level, n_index, n_hash) as n (level, index, hash);
    insert into log_runs as it (run, batch)
        select run, max(batch) from unnest(b_run, b_batch) as b (run, batch) group by run
        on conflict (run) do update set batch = excluded.batch;
    return true;
end
$$;
comment on function grow_log is 'Appends batches to the tree, if it is as large as it was when they were read.';
