-- How far servers have been told of leaves, so that whoever goes on does so where the other ended.
create table log_copies (
    name text primary key,
    next bigint not null default 0 check (next >= 0),
    holder uuid not null,
    held_until timestamptz not null
);
comment on table log_copies is 'Copies of the log at servers. What is here may be wrong: a copy shows by its indexes what it lacks.';
comment on column log_copies.next is 'The index of the first leaf that the server has not taken.';
comment on column log_copies.holder is 'The replica that sends, until held_until.';
