-- What the service's role may do. Run as the schema's owner after every `chancery migrate`:
--     psql -v ON_ERROR_STOP=1 -f deploy/grants.sql "$OWNER_URL"
-- The roles are made beforehand (guide/install.md). The service owns nothing, so it can neither change the
-- schema nor switch the triggers off, and evidence can only be added to.

begin;

revoke create on schema public from public;
revoke all on all tables in schema public from public, chancery_service;
grant usage on schema public to chancery_service;
grant select on all tables in schema public to chancery_service;

-- Evidence: added, never changed or removed.
grant insert on authority to chancery_service;
grant insert on drains, closings to chancery_service;
grant insert on attestations, attestation_rounds to chancery_service;
grant insert on rotation_steps, rotation_alarms, assigned_key_ids to chancery_service;
grant insert on leaves, intents, ends, takeovers, signature_points, jtis, key_transitions, key_cryptoperiods, key_alarms, credential_nonces
    to chancery_service;

-- How far what decides has come; a trigger sees to the count.
grant update (version, tightened, link, seal) on authority_head to chancery_service;

-- The tree over the leaves: it grows by a function that moves its head, and a key comes under another sealing key.
grant insert, update (size, frontier) on log_head to chancery_service;
grant insert on log_batches, log_nodes, checkpoints, log_stretches, log_terms to chancery_service;
grant insert, update (batch) on log_runs to chancery_service;
grant insert, update (next, holder, held_until) on log_copies to chancery_service;
grant insert, update (sealed) on log_keys to chancery_service;

-- One row for each run; whoever takes a connection to write on raises its turn.
grant insert, update (turn, seen_at) on writers to chancery_service;

-- API keys of the CLOB: a login is settled once, a key changes its state.
grant insert on accounts to chancery_service;
grant update (created_at) on accounts to chancery_service; -- select for update asks for some column
grant insert, update (outcome, settled_at) on logins to chancery_service;
grant insert, update (state, state_at, version, sealed_in, sealed_secret, sealed_passphrase)
    on credentials to chancery_service;

-- Wallet operations: what became of one is put on record once.
grant insert on operation_accounts to chancery_service;
grant update (created_at) on operation_accounts to chancery_service; -- select for update asks for some column
grant insert, update (state, settled_at, transaction_hash, next_nonce) on operations to chancery_service;

-- Places of the token cache and what was fetched for them; both are forgotten when they are old.
grant insert, delete, update (generation, forced_at, lease_holder, lease_until, granted, granted_at, touched_at)
    on token_slots to chancery_service;
grant insert, delete on token_fetches to chancery_service;

grant insert, update (next, found, stepped_at) on nonce_searches to chancery_service;

-- What the relayer was asked for: it goes on to its end, never back.
grant insert, update (state, tries, transaction_id, progress, transaction_hash, trouble, changed_at, look_at)
    on submissions to chancery_service;
-- Sessions of browsers end, and are removed some time after that.
grant insert, delete, update (used_at, ended_at) on sessions to chancery_service;

-- Callers and tokens are revoked, never removed.
grant insert, update (revoked_at) on callers, caller_tokens to chancery_service;

-- People are registered, and end; a caller becomes one person's. Proposals end once, approvals are only added.
grant insert, update (roles, ended_at) on people to chancery_service;
grant insert, update (revoked_at) on approver_keys to chancery_service;
grant update (person_id) on callers to chancery_service;
grant insert, update (outcome, ended_at, ended_by, reason) on proposals to chancery_service;
grant insert on proposal_approvals to chancery_service;

-- A key gets its public half once and moves along its edges; triggers see to both.
grant insert, update (state, epoch, public_key, attributes, device_ref, cryptoperiod_ends_at)
    on keys to chancery_service;
grant insert on wallets, clients to chancery_service;

-- A key that is brought: an offer stands, is taken, ends; triggers see to what was announced.
grant insert, update (opened_by, opened_at, ends_at, ticket, busy_until, ended_at)
    on key_imports to chancery_service;

-- A rotation follows its steps, a client its rotation, a probe is settled once; triggers see to it.
grant insert, update (state, seq, new_key_id, new_subject_id) on rotations to chancery_service;
grant update (key_id) on clients to chancery_service;
grant insert, update (intent_id, outcome, error, http_status, expires_in, settled_at)
    on probes to chancery_service;

-- A wallet names its successor, and is closed.
grant update (successor_id, closed_at) on wallets to chancery_service;

-- A sealed key comes under another master key; what it is of never changes.
grant insert, update (sealed) on sealed_keys to chancery_service;

-- A destruction is begun, and ends; triggers see to the order. A sealed key goes with it.
grant insert, update (begun_at, due_at, was_disabled, ended_at, outcome, trouble, certificate) on destructions to chancery_service;
grant delete on sealed_keys to chancery_service;

-- What limits count.
grant insert, update (slid_to, minute, hour, day, in_minute, in_hour, in_day, open, paced_to)
    on limit_counters to chancery_service;

-- Orders that end by themselves, and how far they are taken note of.
grant insert, delete, update (expires_at) on expiring_orders to chancery_service; -- for update asks for some column
grant update (until) on followed to chancery_service;

-- How far intents are known to have ended.
grant update (until) on swept to chancery_service;

-- Notices are delivered, and forgotten.
grant insert, delete, update (addressed_at) on notices to chancery_service;
grant insert, delete, update (state, attempts, next_at, trouble, ended_at) on notice_deliveries to chancery_service;

-- Idempotency keys are forgotten when they expire.
grant insert, delete, update (request_digest, intent_id, answer, expires_at)
    on idempotency_keys to chancery_service;

-- Requests that are kept apart are forgotten soon after.
grant insert, delete, update (intent_id, key, until) on recent_requests to chancery_service;

commit;
