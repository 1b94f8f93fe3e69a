-- A client and its key are of one environment, so that a key of one cannot be made to sign for another.

alter table keys add constraint keys_id_and_environment_are_unique unique (id, environment);

alter table clients
    add constraint clients_key_is_of_their_environment
        foreign key (key_id, environment) references keys (id, environment);
