-- What devices say of keys over time, and the key that signs statements about it.

alter table keys
    drop constraint keys_purpose_is_known,
    add constraint keys_purpose_is_known check (purpose in ('wallet', 'client', 'checkpoint')),
    drop constraint keys_algorithm_fits_purpose,
    add constraint keys_algorithm_fits_purpose check (
        (purpose = 'wallet' and algorithm = 'secp256k1')
        or (purpose in ('client', 'checkpoint') and algorithm in ('rsa2048', 'rsa3072', 'rsa4096'))
    );

alter table intents drop constraint intents_operation_is_known;
alter table intents add constraint intents_operation_is_known
    check (operation in ('order', 'assertion', 'clob-auth', 'l2-headers', 'builder-headers',
                         'possession', 'attestation')) not valid;
alter table intents validate constraint intents_operation_is_known;
comment on column intents.subject_id is 'The wallet or the client; for a possession or an attestation the key that it is about.';

create table attestations (
    id uuid constraint attestations_pkey primary key,
    key_id uuid not null constraint attestations_key_exists references keys,
    at timestamptz not null,
    evidence text not null constraint attestations_evidence_is_known
        check (evidence in ('imported', 'software', 'claimed', 'provider-statement')),
    verdict text not null constraint attestations_verdict_is_known
        check (verdict in ('as-recorded', 'drift', 'unknown')),
    findings jsonb not null,
    attributes jsonb,
    possession jsonb,
    statement jsonb,
    actor_id uuid constraint attestations_actor_exists references callers,
    constraint attestations_statement_is_asked_for check (statement is null or actor_id is not null)
);
comment on table attestations is 'Looks at keys in their devices: each that was asked for, and of the service''s own those that found something new or are the first of a day.';
comment on column attestations.evidence is 'What the word of the device is worth, the weakest honest word.';
comment on column attestations.attributes is 'As the device stated them; null where it did not.';
comment on column attestations.possession is 'A challenge and the key''s signature of it, where one was asked for.';
comment on column attestations.statement is 'The same, signed by a key for checkpoints: a flattened JWS.';
comment on column attestations.actor_id is 'Who asked; null: the service, by itself.';
create index attestations_by_key on attestations (key_id, at);
create trigger attestations_are_only_added before update or delete or truncate on attestations
    for each statement execute function refuse_change();

create table attestation_rounds (
    id uuid constraint attestation_rounds_pkey primary key,
    began_at timestamptz not null,
    ended_at timestamptz not null default now(),
    looked_at int not null,
    drifted int not null,
    unknown int not null
);
comment on table attestation_rounds is 'Looks at all keys, by one replica at a time.';
comment on column attestation_rounds.unknown is 'Keys whose device did not say.';
create index attestation_rounds_by_end on attestation_rounds (ended_at);
create trigger attestation_rounds_are_only_added before update or delete or truncate on attestation_rounds
    for each statement execute function refuse_change();
