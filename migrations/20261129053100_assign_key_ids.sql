-- What a counterparty calls a client's key: a server that names keys itself gives each its own `kid`.

create table assigned_key_ids (
    id bigint generated always as identity constraint assigned_key_ids_pkey primary key,
    key_id uuid not null constraint assigned_key_ids_key_exists references keys,
    kid text not null constraint assigned_key_ids_kid_is_short check (length(kid) between 1 and 64),
    rotation_id uuid not null constraint assigned_key_ids_rotation_exists references rotations,
    at timestamptz not null default now()
);
comment on table assigned_key_ids is 'The newest row of a key counts: a kid that was mistyped is recorded once more.';
comment on column assigned_key_ids.kid is 'The kid in the header of what this key signs.';
comment on column assigned_key_ids.rotation_id is 'At whose confirmation it was recorded; the step there says by whom.';
create index assigned_key_ids_by_key on assigned_key_ids (key_id, id);
create trigger assigned_key_ids_are_only_added before update or delete or truncate on assigned_key_ids
    for each statement execute function refuse_change();
