#!/bin/sh
# The official image's contract, as far as labs and plain Compose files use it: `mysqld` with the arguments given, as
# the user mysql, its data in /var/lib/mysql; at the first start MYSQL_ROOT_PASSWORD (or _FILE, or
# MYSQL_ALLOW_EMPTY_PASSWORD), MYSQL_ROOT_HOST, MYSQL_DATABASE, MYSQL_USER and MYSQL_PASSWORD, and *.sql in
# /docker-entrypoint-initdb.d. Other files there are refused, not left out: there is no second, temporary server that
# they could talk to.
set -eu

case "${1:-mysqld}" in
  -*) set -- mysqld "$@" ;;
esac
[ "${1:-mysqld}" = mysqld ] || exec "$@"
[ $# -eq 0 ] || shift

data=/var/lib/mysql
as_mysql=
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$data" /var/run/mysqld
  find "$data" /var/run/mysqld ! -user mysql -exec chown mysql:mysql {} +
  as_mysql='setpriv --reuid=mysql --regid=mysql --init-groups'
fi

from_file() {
  eval "file=\${$1_FILE:-}"
  # shellcheck disable=SC2154 # set by eval
  if [ -n "$file" ]; then
    eval "$1=\$(cat \"\$file\")"
  fi
}

text() {
  printf "'%s'" "$(printf '%s' "$1" | sed "s/[\\\\']/\\\\&/g")"
}

# Not `echo`, which reads backslashes here.
say() {
  printf '%s\n' "$1"
}

name() {
  printf '`%s`' "$(printf '%s' "$1" | sed 's/`/``/g')"
}

if [ ! -d "$data/mysql" ]; then
  # A folder from outside, or an engine that copies nothing into a new volume.
  $as_mysql initialise.sh
fi

# The only server that ever runs does the first set-up, before it lets anybody in. Cut short it is done again: each step
# before the mark goes may come twice.
if [ -d "$data/labs_password_unset" ]; then
  for variable in MYSQL_ROOT_PASSWORD MYSQL_DATABASE MYSQL_USER MYSQL_PASSWORD; do
    from_file "$variable"
  done
  if [ -z "${MYSQL_ROOT_PASSWORD:-}" ] && [ -z "${MYSQL_ALLOW_EMPTY_PASSWORD:-}" ]; then
    echo "Error: MYSQL_ROOT_PASSWORD must be set to the password of root" >&2
    exit 1
  fi
  for file in /docker-entrypoint-initdb.d/*; do
    case "$file" in
      *.sql | '/docker-entrypoint-initdb.d/*') ;;
      *)
        echo "Error: $file: this image runs only *.sql at its first start" >&2
        exit 1
        ;;
    esac
  done
  umask 077
  first=/var/run/mysqld/first-start.sql
  secret=$(text "${MYSQL_ROOT_PASSWORD:-}")
  {
    host=$(text "${MYSQL_ROOT_HOST:-%}")
    say "CREATE USER IF NOT EXISTS 'root'@$host IDENTIFIED BY $secret;"
    say "GRANT ALL ON *.* TO 'root'@$host WITH GRANT OPTION;"
    if [ -n "${MYSQL_DATABASE:-}" ]; then
      say "CREATE DATABASE IF NOT EXISTS $(name "$MYSQL_DATABASE");"
    fi
    if [ -n "${MYSQL_USER:-}" ]; then
      say "CREATE USER IF NOT EXISTS $(text "$MYSQL_USER")@'%' IDENTIFIED BY $(text "${MYSQL_PASSWORD:-}");"
      if [ -n "${MYSQL_DATABASE:-}" ]; then
        # In a grant, _ stands for any character.
        say "GRANT ALL ON $(name "$(printf '%s' "$MYSQL_DATABASE" | sed 's/_/\\_/g')").* TO $(text "$MYSQL_USER")@'%';"
      fi
    fi
    say "ALTER USER 'root'@'localhost' IDENTIFIED BY $secret;"
    say "DROP DATABASE IF EXISTS labs_password_unset;"
    # These may not come twice; MySQL ends with the first that fails, and says so in its log.
    if [ -n "${MYSQL_DATABASE:-}" ]; then
      say "USE $(name "$MYSQL_DATABASE");"
    fi
    for file in /docker-entrypoint-initdb.d/*.sql; do
      [ ! -e "$file" ] || { cat "$file"; say ""; }
    done
  } > "$first"
  umask 022
  [ -z "$as_mysql" ] || chown mysql:mysql "$first"
  set -- "$@" --init-file="$first"
else
  # It has a password in it.
  rm -f /var/run/mysqld/first-start.sql
fi

unset MYSQL_ROOT_PASSWORD MYSQL_PASSWORD
# What the official image has in its file of settings, and what the sizes of our data are; arguments come later and win.
exec $as_mysql mysqld --no-defaults --datadir="$data" --socket=/var/run/mysqld/mysqld.sock \
  --pid-file=/var/run/mysqld/mysqld.pid --skip-name-resolve --secure-file-priv=NULL \
  --innodb-data-file-path=ibdata1:5M:autoextend "$@"
