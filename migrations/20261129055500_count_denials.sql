-- What a caller is refused beyond a bound is counted: one leaf says how many.

alter table leaves drop constraint leaves_kind_is_known;
alter table leaves add constraint leaves_kind_is_known
    check (kind in ('intent', 'released', 'refused', 'abandoned', 'denied', 'admin', 'token', 'denials'))
    not valid;
alter table leaves validate constraint leaves_kind_is_known;
comment on column leaves.subject_id is 'The intent, or for kind admin the thing that was changed, for kind token the client, for kinds denied and denials the caller.';
