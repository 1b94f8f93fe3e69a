-- Whoever closes expired orders reads those that are open, and not all that ever were.

create table expiring_orders (
    intent_id uuid constraint expiring_orders_pkey primary key,
    expires_at timestamptz not null
);
comment on table expiring_orders is 'Orders that count as open exposure until their signed end, unless they are seen to be over before. A row goes when its end is past.';
create index expiring_orders_by_end on expiring_orders (expires_at);

create table followed (
    the_only boolean not null default true constraint followed_pkey primary key constraint followed_has_one_row check (the_only),
    until timestamptz not null
);
comment on table followed is 'Every order whose lease ran out before this is among expiring_orders, or has no signed end, or its end is past. Never ahead of swept.';

insert into followed (until) select until from swept;
insert into expiring_orders (intent_id, expires_at)
    select i.id, e.expires_at
    from intents i join ends e on e.intent_id = i.id and e.outcome = 'released' and e.expires_at is not null
    where i.open_counters is not null and i.lease_until < (select until from swept)
      and not exists (select from closings c where c.intent_id = i.id);
