-- What decides is on record as versions, and whatever is signed, released or told again says by which version it was decided.
--
-- Programs from before this migration do not look at versions, so what they sign with is taken from them: stop them all,
-- migrate, run deploy/grants.sql again, and start the new ones.

create table authority (
    version bigint not null constraint authority_pkey primary key constraint authority_counts_from_one check (version > 0),
    decided_at timestamptz not null default clock_timestamp(),
    kind text not null constraint authority_kind_is_a_word check (kind ~ '^[a-z][a-z-]{0,30}$'),
    id uuid not null,
    decided_by uuid not null,
    tightens boolean not null,
    body bytea
);
comment on table authority is 'What decides, change by change: 1, 2, 3, … without gaps. The newest row of a kind and an id is what holds of it.';
comment on column authority.kind is 'halt, policy, limit, …';
comment on column authority.tightens is 'Whether something that was allowed before may not be allowed any more: what was decided before this version is decided again.';
comment on column authority.body is 'What holds from here on, in the form of its kind; null: it is gone.';
comment on column authority.decided_by is 'The caller, or the service itself.';
create index authority_by_thing on authority (kind, id, version);
create trigger authority_is_only_added before update or delete or truncate on authority
    for each statement execute function refuse_change();

create table authority_head (
    the_only boolean not null default true constraint authority_head_pkey primary key
        constraint authority_head_has_one_row check (the_only),
    version bigint not null default 0,
    tightened bigint not null default 0,
    constraint authority_head_tightened_is_a_version check (tightened between 0 and version)
);
comment on table authority_head is 'How far authority has come. Its row is locked by whoever adds a version, so that versions are committed in their order.';
comment on column authority_head.tightened is 'The last version that tightens: what was decided earlier holds no more.';
insert into authority_head default values;

create function authority_head_only_grows() returns trigger language plpgsql as $$
begin
    if new.version <> old.version + 1 or new.tightened not in (old.tightened, new.version) then
        raise exception 'authority_head counts version by version';
    end if;
    return new;
end
$$;
create trigger authority_head_grows before update on authority_head
    for each row execute function authority_head_only_grows();
create trigger authority_head_stays before delete or truncate on authority_head
    for each statement execute function refuse_change();

drop function sign_group, vouch, standing;

create function sign_group(
    p_run int, p_turn int, p_batch bigint, p_position int, p_lease_ms int, p_points int,
    r_key uuid[], r_epoch bigint[], r_credential uuid[], r_states text[], r_lasts boolean[],
    r_authority bigint[],
    e_intent uuid[], e_attempt int[], e_right int[], e_outcome text[], e_reason text[], e_left_ms bigint[],
    e_r bytea[], e_digest bytea[], e_order_hash bytea[], e_answer bytea[], e_sealed boolean[], e_expires timestamptz[],
    e_leaf bytea[], e_hash bytea[],
    b_caller uuid[], b_key text[], b_request bytea[], b_until timestamptz[], b_hours int[],
    i_intent uuid[], i_right int[], i_batch int[], i_operation text[], i_errand text[], i_caller uuid[], i_subject uuid[],
    i_request bytea[], i_key text[], i_until timestamptz[], i_hours int[], i_digest bytea[], i_leaf bytea[], i_hash bytea[],
    j_intent uuid[], j_jti uuid[], j_client uuid[], j_issued timestamptz[], j_expires timestamptz[],
    n_right int[], n_kind text[], n_subject uuid[], n_leaf bytea[], n_hash bytea[],
    out holds boolean[], out key_state text[], out key_epoch bigint[], out key_is_over boolean[], out is_live boolean[],
    out authority bigint, out tightened bigint,
    out ended uuid[], out late uuid[], out repeated uuid[], out held int[], out won uuid[], out leaves int,
    out took_us bigint
) language plpgsql set lock_timeout = '1s' as $$
#variable_conflict use_column
declare
    asked constant timestamptz := statement_timestamp();
    behind timestamptz;
    fits boolean;
    fresh int;
