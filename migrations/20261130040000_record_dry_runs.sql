-- Dry runs are on record: one by one up to a bound for each caller, the rest counted.

alter table leaves drop constraint leaves_kind_is_known, add constraint leaves_kind_is_known
    check (kind in ('intent', 'released', 'refused', 'abandoned', 'denied', 'denials', 'dry-run', 'dry-runs', 'admin', 'token'));
comment on column leaves.subject_id is 'The intent, or for kind admin the thing that was changed, for kind token the client, for denials and dry runs the caller.';
