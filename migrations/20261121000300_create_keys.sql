-- Keys, and the only ways in which their state may change (NIST SP 800-57 part 1, section 7).

create table key_states (
    name text primary key,
    signs boolean not null
);
comment on column key_states.signs is 'Whether a key in this state signs ordinary business.';
insert into key_states (name, signs) values
    ('pre-activation', false),
    ('active', true),
    ('retiring', false),
    ('suspended', false),
    ('deactivated', false),
    ('compromised', false),
    ('destroy-pending', false),
    ('destroyed', false);

create table key_state_edges (
    from_state text not null references key_states,
    to_state text not null references key_states,
    constraint key_state_edges_pkey primary key (from_state, to_state)
);
comment on table key_state_edges is 'What is not listed here is refused, whatever the code says.';
insert into key_state_edges (from_state, to_state) values
    ('pre-activation', 'active'),
    ('pre-activation', 'compromised'),
    ('pre-activation', 'destroy-pending'),
    ('active', 'retiring'),
    ('active', 'suspended'),
    ('active', 'deactivated'),
    ('active', 'compromised'),
    ('retiring', 'active'),
    ('retiring', 'suspended'),
    ('retiring', 'deactivated'),
    ('retiring', 'compromised'),
    ('suspended', 'active'),
    ('suspended', 'deactivated'),
    ('suspended', 'compromised'),
    ('deactivated', 'compromised'),
    ('deactivated', 'destroy-pending'),
    ('compromised', 'destroy-pending'),
    ('destroy-pending', 'deactivated'),
    ('destroy-pending', 'compromised'),
    ('destroy-pending', 'destroyed');

create table keys (
    id uuid primary key,
    name text not null constraint keys_name_is_unique unique
        constraint keys_name_is_plain check (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    purpose text not null constraint keys_purpose_is_known check (purpose in ('wallet', 'client')),
    algorithm text not null constraint keys_algorithm_fits_purpose check (
        (purpose = 'wallet' and algorithm = 'secp256k1')
        or (purpose = 'client' and algorithm in ('rsa2048', 'rsa3072', 'rsa4096'))
    ),
    backend text not null,
    environment text not null,
    owner text not null,
    origin text not null constraint keys_origin_is_known check (origin in ('created')),
    state text not null default 'pre-activation' references key_states,
    epoch bigint not null default 0,
    public_key bytea,
    attributes jsonb,
    created_at timestamptz not null default now(),
    cryptoperiod_ends_at timestamptz not null,
    constraint keys_signs_only_with_public_key check (public_key is not null or state not in ('active', 'retiring'))
);
comment on column keys.id is 'Also the CKA_ID of the object in a PKCS#11 token: 16 bytes.';
comment on column keys.backend is 'The name of a [custody.NAME] section.';
comment on column keys.epoch is 'Counts the changes of state. A signature begun under one epoch is not released under another.';
comment on column keys.public_key is 'SubjectPublicKeyInfo in DER. Null until the device has made the key: such a row without a key is an orphan''s trace.';
comment on column keys.attributes is 'The private key''s attributes as the device stated them when it was made.';
comment on column keys.cryptoperiod_ends_at is 'After this the key signs nothing.';

create table key_transitions (
    key_id uuid not null constraint key_transitions_key_exists references keys,
    epoch bigint not null,
    from_state text not null,
    to_state text not null,
    actor_id uuid not null references callers,
    approval text not null,
    reason text not null,
    at timestamptz not null default now(),
    constraint key_transitions_pkey primary key (key_id, epoch),
    constraint key_transitions_edge_exists foreign key (from_state, to_state) references key_state_edges
);
comment on column key_transitions.epoch is 'The key''s epoch after this step.';
comment on column key_transitions.approval is 'Who else agreed; none (single operator) until approvals exist.';
create trigger key_transitions_are_only_added before update or delete or truncate on key_transitions
    for each statement execute function refuse_change();

create function require_key_transition() returns trigger language plpgsql as $$
begin
    if new.state is distinct from old.state or new.epoch is distinct from old.epoch then
        if new.epoch <> old.epoch + 1 or not exists (
            select from key_transitions t
            where t.key_id = new.id and t.epoch = new.epoch
              and t.from_state = old.state and t.to_state = new.state
        ) then
            raise exception 'key % cannot go from % to % without a recorded transition', new.id, old.state, new.state
                using errcode = 'integrity_constraint_violation', constraint = 'keys_state_follows_a_transition';
        end if;
    end if;
    if old.public_key is not null and new.public_key is distinct from old.public_key then
        raise exception 'key % has a public key already', new.id
            using errcode = 'integrity_constraint_violation', constraint = 'keys_public_key_is_set_once';
    end if;
    return new;
end
$$;
create trigger keys_state_follows_a_transition before update on keys
    for each row execute function require_key_transition();