begin
    -- Whoever takes a right away holds the gate alone; one call of a run is under way at a time.
    perform pg_advisory_xact_lock_shared(7163082334074663545), pg_advisory_xact_lock(1920298611, p_run);
    behind := clock_timestamp();

    -- A statement of its own: its snapshot is newer than the locks, so it sees what they were waited for.
    select array_agg(it.holds order by n), array_agg(it.state order by n), array_agg(it.epoch order by n),
           array_agg(it.is_over order by n), array_agg(it.is_live order by n),
           (select h.version from authority_head h where h.the_only), (select h.tightened from authority_head h where h.the_only),
           (select turn = p_turn from writers where run = p_run)
    into holds, key_state, key_epoch, key_is_over, is_live, authority, tightened, fits
    from (
        select r.n, k.state, k.epoch, k.cryptoperiod_ends_at <= behind as is_over, t.id is not null as is_live,
               coalesce(t.id is not null and k.state = any(string_to_array(r.states, ' ')) and k.epoch = r.epoch
                   and (r.lasts or k.cryptoperiod_ends_at > behind)
                   and r.authority between (select h.tightened from authority_head h where h.the_only)
                                       and (select h.version from authority_head h where h.the_only), false) as holds
        from unnest(r_key, r_epoch, r_credential, r_states, r_lasts, r_authority) with ordinality
                 as r (key, epoch, credential, states, lasts, authority, n)
        left join keys k on k.id = r.key
        left join (caller_tokens t join callers c on c.id = t.caller_id and c.revoked_at is null)
            on t.id = r.credential and t.revoked_at is null and t.expires_at > behind) it;
    if fits is distinct from true then
        raise exception 'this turn of the run is over' using errcode = 'CH001';
    end if;

    leaves := 0;
    if e_intent <> '{}' then
        if e_left_ms <> '{}' then -- what was to leave by a time that has come while the gate was waited for
            select array_agg(e.intent) into late from unnest(e_intent, e_left_ms) as e (intent, left_ms)
            where asked + e.left_ms * interval '1 ms' < behind;
        end if;
        if p_points > 0 then
            insert into signature_points (r, key_id, digest)
            select e.r, r_key[rt], e.digest from unnest(e_right, e_r, e_digest) as e (rt, r, digest)
            where e.r is not null and holds[rt] order by e.r
            on conflict (r, key_id) do nothing;
            get diagnostics fresh = row_count;
            if fresh < p_points then -- the same digest again, or another: the key gives itself away
                select array_agg(e.intent) into repeated
                from unnest(e_intent, e_right, e_r, e_digest) as e (intent, rt, r, digest)
                join signature_points p on p.r = e.r and p.key_id = r_key[rt]
                where holds[rt] and p.digest <> e.digest;
            end if;
        end if;
        with gone as (
            insert into ends (intent_id, ended_at, expires_at, batch, run, attempt, outcome, reason, answer_is_sealed,
                              order_hash, answer)
            select e.intent, behind, expires, p_batch, p_run, attempt, outcome, reason, sealed,
                   nullif(order_hash, digest), answer
            from unnest(e_intent, e_attempt, e_right, e_outcome, e_reason, e_digest, e_order_hash, e_answer, e_sealed,
                        e_expires) as e (intent, attempt, rt, outcome, reason, digest, order_hash, answer, sealed, expires)
            where (rt = 0 or holds[rt]) and (late is null or e.intent <> all(late))
              and (repeated is null or e.intent <> all(repeated))
              and attempt = coalesce((select max(t.attempt) from takeovers t where t.intent_id = e.intent), 1)
            order by e.intent
            on conflict (intent_id) do nothing
            returning intent_id),
        logged as (
            insert into leaves (batch, written_at, run, position, subject_id, kind, leaf_hash, leaf)
            select p_batch, behind, p_run, p_position - 1 + row_number() over (), e.intent, outcome, hash, leaf
            from unnest(e_intent, e_outcome, e_leaf, e_hash) as e (intent, outcome, leaf, hash)
            join gone on gone.intent_id = e.intent)
        select array_agg(intent_id) into ended from gone;
        leaves := coalesce(cardinality(ended), 0);
    end if;

    if b_key <> '{}' then
        with taken as (
            insert into idempotency_keys as before (caller_id, key, request_digest, expires_at)
            select caller, key, request, greatest(until, behind + make_interval(hours => hours))
            from unnest(b_caller, b_key, b_request, b_until, b_hours) with ordinality
                     as b (caller, key, request, until, hours, n)
            where exists (select from unnest(i_right, i_batch) as i (rt, batch) where batch = n and holds[rt])
            order by caller, key
            on conflict (caller_id, key) do update set
                request_digest = excluded.request_digest, intent_id = null, answer = null,
                expires_at = greatest(before.expires_at, excluded.expires_at)
            where before.expires_at < behind
                or (before.request_digest = excluded.request_digest
                    and before.intent_id is null and before.answer is null)
            returning caller_id, key)
        select array_agg(b.n::int) into held
        from unnest(b_caller, b_key) with ordinality as b (caller, key, n)
        join taken t on t.caller_id = b.caller and t.key = b.key;
    end if;

    if i_intent <> '{}' then
        with claimed as (
            insert into idempotency_keys as before (caller_id, key, request_digest, intent_id, expires_at)
            select caller, key, request, i.intent, greatest(until, behind + make_interval(hours => hours))
            from unnest(i_intent, i_right, i_batch, i_caller, i_request, i_key, i_until, i_hours)
                     as i (intent, rt, batch, caller, request, key, until, hours)
            where key is not null and holds[rt] and (batch = 0 or batch = any(held))
            order by caller, key
            on conflict (caller_id, key) do update set
                request_digest = excluded.request_digest, intent_id = excluded.intent_id,
                answer = null, expires_at = excluded.expires_at
            where before.expires_at < behind
                or (before.request_digest = excluded.request_digest and exists (
                    select from ends e where e.intent_id = before.intent_id and e.outcome in ('refused', 'abandoned')))
            returning intent_id),
        fresh as (
            select intent_id from claimed
            union all
            select i.intent from unnest(i_intent, i_right, i_batch, i_key) as i (intent, rt, batch, key)
            where key is null and holds[rt] and (batch = 0 or batch = any(held))),
        recorded as (
            insert into intents (id, caller_id, subject_id, key_id, key_epoch, batch, lease_until, created_at, run,
                                 operation, errand, digest)
            select i.intent, caller, subject, r_key[rt], r_epoch[rt], p_batch, behind + p_lease_ms * interval '1 ms',
                   behind, p_run, operation, errand, digest
            from unnest(i_intent, i_right, i_operation, i_errand, i_caller, i_subject, i_digest)
                     as i (intent, rt, operation, errand, caller, subject, digest)
            join fresh on fresh.intent_id = i.intent),
        logged as (
            insert into leaves (batch, written_at, run, position, subject_id, kind, leaf_hash, leaf)
            select p_batch, behind, p_run, p_position + leaves - 1 + row_number() over (), i.intent, 'intent', hash, leaf
            from unnest(i_intent, i_leaf, i_hash) as i (intent, leaf, hash)
            join fresh on fresh.intent_id = i.intent)
        select array_agg(intent_id) into won from fresh;
        leaves := leaves + coalesce(cardinality(won), 0);
        if j_jti <> '{}' then
            insert into jtis (jti, intent_id, client_id, issued_at, expires_at)
            select jti, j.intent, client, issued, expires
            from unnest(j_intent, j_jti, j_client, j_issued, j_expires) as j (intent, jti, client, issued, expires)
            where j.intent = any(won);
        end if;
    end if;

    if n_kind <> '{}' then
        insert into leaves (batch, written_at, run, position, subject_id, kind, leaf_hash, leaf)
        select p_batch, behind, p_run, p_position + leaves - 1 + row_number() over (), subject, kind, hash, leaf
        from unnest(n_right, n_kind, n_subject, n_leaf, n_hash) as n (rt, kind, subject, leaf, hash)
        where holds[rt];
        get diagnostics fresh = row_count;
        leaves := leaves + fresh;
    end if;
    took_us := extract(epoch from clock_timestamp() - asked) * 1000000;
