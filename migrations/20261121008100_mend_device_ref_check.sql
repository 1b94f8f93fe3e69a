-- A regular expression repeats 255 times at most: with 512 every row with a device's name was refused.

alter table keys
    drop constraint keys_device_ref_is_printable,
    add constraint keys_device_ref_is_printable
        check (device_ref ~ '^[!-~]+$' and octet_length(device_ref) <= 512);
