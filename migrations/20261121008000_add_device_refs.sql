-- Keys that their device knows by a name of its own, and keys that were there before us.

alter table keys
    add column device_ref text
        constraint keys_device_ref_is_printable check (device_ref ~ '^[!-~]{1,512}$'),
    drop constraint keys_origin_is_known,
    add constraint keys_origin_is_known check (origin in ('created', 'adopted', 'imported')),
    -- One object of a device is one key on record, or it would be for two things.
    add constraint keys_device_ref_is_unique unique (backend, device_ref);
comment on column keys.device_ref is 'What the device calls the key, where it does not go by our id: an ARN. Set with the public key, and never changed.';
comment on column keys.origin is 'created: made by its device for us. adopted: its device made it before we knew it. imported: it existed outside a device.';

-- The same under another name of the device, or in another device. A key that is gone makes room.
create unique index keys_public_key_is_unique on keys (public_key) where state <> 'destroyed';

create function keep_device_ref() returns trigger language plpgsql as $$
begin
    if (old.public_key is not null or old.device_ref is not null)
        and new.device_ref is distinct from old.device_ref
    then
        raise exception 'key % has its place in a device already', new.id
            using errcode = 'integrity_constraint_violation', constraint = 'keys_device_ref_is_set_once';
    end if;
    if new.origin is distinct from old.origin or new.backend is distinct from old.backend then
        raise exception 'key % stays where it is, and comes from where it came', new.id
            using errcode = 'integrity_constraint_violation', constraint = 'keys_origin_never_changes';
    end if;
    return new;
end
$$;
create trigger keys_device_ref_is_set_once before update on keys
    for each row execute function keep_device_ref();
