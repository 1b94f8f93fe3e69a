-- A key signs for wallets and clients of its own owner, so that no desk signs with another's key, whatever the code says.

do $$
declare
    others text;
begin
    select string_agg(said, '; ' order by said) into others from (
        select format('wallet %s of %s has key %s of %s', w.name, w.owner, k.name, k.owner) as said
        from wallets w join keys k on k.id = w.key_id
        where k.owner <> w.owner
        union all
        select format('client %s of %s has key %s of %s', c.name, c.owner, k.name, k.owner)
        from clients c join keys k on k.id = c.key_id
        where k.owner <> c.owner or k.environment <> c.environment
    ) as mixed;
    if others is not null then
        raise exception 'nothing was changed: %', others
            using hint = 'decide whose each of these is, and set the owner of the wallet or client to its key''s, '
                'as the schema''s owner; then migrate again';
    end if;
end
$$;

alter table keys add constraint keys_id_and_owner_are_unique unique (id, owner);
alter table keys add constraint keys_id_owner_and_environment_are_unique unique (id, owner, environment);

alter table wallets
    add constraint wallets_key_is_of_their_owner foreign key (key_id, owner) references keys (id, owner);

alter table clients
    add constraint clients_key_is_of_their_owner
        foreign key (key_id, owner, environment) references keys (id, owner, environment);
comment on column wallets.owner is 'The desk or team, which is the key''s. A wallet''s environment is its key''s too.';
