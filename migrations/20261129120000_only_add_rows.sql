-- What is signed only adds rows: an end and a takeover are rows of their own, and what stands in a leaf stands there only.
--
-- Programs from before this migration cannot use the new tables: stop them all, migrate, run deploy/grants.sql again, and
-- start the new ones. The rows are carried over; count on a minute for some million signatures.

alter table writers
    add column run int generated always as identity constraint writers_run_names_one_run unique,
    add column turn int not null default 0;
comment on column writers.run is 'Names this run in its leaves, for it is short.';
comment on column writers.turn is 'Raised by whoever takes a connection to write on: a call that was sent under an earlier turn and has not begun writes nothing any more.';
comment on column writers.seen_at is 'Moved by the commit that confirms what was read; nothing reads it.';

-- The log, by run in place of writer and boot.
alter table leaves rename to leaves_before;
alter table leaves_before rename constraint leaves_pkey to leaves_before_pkey;
drop index leaves_by_subject;
create table leaves (
    batch bigint not null constraint leaves_batch_counts_from_one check (batch > 0),
    written_at timestamptz not null default clock_timestamp(),
    run int not null,
    position int not null constraint leaves_position_counts_from_zero check (position >= 0),
    subject_id uuid not null,
    kind text not null constraint leaves_kind_is_known
        check (kind in ('intent', 'released', 'refused', 'abandoned', 'denied', 'denials', 'admin', 'token')),
    leaf_hash bytea not null constraint leaves_hash_is_sha256 check (octet_length(leaf_hash) = 32),
    leaf bytea not null
);
comment on table leaves is 'The audit log. (run, batch, position) has no gaps within a run: batches count 1, 2, 3, … and positions 0, 1, 2, …. No foreign key to writers: whoever writes has just read its row there, and locking it for each leaf costs more than the leaf.';
comment on column leaves.run is 'The run that wrote it: writers says of which writer.';
comment on column leaves.subject_id is 'The intent, or for kind admin the thing that was changed, for kind token the client, for denied and denials the caller.';
comment on column leaves.leaf is 'Canonical bytes: deterministic CBOR, first element the version of the encoding.';
comment on column leaves.leaf_hash is 'SHA-256(0x00 || leaf), the leaf hash of RFC 6962.';
insert into leaves (batch, written_at, run, position, subject_id, kind, leaf_hash, leaf)
    select batch, written_at, run, position, subject_id, kind, leaf_hash, leaf
    from leaves_before join writers using (boot) order by run, batch, position;
alter table leaves add constraint leaves_pkey primary key (run, batch, position);
-- Those of a signature are found by the batch that intents and ends name.
create index leaves_by_subject on leaves (subject_id)
    where kind not in ('intent', 'released', 'refused', 'abandoned');
create trigger leaves_are_only_added before update or delete or truncate on leaves
    for each statement execute function refuse_change();

-- What was to be signed.
alter table intents rename to intents_before;
alter table intents_before rename constraint intents_pkey to intents_before_pkey;
drop index intents_by_digest, intents_open;
create table intents (
    id uuid not null,
    caller_id uuid not null,
    subject_id uuid not null,
    key_id uuid not null,
    key_epoch bigint not null,
    batch bigint not null,
    lease_until timestamptz not null,
    created_at timestamptz not null default clock_timestamp(),
    run int not null,
    operation text not null constraint intents_operation_is_known
        check (operation in ('order', 'assertion', 'clob-auth', 'l2-headers', 'builder-headers', 'possession', 'attestation')),
    errand text not null default '',
    digest bytea not null constraint intents_digest_is_32_bytes check (octet_length(digest) = 32)
);
comment on table intents is 'One row for each thing to be signed, never changed. No foreign keys: the rows it names were read in the same transaction, and locking them for each signature would make every caller wait for every other. Ids begin with their time, so that the table can be partitioned by them.';
comment on column intents.subject_id is 'The wallet or the client; for a possession or an attestation the key that it is about.';
comment on column intents.errand is 'What an assertion of the service''s own is for; empty for what callers ask for.';
comment on column intents.digest is 'What is signed: the EIP-712 digest, or SHA-256 of the message.';
comment on column intents.batch is 'With run and the id, where its leaf is, which says the rest.';
comment on column intents.lease_until is 'Until then the replica that wrote the row works on it; afterwards any replica takes it over.';

create table ends (
    intent_id uuid not null,
    ended_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz,
    batch bigint not null,
    run int not null,
    attempt int not null,
    outcome text not null constraint ends_outcome_is_known check (outcome in ('released', 'refused', 'abandoned')),
    reason text,
    answer_is_sealed boolean not null default false,
    order_hash bytea constraint ends_order_hash_is_32_bytes check (octet_length(order_hash) = 32),
    answer bytea constraint ends_answer_is_there_when_released check ((answer is not null) = (outcome = 'released'))
);
comment on table ends is 'How an intent ended: one row, the first. No foreign key, for the reason that intents has none.';
comment on column ends.attempt is 'By which holder: 1 wrote the intent, the others took it over.';
comment on column ends.batch is 'With run and the intent''s id, where its leaf is.';
comment on column ends.answer is 'The body that was answered: sealed with the sealing key where it is a credential; else LZ4 behind a byte 1, with the leaf of the intent as its dictionary, or, from before, as it is.';
comment on column ends.expires_at is 'When what was signed stops being of use; an assertion is not answered again after that.';
comment on column ends.order_hash is 'The order''s hash at the venue, where it is not the digest.';

