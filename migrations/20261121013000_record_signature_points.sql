-- The r of every ECDSA signature that leaves: the same one for two digests gives the private key away (P8).

create table signature_points (
    key_id uuid not null,
    r bytea not null constraint signature_points_r_is_32_bytes check (octet_length(r) = 32),
    digest bytea not null constraint signature_points_digest_is_32_bytes check (octet_length(digest) = 32),
    constraint signature_points_pkey primary key (key_id, r)
);
comment on table signature_points is 'Which digest each r of a key was used for. Kept as long as the key lives, whatever becomes of its intents: a repetition is as bad after a year. No foreign key, for the reason that intents has none. By key_id first, so that it can be partitioned by key, and what a destroyed key leaves can go.';
create trigger signature_points_are_only_added before update or delete or truncate on signature_points
    for each statement execute function refuse_change();

-- What left before, as far as it is kept unsealed. One that is there twice for two digests is looked into by people.
insert into signature_points (key_id, r, digest)
select i.key_id, decode(substring(convert_from(l.answer, 'UTF8') from '"signature":"0x([0-9a-f]{64})'), 'hex'), i.digest
from releases l join intents i on i.id = l.intent_id
where l.order_hash is not null and not l.answer_is_sealed
  and convert_from(l.answer, 'UTF8') ~ '"signature":"0x[0-9a-f]{130}"'
order by l.released_at
on conflict do nothing;
