#!/bin/sh
# Makes PostgreSQL's data in $PGDATA, as the user postgres. The superuser has no password yet, so that nobody can log in
# before the first start has set it. Arguments go to initdb.
set -eu

find "$PGDATA" -mindepth 1 -delete
initdb -D "$PGDATA" -U postgres -A reject -E UTF8 --no-instructions "$@"
printf "listen_addresses = '*'\nunix_socket_directories = '/var/run/postgresql'\n" >> "$PGDATA/postgresql.conf"
printf 'local all all scram-sha-256\nhost all all all scram-sha-256\n' > "$PGDATA/pg_hba.conf"
touch "$PGDATA/labs-password-unset"
