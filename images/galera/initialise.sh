#!/bin/sh
# Makes MariaDB's data in /var/lib/mysql, as the user mysql: the same for every node, at the same position of the same
# history, so that nodes that are all new copy nothing from each other. Nobody can log in before the first start.
set -eu

data=/var/lib/mysql
log=$(mktemp)
trap 'rm -f "$log"' EXIT
find "$data" -mindepth 1 -delete
sizes='--innodb-data-file-path=ibdata1:5M:autoextend --innodb-autoextend-increment=1 --innodb-undo-tablespaces=0 --innodb-log-file-size=16M --innodb-use-native-aio=OFF'
# shellcheck disable=SC2086 # several words
{
  mariadb-install-db --no-defaults --datadir="$data" --auth-root-authentication-method=normal --skip-test-db $sizes &&
    # Among the accounts that it makes are some without a password. None of them stays.
    printf '%s\n' "DELETE FROM mysql.global_priv WHERE user <> 'mariadb.sys';" "DELETE FROM mysql.db;" \
      "DELETE FROM mysql.proxies_priv;" |
    mariadbd --no-defaults --datadir="$data" --bootstrap --skip-networking $sizes
} > "$log" 2>&1 || { cat "$log" >&2; exit 1; }

# Once a cluster of one: from then on the data itself knows its position.
# shellcheck disable=SC2086
mariadbd --no-defaults --datadir="$data" --socket=/run/mysqld/first.sock --pid-file=/run/mysqld/first.pid \
  --skip-networking --binlog-format=ROW --innodb-autoinc-lock-mode=2 --wsrep-on=ON \
  --wsrep-provider=/usr/lib/galera/libgalera_smm.so --wsrep-cluster-name=labs --wsrep-cluster-address=gcomm:// \
  --wsrep-node-address=127.0.0.1 --wsrep-provider-options='gcache.size=1M' --wsrep-new-cluster $sizes > "$log" 2>&1 &
server=$!
until grep -q 'Synchronized with group, ready for connections' "$log"; do
  kill -0 "$server" 2> /dev/null || { cat "$log" >&2; exit 1; }
  sleep 0.1
done
kill "$server"
wait "$server" || true
rm -f "$data/galera.cache" "$data/gvwstate.dat"
grep -q '^seqno: *[1-9]' "$data/grastate.dat" || { cat "$log" "$data/grastate.dat" >&2; exit 1; }
