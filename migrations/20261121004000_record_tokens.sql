-- An access token that is handed to a caller leaves evidence, as a signature does.

alter table leaves drop constraint leaves_kind_is_known;
alter table leaves add constraint leaves_kind_is_known
    check (kind in ('intent', 'released', 'refused', 'abandoned', 'denied', 'admin', 'token')) not valid;
alter table leaves validate constraint leaves_kind_is_known;
comment on column leaves.subject_id is 'The intent, or for kind admin the thing that was changed, or for kind token the client.';
