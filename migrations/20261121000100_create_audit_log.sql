-- The evidence: who wrote, and what. Leaves are only ever added; the Merkle tree over them comes later.

create table writers (
    boot uuid primary key,
    writer text not null,
    version text not null,
    started_at timestamptz not null default now(),
    seen_at timestamptz not null default now()
);
comment on table writers is 'One row for each run of a service or tool that writes leaves.';
comment on column writers.writer is 'The replica''s name; with boot, batch and position it names a leaf.';
comment on column writers.seen_at is 'Moved by the commit that settles an unknown one; nothing reads it.';

create table leaves (
    writer text not null,
    boot uuid not null constraint leaves_boot_exists references writers,
    batch bigint not null constraint leaves_batch_counts_from_one check (batch > 0),
    position int not null constraint leaves_position_counts_from_zero check (position >= 0),
    kind text not null constraint leaves_kind_is_known
        check (kind in ('intent', 'released', 'refused', 'abandoned', 'denied', 'admin')),
    subject_id uuid not null,
    leaf bytea not null,
    leaf_hash bytea not null constraint leaves_hash_is_sha256 check (octet_length(leaf_hash) = 32),
    written_at timestamptz not null default now(),
    constraint leaves_pkey primary key (writer, boot, batch, position)
);
comment on table leaves is 'The audit log. (writer, boot, batch, position) has no gaps within a boot: batches count 1, 2, 3, … and positions 0, 1, 2, ….';
comment on column leaves.subject_id is 'The intent, or for kind admin the thing that was changed.';
comment on column leaves.leaf is 'Canonical bytes: deterministic CBOR, first element the version of the encoding.';
comment on column leaves.leaf_hash is 'SHA-256(0x00 || leaf), the leaf hash of RFC 6962.';
create index leaves_by_subject on leaves (subject_id);

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% rows are evidence: they are added, never changed or removed', tg_table_name
        using errcode = 'integrity_constraint_violation';
end
$$;
create trigger leaves_are_only_added before update or delete or truncate on leaves
    for each statement execute function refuse_change();
