#!/bin/sh
# Makes MySQL's data in /var/lib/mysql, as the user mysql. `root` has no password yet, but nobody can log in before the
# first start has set it: the database `labs_password_unset` is the mark that it has not. Arguments go to mysqld.
set -eu

data=/var/lib/mysql
find "$data" -mindepth 1 -delete
mark=$(mktemp)
trap 'rm -f "$mark"' EXIT
echo 'CREATE DATABASE labs_password_unset;' > "$mark"
# Small from the beginning, for it is copied: these sizes are what stays, whatever later starts say.
mysqld --no-defaults --initialize-insecure --datadir="$data" --init-file="$mark" --log-error-verbosity=1 \
    --innodb-doublewrite=OFF --innodb-redo-log-capacity=8M --innodb-data-file-path=ibdata1:5M:autoextend \
    --innodb-autoextend-increment=1 --innodb-use-native-aio=OFF --skip-log-bin \
    --auto-generate-certs=OFF --caching-sha2-password-auto-generate-rsa-keys=OFF \
    --sha256-password-auto-generate-rsa-keys=OFF "$@"
# Each instance has an identity of its own.
rm -f "$data/auto.cnf"
