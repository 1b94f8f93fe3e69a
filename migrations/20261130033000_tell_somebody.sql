-- Who has to know is told: what there is to tell, and how its delivery to each destination stands.

create table notices (
    id uuid constraint notices_pkey primary key,
    kind text not null,
    at timestamptz not null default clock_timestamp(),
    once text constraint notices_are_told_once unique,
    sentence text not null,
    about jsonb not null,
    addressed_at timestamptz
);
comment on table notices is 'What somebody is told: written in the transaction of what it tells of. Forgotten after 30 days; no evidence.';
comment on column notices.once is 'What is noticed by many and told once: a deadline and its stage, an alarm and its hour.';
comment on column notices.about is 'The names and ids in the sentence. Nothing in either is secret, or typed in by somebody.';
comment on column notices.addressed_at is 'When a replica has written a delivery for each destination that wants its kind.';
create index notices_to_address on notices (id) where addressed_at is null;
create index notices_by_time on notices (at);

create table notice_deliveries (
    notice_id uuid not null
        constraint notice_deliveries_notice_exists references notices on delete cascade,
    destination text not null,
    state text not null default 'waiting' constraint notice_deliveries_state_is_known
        check (state in ('waiting', 'delivered', 'dead')),
    attempts int not null default 0,
    next_at timestamptz not null default clock_timestamp(),
    trouble text,
    ended_at timestamptz,
    constraint notice_deliveries_pkey primary key (notice_id, destination),
    constraint notice_deliveries_end_is_whole check ((state = 'waiting') = (ended_at is null))
);
comment on table notice_deliveries is 'A notice on its way to a destination, which [notices] names.';
comment on column notice_deliveries.attempts is 'How many were begun. Whoever begins one puts next_at ahead first, so that it is begun again if they die.';
comment on column notice_deliveries.next_at is 'When the next attempt is due, while it waits.';
comment on column notice_deliveries.trouble is 'Why the last attempt failed, in words of ours.';
create index notice_deliveries_waiting on notice_deliveries (destination, next_at) where state = 'waiting';
