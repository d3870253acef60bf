#!/bin/sh
# The official image's contract, as far as labs and plain Compose files use it: POSTGRES_PASSWORD, POSTGRES_USER,
# POSTGRES_DB and POSTGRES_INITDB_ARGS at the first start; then `postgres` with the arguments given, as the user postgres.
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
  mkdir -p /var/run/postgresql "$PGDATA"
  chown postgres:postgres /var/run/postgresql "$PGDATA"
  chmod 700 "$PGDATA"
fi

new="$PGDATA/labs-password-unset"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  # A folder from outside, or an engine that copies nothing into a new volume.
  # shellcheck disable=SC2086 # several arguments in one variable, as in the official image
  (as_postgres initialise.sh ${POSTGRES_INITDB_ARGS:---locale=C.UTF-8})
elif [ -e "$new" ] && [ -n "${POSTGRES_INITDB_ARGS:-}" ]; then
  # shellcheck disable=SC2086
  (as_postgres initialise.sh $POSTGRES_INITDB_ARGS)
fi

if [ -e "$new" ] && [ "$(stat -c %d "$PGDATA")" = "$(stat -c %d /)" ]; then
  # Still in the image's layer (no volume): there every file is copied, and synced, when PostgreSQL first opens it. To copy
  # all at once takes a third of that time. Cut short, it is done again or made anew above.
  # shellcheck disable=SC2016 # that shell's variables
  (as_postgres sh -c 'rm -rf "$PGDATA.copy" && cp -a "$PGDATA" "$PGDATA.copy" && rm -rf "$PGDATA" && mv "$PGDATA.copy" "$PGDATA"')
fi

if [ -e "$new" ]; then
  user=${POSTGRES_USER:-postgres}
  database=${POSTGRES_DB:-$user}
  if [ -z "${POSTGRES_PASSWORD:-}" ]; then
    echo "Error: POSTGRES_PASSWORD must be set to the superuser's password" >&2
    exit 1
  fi
  role="\"$(quoted "$user" '"')\""
  # In single-user mode nobody can connect before the password is the right one. Its exit status does not tell of
  # refused statements. What is there already was made by a first start that was cut short.
  said=$({
    [ "$user" = postgres ] || printf 'CREATE ROLE %s SUPERUSER LOGIN;\n' "$role"
    printf "ALTER ROLE %s PASSWORD '%s';\n" "$role" "$(quoted "$POSTGRES_PASSWORD" "'")"
    [ "$database" = postgres ] || printf 'CREATE DATABASE "%s" OWNER %s;\n' "$(quoted "$database" '"')" "$role"
  } | (as_postgres postgres --single -D "$PGDATA" postgres) 2>&1) || { printf '%s\n' "$said" >&2; exit 1; }
  if printf '%s\n' "$said" | grep -E '(ERROR|FATAL|PANIC):' | grep -qv 'already exists'; then
    printf '%s\n' "$said" | grep -v PASSWORD >&2
    exit 1
  fi
  rm -f "$new"
fi

unset POSTGRES_PASSWORD
as_postgres postgres -D "$PGDATA" "$@"
