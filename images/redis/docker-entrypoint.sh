#!/bin/sh
# The official image's contract: `redis-server` with the arguments given, as the user redis, its data in /data.
set -eu

case "${1:-redis-server}" in
  -* | *.conf) set -- redis-server "$@" ;;
esac

if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
  find /data ! -user redis -exec chown redis:redis {} +
  exec setpriv --reuid=redis --regid=redis --init-groups "$@"
fi
exec "$@"
