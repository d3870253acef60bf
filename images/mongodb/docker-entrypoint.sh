#!/bin/sh
# The official image's contract, as far as labs and plain Compose files use it: `mongod` with the arguments given, as the
# user mongodb, its data in /data/db; at the first start MONGO_INITDB_ROOT_USERNAME and _PASSWORD (or _FILE), and *.sh in
# /docker-entrypoint-initdb.d. There is no mongosh here, so *.js is refused, not left out.
#
# More than that: with a root user and --replSet the set is initiated, which the official image leaves to somebody else;
# LABS_MONGO_HOST is the address of its only member. LABS_MONGO_USER and _PASSWORD name the root user where the official
# image, which would start twice for it, must not see one.
set -eu

case "${1:-mongod}" in
  -*) set -- mongod "$@" ;;
esac
[ "${1:-mongod}" = mongod ] || exec "$@"
[ $# -eq 0 ] || shift

from_file() {
  eval "file=\${$1_FILE:-}"
  # shellcheck disable=SC2154 # set by eval
  if [ -n "$file" ]; then
    eval "$1=\$(cat \"\$file\")"
  fi
}

from_file MONGO_INITDB_ROOT_USERNAME
from_file MONGO_INITDB_ROOT_PASSWORD
user=${MONGO_INITDB_ROOT_USERNAME:-${LABS_MONGO_USER:-}}
password=${MONGO_INITDB_ROOT_PASSWORD:-${LABS_MONGO_PASSWORD:-}}
host=${LABS_MONGO_HOST:-}
unset MONGO_INITDB_ROOT_USERNAME MONGO_INITDB_ROOT_PASSWORD LABS_MONGO_USER LABS_MONGO_PASSWORD LABS_MONGO_HOST
if [ "${user:+set}" != "${password:+set}" ]; then
  echo "Error: a root user needs both MONGO_INITDB_ROOT_USERNAME and MONGO_INITDB_ROOT_PASSWORD" >&2
  exit 1
fi

port=27017 data=/data/db set='' closed='' bound='' before=''
for word in "$@"; do
  case "$word" in
    --port=*) port=${word#*=} ;;
    --dbpath=*) data=${word#*=} ;;
    --replSet=*) set=${word#*=} ;;
    --keyFile | --keyFile=* | --auth | --noauth) closed=yes ;;
    --bind_ip | --bind_ip=* | --bind_ip_all) bound=yes ;;
  esac
  case "$before" in
    --port) port=$word ;;
    --dbpath) data=$word ;;
    --replSet) set=$word ;;
  esac
  before=$word
done
if [ -n "$user" ] && [ -z "$closed" ]; then
  set -- "$@" --auth
fi
if [ -z "$bound" ]; then
  set -- "$@" --bind_ip_all
fi

as_mongodb=
if [ "$(id -u)" = 0 ]; then
  find "$data" ! -user mongodb -exec chown mongodb:mongodb {} +
  as_mongodb='setpriv --reuid=mongodb --regid=mongodb --init-groups'
fi

# A mark, so that a container that was killed during its set-up does it again: each step may come twice.
done=$data/.labs-set-up
if [ ! -e "$done" ]; then
  for file in /docker-entrypoint-initdb.d/*; do
    case "$file" in
      *.js)
        echo "Error: $file: this image has no mongosh" >&2
        exit 1
        ;;
    esac
  done
  [ -n "$user" ] || set=''
  # Beside the server, which is process 1 from its beginning: through its loopback, where alone a server without users is
  # open. The password is not among the arguments.
  (
    trap '' TERM
    if printf '%s\n%s\n' "$user" "$password" | $as_mongodb /usr/local/lib/mongodb-set-up "$port" "$set" "${host:-127.0.0.1:$port}"; then
      for file in /docker-entrypoint-initdb.d/*.sh; do
        # shellcheck disable=SC1090 # whatever is there
        [ ! -e "$file" ] || . "$file"
      done
      : > "$done"
    else
      echo "Error: the first set-up of MongoDB failed" >&2
      kill -s TERM 1
    fi
  ) >&2 &
fi

unset user password
exec $as_mongodb mongod --dbpath "$data" "$@"