end
$$;
comment on function sign_group is 'Writes a group behind the gate, row by row as far as each fits, and says how far. r_ rights, e_ ends, b_ batches'' keys, i_ intents, j_ identifiers of assertions, n_ notes of what is handed out again. Nothing in it raises but a turn that is over (CH001) and a lock that does not come. took_us: from its arrival to its end, before the commit.';

create function standing(p_keys uuid[], p_credentials uuid[])
returns table (id uuid, state text, epoch bigint, is_over boolean, authority bigint, tightened bigint)
language sql stable as $$
    select k.id, k.state, k.epoch, k.cryptoperiod_ends_at <= clock_timestamp(), null::bigint, null::bigint
    from keys k where k.id = any(p_keys)
    union all
    select t.id, null, null, null, null, null from caller_tokens t join callers c on c.id = t.caller_id
    where t.id = any(p_credentials)
      and t.revoked_at is null and t.expires_at > clock_timestamp() and c.revoked_at is null
    union all
    select null, null, null, null, h.version, h.tightened from authority_head h
$$;
comment on function standing is 'How keys stand, and which of the credentials are good: those have no state. The row without an id says how far authority has come.';

create function vouch(p_run int, p_keys uuid[], p_credentials uuid[])
returns table (id uuid, state text, epoch bigint, is_over boolean, authority bigint, tightened bigint)
language plpgsql set lock_timeout = '1s' as $$
begin
    perform pg_advisory_xact_lock_shared(7163082334074663545);
    update writers set seen_at = clock_timestamp() where run = p_run;
    return query select * from standing(p_keys, p_credentials);
end
$$;
comment on function vouch is 'A commit of one''s own behind the gate, after which what was read before is where it has to be; and how things stand in it.';
