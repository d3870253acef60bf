#!/bin/sh
# The official image's contract, as far as labs and plain Compose files use it: POSTGRES_PASSWORD, POSTGRES_USER,
# POSTGRES_DB at the first start on initialised data; then `postgres` with the arguments given, as the user postgres.
set -eu

case "${1:-postgres}" in
  postgres | -*) ;;
  *) exec "$@" ;;
esac
[ "${1:-}" = postgres ] && shift

as_postgres() {
  if [ "$(id -u)" = 0 ]; then
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$@"
  fi
  exec "$@"
}

quoted() {
  printf '%s' "$1" | sed "s/$2/$2$2/g"
}

if [ "$(id -u)" = 0 ]; then
  mkdir -p /var/run/postgresql
  chown postgres:postgres /var/run/postgresql
fi

if [ -e "$PGDATA/labs-password-unset" ]; then
  user=${POSTGRES_USER:-postgres}
  database=${POSTGRES_DB:-$user}
  if [ -z "${POSTGRES_PASSWORD:-}" ]; then
    echo "Error: POSTGRES_PASSWORD must be set to the superuser's password" >&2
    exit 1
  fi
  # Single-user mode: nobody can connect before the password is the right one.
  {
    role="\"$(quoted "$user" '"')\""
    password="'$(quoted "$POSTGRES_PASSWORD" "'")'"
    [ "$user" = postgres ] || printf 'CREATE ROLE %s SUPERUSER LOGIN;\n' "$role"
    printf 'ALTER ROLE %s PASSWORD %s;\n' "$role" "$password"
    [ "$database" = postgres ] || printf 'CREATE DATABASE "%s" OWNER %s;\n' "$(quoted "$database" '"')" "$role"
  } > /tmp/first-start.sql
  (as_postgres sh -c 'exec postgres --single -D "$PGDATA" postgres' < /tmp/first-start.sql > /tmp/first-start.log 2>&1) || {
    cat /tmp/first-start.log >&2
    exit 1
  }
  rm -f /tmp/first-start.sql /tmp/first-start.log "$PGDATA/labs-password-unset"
fi

unset POSTGRES_PASSWORD
as_postgres postgres -D "$PGDATA" "$@"
