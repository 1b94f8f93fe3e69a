-- A key whose destruction is cancelled goes back to where it came from: one that was never used to pre-activation.

insert into key_state_edges (from_state, to_state) values ('destroy-pending', 'pre-activation');

create function require_unused_key() returns trigger language plpgsql as $$
begin
    if new.from_state = 'destroy-pending' and new.to_state = 'pre-activation' and exists (
        select from key_transitions t
        where t.key_id = new.key_id and t.to_state not in ('pre-activation', 'destroy-pending')
    ) then
        raise exception 'key % was in use, or out of it, before', new.key_id
            using errcode = 'integrity_constraint_violation', constraint = 'key_transitions_only_unused_keys_begin_again';
    end if;
    return new;
end
$$;
create trigger key_transitions_only_unused_keys_begin_again before insert on key_transitions
    for each row execute function require_unused_key();
