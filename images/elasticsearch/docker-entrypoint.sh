#!/bin/bash
# The official image's contract, as far as labs and plain Compose files use it: the server as the user 1000, its data in
# /usr/share/elasticsearch/data, each variable with a dot in its name (`cluster.name`) a setting, Java's options in
# ES_JAVA_OPTS. This distribution is without x-pack, GeoIP and what else came later: settings of those are left out.
set -eu

not_here='^(xpack|stack\.templates|ingest\.geoip|cluster\.deprecation_indexing)\.'

case "${1:-eswrapper}" in
  eswrapper | elasticsearch) ;;
  -*) set -- eswrapper "$@" ;;
  *) exec "$@" ;;
esac
[ $# -eq 0 ] || shift

settings=()
while IFS= read -r -d '' variable; do
  if [[ $variable =~ ^[a-z0-9_]+\.[a-z0-9_.]+=. && ! $variable =~ $not_here ]]; then
    settings+=("-E$variable")
  fi
done < <(env -0)

as_user=()
if [ "$(id -u)" = 0 ]; then
  find /usr/share/elasticsearch/data ! -uid 1000 -exec chown 1000:0 {} +
  as_user=(setpriv --reuid=1000 --regid=0 --clear-groups)
fi
exec "${as_user[@]}" elasticsearch "${settings[@]}" "$@"
