-- The replacement of keys, step by step: who did what, when, on whose approval and which evidence.

create table rotation_edges (
    kind text not null constraint rotation_edges_kind_is_known check (kind in ('client', 'wallet')),
    step text not null,
    from_state text not null,
    to_state text not null,
    constraint rotation_edges_pkey primary key (kind, step, from_state, to_state)
);
comment on table rotation_edges is 'What is not listed here is refused, whatever the code says.';
comment on column rotation_edges.from_state is 'none: before the rotation was opened.';
insert into rotation_edges (kind, step, from_state, to_state) values
    ('client', 'open', 'none', 'requested'),
    ('client', 'generate', 'requested', 'generated'),
    ('client', 'submit', 'generated', 'submitted'),
    ('client', 'submit', 'submitted', 'submitted'),
    ('client', 'confirm', 'submitted', 'submitted'),
    ('client', 'confirm', 'submitted', 'registered'),
    ('client', 'probe', 'submitted', 'registered'),
    ('client', 'switch', 'registered', 'switched'),
    ('client', 'switch', 'registered', 'removal-asked'),
    ('client', 'ask-removal', 'requested', 'requested'),
    ('client', 'ask-removal', 'generated', 'generated'),
    ('client', 'ask-removal', 'submitted', 'submitted'),
    ('client', 'ask-removal', 'registered', 'registered'),
    ('client', 'ask-removal', 'switched', 'removal-asked'),
    ('client', 'ask-removal', 'removal-asked', 'removal-asked'),
    ('client', 'ask-removal', 'abandoned', 'abandoned'),
    ('client', 'ask-removal', 'rolled-back', 'rolled-back'),
    ('client', 'prove-removal', 'removal-asked', 'removal-proved'),
    ('client', 'prove-removal', 'abandoned', 'abandoned'),
    ('client', 'prove-removal', 'rolled-back', 'rolled-back'),
    ('client', 'close', 'removal-proved', 'closed'),
    ('client', 'abandon', 'requested', 'abandoned'),
    ('client', 'abandon', 'generated', 'abandoned'),
    ('client', 'abandon', 'submitted', 'abandoned'),
    ('client', 'abandon', 'registered', 'abandoned'),
    ('client', 'roll-back', 'switched', 'rolled-back'),
    ('client', 'roll-back', 'removal-asked', 'rolled-back'),
    ('wallet', 'open', 'none', 'requested'),
    ('wallet', 'generate', 'requested', 'generated'),
    ('wallet', 'profile', 'generated', 'profiled'),
    ('wallet', 'credential', 'profiled', 'credentialed'),
    ('wallet', 'cut-over', 'credentialed', 'cut-over'),
    ('wallet', 'drain', 'cut-over', 'drained'),
    ('wallet', 'delete-credential', 'drained', 'credential-deleted'),
    ('wallet', 'close', 'credential-deleted', 'closed'),
    ('wallet', 'abandon', 'requested', 'abandoned'),
    ('wallet', 'abandon', 'generated', 'abandoned'),
    ('wallet', 'abandon', 'profiled', 'abandoned'),
    ('wallet', 'abandon', 'credentialed', 'abandoned'),
    ('wallet', 'roll-back', 'cut-over', 'rolled-back');

create table rotations (
    id uuid primary key,
    kind text not null constraint rotations_kind_is_known check (kind in ('client', 'wallet')),
    subject_id uuid not null,
    environment text not null,
    old_key_id uuid not null constraint rotations_old_key_exists references keys,
    new_key_id uuid constraint rotations_new_key_exists references keys
        constraint rotations_new_key_is_new unique,
    new_key jsonb not null,
    new_subject_id uuid,
    emergency boolean not null,
    state text not null default 'none',
    seq int not null default 0,
    target_at timestamptz not null,
    opened_at timestamptz not null default now(),
    opened_by uuid not null constraint rotations_caller_exists references callers,
    constraint rotations_kind_is_one unique (id, kind),
    constraint rotations_keys_differ check (new_key_id <> old_key_id)
);
comment on column rotations.subject_id is 'The client, or the wallet that is to be replaced.';
comment on column rotations.new_key_id is 'On record before the device is asked to make it: a rotation has one new key, whatever dies in between.';
comment on column rotations.new_key is 'The new key as it was ordered.';
comment on column rotations.new_subject_id is 'The wallet that replaces the old one. A client stays the same.';
comment on column rotations.emergency is 'The old key was taken out of service when the rotation was opened.';
comment on column rotations.seq is 'Counts the steps.';
create unique index rotations_one_is_open on rotations (subject_id)
    where state not in ('closed', 'abandoned', 'rolled-back');
create index rotations_by_subject on rotations (subject_id);

create table rotation_steps (
    rotation_id uuid not null,
    seq int not null,
    kind text not null,
    step text not null,
    from_state text not null,
    to_state text not null,
    actor_id uuid not null constraint rotation_steps_caller_exists references callers,
    approval text not null,
    evidence jsonb not null,
    at timestamptz not null default now(),
    constraint rotation_steps_pkey primary key (rotation_id, seq),
    constraint rotation_steps_rotation_exists foreign key (rotation_id, kind) references rotations (id, kind),
    constraint rotation_steps_edge_exists foreign key (kind, step, from_state, to_state) references rotation_edges
);
comment on column rotation_steps.evidence is 'What the step stands on: hashes, references, fingerprints, probes, reasons. Never a secret.';
create trigger rotation_steps_are_only_added before update or delete or truncate on rotation_steps
    for each statement execute function refuse_change();

