-- What loosens is proposed first, and done when others have signed for it: once, by whoever asked, with the same request.

create table proposals (
    id uuid primary key,
    caller_id uuid not null constraint proposals_caller_exists references callers,
    person_id uuid not null constraint proposals_person_exists references people,
    idempotency_key text not null,
    request_digest bytea not null constraint proposals_request_digest_is_sha256 check (octet_length(request_digest) = 32),
    operation text not null,
    document text not null,
    hash bytea not null constraint proposals_hash_is_sha256 check (octet_length(hash) = 32),
    proposed_at timestamptz not null default now(),
    expires_at timestamptz not null,
    outcome text constraint proposals_outcome_is_known check (outcome in ('executed', 'rejected', 'withdrawn')),
    ended_at timestamptz,
    ended_by uuid constraint proposals_ender_exists references callers,
    reason text,
    constraint proposals_request_is_unique unique (caller_id, idempotency_key),
    constraint proposals_end_is_whole check ((outcome is null) = (ended_at is null) and (outcome is null) = (ended_by is null))
);
comment on column proposals.operation is 'Method and path template: what quorums are set for.';
comment on column proposals.document is 'Canonical JSON: what is proposed, by whom, until when, under which quorum. Approvers read it and sign its hash.';
comment on column proposals.hash is 'SHA-256 of document.';
comment on column proposals.outcome is 'executed: begun with it, and only the same request goes on under it. Null: open, or expired.';
create index proposals_open on proposals (expires_at) where outcome is null;

create table proposal_approvals (
    proposal_id uuid not null constraint proposal_approvals_proposal_exists references proposals,
    person_id uuid not null constraint proposal_approvals_person_exists references people,
    key_id uuid not null constraint proposal_approvals_key_exists references approver_keys,
    signature jsonb not null,
    approved_at timestamptz not null default now(),
    primary key (proposal_id, person_id)
);
comment on column proposal_approvals.signature is 'The whole signature: {"ssh": "armored SSHSIG"}, or what a browser gave for a passkey.';

create function proposals_only_end() returns trigger language plpgsql as $$
begin
    if old.outcome is not null
        or (new.id, new.caller_id, new.person_id, new.idempotency_key, new.request_digest, new.operation, new.document,
            new.hash, new.proposed_at, new.expires_at)
           is distinct from
           (old.id, old.caller_id, old.person_id, old.idempotency_key, old.request_digest, old.operation, old.document,
            old.hash, old.proposed_at, old.expires_at) then
        raise exception 'a proposal ends once, nothing else';
    end if;
    return new;
end $$;
create trigger proposals_only_end before update on proposals for each row execute function proposals_only_end();