create table takeovers (
    intent_id uuid not null,
    attempt int not null constraint takeovers_attempt_is_not_the_first check (attempt > 1),
    lease_until timestamptz not null,
    taken_at timestamptz not null default clock_timestamp(),
    constraint takeovers_pkey primary key (intent_id, attempt)
);
comment on table takeovers is 'Who holds an intent after its lease. An end of an earlier attempt does not fit any more.';

create table swept (
    the_only boolean not null default true constraint swept_pkey primary key constraint swept_has_one_row check (the_only),
    until timestamptz not null
);
comment on table swept is 'Every intent whose lease ran out before this has its end: what is open is looked for after it.';

insert into ends (intent_id, ended_at, expires_at, batch, run, attempt, outcome, reason, answer_is_sealed, order_hash, answer)
    select i.id, i.ended_at, r.expires_at, l.batch, l.run, i.attempt, i.outcome, i.reason,
           coalesce(r.answer_is_sealed, false), nullif(r.order_hash, i.digest), r.answer
    from intents_before i
    left join releases r on r.intent_id = i.id
    join leaves l on l.subject_id = i.id and l.kind in ('released', 'refused', 'abandoned')
    where i.outcome is not null order by i.id;
insert into takeovers (intent_id, attempt, lease_until, taken_at)
    select id, attempt, lease_until, coalesce(ended_at, now()) from intents_before where attempt > 1;
insert into intents (id, caller_id, subject_id, key_id, key_epoch, batch, lease_until, created_at, run, operation, errand, digest)
    select i.id, i.caller_id, i.subject_id, i.key_id, i.key_epoch, l.batch, i.lease_until, i.created_at, l.run, i.operation,
           coalesce(i.record ->> 'errand', ''), i.digest
    from intents_before i join leaves l on l.subject_id = i.id and l.kind = 'intent' order by i.id;
insert into swept (until)
    select least(now(), (select min(lease_until) from intents_before where outcome is null));

-- An order of V1 with an expiration is over then: its record said so, and now its end does.
update ends e set expires_at = to_timestamp((i.record #>> '{struct,expiration}')::bigint)
    from intents_before i
    where i.id = e.intent_id and e.outcome = 'released' and e.expires_at is null and i.operation = 'order'
      and i.record #>> '{domain,version}' = '1'
      and (i.record #>> '{struct,expiration}')::numeric between 1 and 253402300799;

-- Which request a login was for, whose leaf nobody searches.
alter table logins add column request_digest bytea;
alter table logins disable trigger user;
update logins l set request_digest = i.request_digest from intents_before i where i.id = l.intent_id;
alter table logins enable trigger user;

drop table releases, intents_before, leaves_before;
alter table intents add constraint intents_pkey primary key (id);
alter table ends add constraint ends_pkey primary key (intent_id);
create index intents_by_digest on intents (digest);
create index intents_by_lease on intents using brin (lease_until) with (pages_per_range = 16, autosummarize = on);
create index ends_by_order_hash on ends (order_hash) where order_hash is not null;
create trigger intents_are_only_added before update or delete or truncate on intents
    for each statement execute function refuse_change();
create trigger ends_are_only_added before update or delete or truncate on ends
    for each statement execute function refuse_change();
create trigger takeovers_are_only_added before update or delete or truncate on takeovers
    for each statement execute function refuse_change();

-- By r first, which finds a signature by it, too.
alter table signature_points drop constraint signature_points_pkey,
    add constraint signature_points_pkey primary key (r, key_id);
comment on table signature_points is 'Which digest each r of a key was used for. Kept as long as the key lives, whatever becomes of its intents: a repetition is as bad after a year. No foreign key, for the reason that intents has none.';

-- Many keys expire in one hour, and an index of hours has them close together: a fifth of the bytes.
drop index idempotency_keys_by_expiry;
create index idempotency_keys_by_expiry on idempotency_keys (date_trunc('hour', expires_at at time zone 'UTC'));

create view signatures as
    select i.id, i.operation, i.errand, i.caller_id, i.subject_id, i.key_id, i.key_epoch, i.digest,
           case when i.operation = 'order' and e.outcome = 'released' then coalesce(e.order_hash, i.digest) end as order_hash,
           i.created_at, i.lease_until, e.outcome, e.reason, e.attempt, e.ended_at
    from intents i left join ends e on e.intent_id = i.id;
comment on view signatures is 'What was to be signed, and how it ended, for people.';