create function follow_rotation_state() returns trigger language plpgsql as $$
begin
    if not exists (
        select from rotations r
        where r.id = new.rotation_id and r.state = new.from_state and r.seq = new.seq - 1
    ) then
        raise exception 'rotation % is not at % after % steps', new.rotation_id, new.from_state, new.seq - 1
            using errcode = 'integrity_constraint_violation', constraint = 'rotation_steps_follow_the_state';
    end if;
    return new;
end
$$;
create trigger rotation_steps_follow_the_state before insert on rotation_steps
    for each row execute function follow_rotation_state();

create function require_rotation_step() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        if new.state <> 'none' or new.seq <> 0 then
            raise exception 'a rotation begins with a recorded step'
                using errcode = 'integrity_constraint_violation', constraint = 'rotations_state_follows_a_step';
        end if;
        return new;
    end if;
    if new.state is distinct from old.state or new.seq is distinct from old.seq then
        if new.seq <> old.seq + 1 or not exists (
            select from rotation_steps s
            where s.rotation_id = new.id and s.seq = new.seq
              and s.from_state = old.state and s.to_state = new.state
        ) then
            raise exception 'rotation % cannot go from % to % without a recorded step', new.id, old.state, new.state
                using errcode = 'integrity_constraint_violation', constraint = 'rotations_state_follows_a_step';
        end if;
    end if;
    if (old.new_key_id is not null and new.new_key_id is distinct from old.new_key_id)
        or (old.new_subject_id is not null and new.new_subject_id is distinct from old.new_subject_id) then
        raise exception 'rotation % has its new key and wallet already', new.id
            using errcode = 'integrity_constraint_violation', constraint = 'rotations_new_key_is_set_once';
    end if;
    return new;
end
$$;
create trigger rotations_state_follows_a_step before insert or update on rotations
    for each row execute function require_rotation_step();

create table probes (
    id uuid primary key,
    rotation_id uuid not null constraint probes_rotation_exists references rotations,
    key_id uuid not null constraint probes_key_exists references keys,
    role text not null constraint probes_role_is_known check (role in ('new', 'old')),
    actor_id uuid not null constraint probes_caller_exists references callers,
    begun_at timestamptz not null default now(),
    intent_id uuid,
    outcome text constraint probes_outcome_is_known check (outcome in ('succeeded', 'refused', 'inconclusive', 'unknown')),
    error text,
    http_status int,
    expires_in int,
    settled_at timestamptz,
    constraint probes_settlement_is_whole check ((outcome is null) = (settled_at is null))
);
comment on table probes is 'Exchanges that show whether the counterparty takes a key. Their tokens are dropped at once and kept nowhere.';
comment on column probes.intent_id is 'The assertion that was sent.';
comment on column probes.outcome is 'succeeded: it takes the key. refused: it does not (invalid_client). inconclusive: it said something else. unknown: no answer came, or nobody was there to read it (null).';
comment on column probes.expires_in is 'How long the dropped token lives, in seconds.';
create index probes_by_key on probes (key_id, begun_at);
create index probes_by_rotation on probes (rotation_id);
create index probes_by_intent on probes (intent_id);

create function settle_probe_once() returns trigger language plpgsql as $$
begin
    if old.outcome is not null then
        raise exception 'probe % is settled', old.id
            using errcode = 'integrity_constraint_violation', constraint = 'probes_are_settled_once';
    end if;
    return new;
end
$$;
create trigger probes_are_settled_once before update on probes
    for each row execute function settle_probe_once();

create table rotation_alarms (
    rotation_id uuid not null constraint rotation_alarms_rotation_exists references rotations,
    seq int not null,
    alarm text not null,
    raised_at timestamptz not null default now(),
    constraint rotation_alarms_pkey primary key (rotation_id, seq, alarm)
);
comment on table rotation_alarms is 'Alarms that were raised: each once, by one replica, whatever is restarted.';
comment on column rotation_alarms.seq is 'The step since which the time ran.';
create trigger rotation_alarms_are_only_added before update or delete or truncate on rotation_alarms
    for each statement execute function refuse_change();

-- A client changes its key in a rotation of its own and not otherwise.
create function require_client_rotation() returns trigger language plpgsql as $$
begin
    if new.key_id is distinct from old.key_id and not exists (
        select from rotations r
        where r.kind = 'client' and r.subject_id = new.id
          and ((r.state in ('switched', 'removal-asked')
                and r.old_key_id = old.key_id and r.new_key_id = new.key_id)
            or (r.state = 'rolled-back'
                and r.new_key_id = old.key_id and r.old_key_id = new.key_id))
    ) then
        raise exception 'client % has no rotation that gives it this key', new.id
            using errcode = 'integrity_constraint_violation', constraint = 'clients_key_follows_a_rotation';
    end if;
    return new;
end
$$;
create trigger clients_key_follows_a_rotation before update on clients
    for each row execute function require_client_rotation();
create index clients_by_key on clients (key_id);
