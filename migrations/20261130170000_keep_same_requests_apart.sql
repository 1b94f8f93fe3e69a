-- The same request of a caller under another Idempotency-Key is not signed again at once, where a limit says so: a client
-- that lost its keys asks for the same order as if it were a new one.
--
-- The new argument of sign_group has a default: programs from before this migration go on.

create table recent_requests (
    caller_id uuid,
    request_digest bytea constraint recent_requests_digest_is_sha_256 check (octet_length(request_digest) = 32),
    intent_id uuid not null,
    key text not null,
    until timestamptz not null,
    constraint recent_requests_pkey primary key (caller_id, request_digest)
);
comment on table recent_requests is 'Which intent a request stands for until a time, whatever its Idempotency-Key, where a limit keeps the same requests apart. Forgotten afterwards.';
comment on column recent_requests.key is 'The Idempotency-Key of the intent.';

drop function sign_group;

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
    i_amount bigint[],
    j_intent uuid[], j_jti uuid[], j_client uuid[], j_issued timestamptz[], j_expires timestamptz[],
    n_right int[], n_kind text[], n_subject uuid[], n_leaf bytea[], n_hash bytea[],
    c_id uuid[], c_minute bigint[], c_hour bigint[], c_day bigint[], c_open bigint[], c_every bigint[], c_burst bigint[],
    u_asker int[], u_counter int[],
    i_apart int[] default '{}',
    out holds boolean[], out key_state text[], out key_epoch bigint[], out key_is_over boolean[], out is_live boolean[],
    out authority bigint, out tightened bigint,
    out ended uuid[], out late uuid[], out repeated uuid[], out held int[], out won uuid[], out leaves int,
    out full_asker int[], out full_counter int[], out full_of text[], out full_used bigint[], out full_until timestamptz[],
    out same uuid[], out same_intent uuid[], out same_key text[],
    out took_us bigint
) language plpgsql set lock_timeout = '1s' as $$
#variable_conflict use_column
declare
    asked constant timestamptz := statement_timestamp();
    behind timestamptz;
    fits boolean;
    fresh int;
    g_counter uuid[] := '{}';
    g_amount bigint[] := '{}';
    g_at timestamptz[] := '{}';
    g_open boolean[] := '{}';
    asker int[] := '{}';
    asked_of int[] := '{}';
    unfit uuid[] := '{}';
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
            where key is null and holds[rt] and (batch = 0 or batch = any(held)))
        select array_agg(intent_id) into won from fresh;
    end if;

    if i_apart <> '{}' then
        insert into recent_requests as before (caller_id, request_digest, intent_id, key, until)
        select distinct on (caller, request) caller, request, intent, key, behind + make_interval(secs => apart)
        from unnest(i_intent, i_caller, i_request, i_key, i_apart) with ordinality
                 as i (intent, caller, request, key, apart, n)
        where apart > 0 and intent = any(won)
        order by caller, request, n
        on conflict (caller_id, request_digest) do update set
            intent_id = excluded.intent_id, key = excluded.key, until = excluded.until
        where before.until <= behind or exists (
            select from ends e where e.intent_id = before.intent_id and e.outcome in ('refused', 'abandoned'));
        select array_agg(i.intent), array_agg(r.intent_id), array_agg(r.key) into same, same_intent, same_key
        from unnest(i_intent, i_caller, i_request, i_apart) as i (intent, caller, request, apart)
        join recent_requests r on r.caller_id = i.caller and r.request_digest = i.request
        where apart > 0 and i.intent = any(won) and r.intent_id <> i.intent;
        if same <> '{}' then
            unfit := same;
            won := array(select w from unnest(won) w where w <> all(same));
        end if;
    end if;

    -- Counters are locked last of all, so that nobody who holds one waits for anything else.
    if 'refused' = any(e_outcome) or 'abandoned' = any(e_outcome) then
        select coalesce(array_agg(counter), '{}'), coalesce(array_agg(i.amount), '{}'),
               coalesce(array_agg(i.created_at), '{}'), coalesce(array_agg(counter = any(i.open_counters)), '{}')
        into g_counter, g_amount, g_at, g_open
        from unnest(e_intent, e_outcome) as e (intent, outcome)
        join intents i on i.id = e.intent
        cross join unnest(i.counters) as counter
        where outcome <> 'released' and e.intent = any(ended);
    end if;
    if c_id <> '{}' then
        select coalesce(array_agg(u.asker order by n), '{}'), coalesce(array_agg(u.counter order by n), '{}')
        into asker, asked_of
        from unnest(u_asker, u_counter) with ordinality as u (asker, counter, n)
        where case when u.asker > cardinality(i_intent) then holds[n_right[u.asker - cardinality(i_intent)]]
                   else i_intent[u.asker] = any(won) end;
    end if;
    if asker <> '{}' or g_counter <> '{}' then
        select f.full_row, f.full_counter, f.full_of, f.full_used, f.full_until
        into full_asker, full_counter, full_of, full_used, full_until
        from reserve_limits(behind, c_id, c_minute, c_hour, c_day, c_open, c_every, c_burst,
                            g_counter, g_amount, g_at, g_open,
                            i_amount || array_fill(1::bigint, array[cardinality(n_kind)]), asker, asked_of) f;
    end if;
    if full_asker <> '{}' then
        unfit := unfit || array(select i_intent[f] from unnest(full_asker) f where f <= cardinality(i_intent));
        won := array(select w from unnest(won) w where w <> all(unfit));
    end if;
    if unfit <> '{}' then -- as if it had never been asked
        delete from idempotency_keys k
        using unnest(i_intent, i_caller, i_key) as i (intent, caller, key)
        where i.intent = any(unfit) and k.caller_id = i.caller and k.key = i.key and k.intent_id = i.intent;
        delete from recent_requests r
        using unnest(i_intent, i_caller, i_request) as i (intent, caller, request)
        where i.intent = any(unfit) and r.caller_id = i.caller and r.request_digest = i.request
          and r.intent_id = i.intent;
    end if;

    if won <> '{}' then
        with asking as (
            select u.asker, array_agg(c_id[u.counter]) as counters,
                   array_agg(c_id[u.counter]) filter (where c_open[u.counter] is not null) as open_counters
            from unnest(asker, asked_of) as u (asker, counter) group by u.asker),
        recorded as (
            insert into intents (id, caller_id, subject_id, key_id, key_epoch, batch, lease_until, created_at, run,
                                 operation, errand, digest, amount, counters, open_counters)
            select i.intent, caller, subject, r_key[rt], r_epoch[rt], p_batch, behind + p_lease_ms * interval '1 ms',
                   behind, p_run, operation, errand, digest,
                   case when a.asker is not null then i.amount end, a.counters, a.open_counters
            from unnest(i_intent, i_right, i_operation, i_errand, i_caller, i_subject, i_digest, i_amount) with ordinality
                     as i (intent, rt, operation, errand, caller, subject, digest, amount, n)
            left join asking a on a.asker = n
            where i.intent = any(won)),
        logged as (
            insert into leaves (batch, written_at, run, position, subject_id, kind, leaf_hash, leaf)
            select p_batch, behind, p_run, p_position + leaves - 1 + row_number() over (), i.intent, 'intent', hash, leaf
            from unnest(i_intent, i_leaf, i_hash) as i (intent, leaf, hash)
            where i.intent = any(won)
            returning 1)
        select count(*) into fresh from logged;
        leaves := leaves + fresh;
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
        from unnest(n_right, n_kind, n_subject, n_leaf, n_hash) with ordinality as n (rt, kind, subject, leaf, hash, number)
        where holds[rt] and (full_asker is null or cardinality(i_intent) + number <> all(full_asker));
        get diagnostics fresh = row_count;
        leaves := leaves + fresh;
    end if;
    took_us := extract(epoch from clock_timestamp() - asked) * 1000000;
end
$$;
comment on function sign_group is 'Writes a group behind the gate, row by row as far as each fits, and says how far. r_ rights, e_ ends, b_ batches'' keys, i_ intents, j_ identifiers of assertions, n_ notes of what is handed out again, c_ counters with their limits, u_ which intent or note asks of which: notes are numbered behind the intents; i_apart how many seconds the same request waits under another key. Nothing in it raises but a turn that is over (CH001) and a lock that does not come. took_us: from its arrival to its end, before the commit.';
