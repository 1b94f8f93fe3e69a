#!/bin/sh
# The service's role, once, when the cluster is made. It owns nothing.
set -eu
psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" -v ON_ERROR_STOP=1 \
    -v password="$(cat /run/secrets/service.password)" <<'END'
create role chancery_service login password :'password';
END
