#!/bin/sh
# One node of a Galera cluster: `mariadbd` with the arguments given, as the user mysql, its data in /var/lib/mysql.
# MARIADB_ROOT_PASSWORD is the administrator's, GALERA_NODE the number of this node, GALERA_NODES the host names of all
# in their order; without others it is a cluster of one. Which node begins is found out at each start (meet.pl): nobody
# has to know which one was stopped last, or to say so.
set -eu

case "${1:-mariadbd}" in
  -*) set -- mariadbd "$@" ;;
esac
[ "${1:-mariadbd}" = mariadbd ] || exec "$@"
[ $# -eq 0 ] || shift

data=/var/lib/mysql
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$data" /run/mysqld
  find "$data" /run/mysqld ! -user mysql -exec chown mysql:mysql {} +
  exec setpriv --reuid=mysql --regid=mysql --init-groups "$0" mariadbd "$@"
fi
if [ -z "${MARIADB_ROOT_PASSWORD:-}" ]; then
  echo "Error: MARIADB_ROOT_PASSWORD must be set to the password of root" >&2
  exit 1
fi
# A folder from outside, or an engine that copies nothing into a new volume.
[ -d "$data/mysql" ] || initialise.sh
# What sizes the data has, and what makes it a node: rows are sent, of tables of InnoDB's, and numbers are given out
# without a lock. Arguments come later and win.
set -- --no-defaults --datadir="$data" --socket=/run/mysqld/mysqld.sock --pid-file=/run/mysqld/mysqld.pid \
  --innodb-data-file-path=ibdata1:5M:autoextend --innodb-log-file-size=16M --innodb-undo-tablespaces=0 \
  --binlog-format=ROW --default-storage-engine=InnoDB --innodb-autoinc-lock-mode=2 --wsrep-on=ON \
  --wsrep-provider=/usr/lib/galera/libgalera_smm.so --wsrep-cluster-name=labs --wsrep-sst-method=rsync "$@"

# Where this node stands in the cluster's history. One that was killed knows it from its tables alone.
state=$data/grastate.dat
uuid=$(sed -n 's/^uuid: *//p' "$state")
seqno=$(sed -n 's/^seqno: *//p' "$state")
recovered=
if [ "$seqno" = -1 ]; then
  rm -f /run/mysqld/recover.log
  mariadbd "$@" --wsrep-cluster-address=gcomm:// --wsrep-recover --log-error=/run/mysqld/recover.log \
    > /run/mysqld/recover.out 2>&1 || true
  said=$(cat /run/mysqld/recover.* | sed -n 's/.*WSREP: Recovered position: *//p' | tail -n 1)
  case "$said" in
    ????????-*:*)
      uuid=${said%:*}
      seqno=${said##*:}
      recovered=--wsrep-start-position=$said
      ;;
    *) cat /run/mysqld/recover.* >&2 ;;
  esac
fi

role=begin
cluster=gcomm://
address=
nodes=${GALERA_NODES:-}
if [ "$nodes" != "${nodes#* }" ]; then
  cluster=gcomm://$(printf '%s' "$nodes" | tr ' ' ',')
  # shellcheck disable=SC2086 # a list of names
  address=$(set -- $nodes && shift $((GALERA_NODE - 1)) && printf '%s' "$1")
  rm -f /run/mysqld/role
  mkfifo /run/mysqld/role
  # shellcheck disable=SC2086
  perl /usr/local/bin/meet.pl "$GALERA_NODE" "$uuid:$seqno" $nodes > /run/mysqld/role &
  role=$(head -n 1 /run/mysqld/role)
fi
case "$role" in
  begin)
    sed -i 's/^safe_to_bootstrap:.*/safe_to_bootstrap: 1/' "$state"
    rm -f "$data/gvwstate.dat"
    set -- "$@" --wsrep-new-cluster
    ;;
  follow) rm -f "$data/gvwstate.dat" ;;  # of a cluster that has ended
  join) ;;
  *)
    echo "Error: the other nodes could not be asked" >&2
    exit 1
    ;;
esac

# Each node makes the administrator itself, as the others do: nothing of it goes through the cluster.
umask 077
secret=$(printf '%s' "$MARIADB_ROOT_PASSWORD" | sed "s/[\\\\']/\\\\&/g")
printf '%s\n' "SET SESSION wsrep_on = OFF;" \
  "CREATE USER IF NOT EXISTS 'root'@'%' IDENTIFIED BY '$secret';" \
  "ALTER USER 'root'@'%' IDENTIFIED BY '$secret';" \
  "GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;" > /run/mysqld/start.sql
umask 022
unset MARIADB_ROOT_PASSWORD
exec mariadbd "$@" --init-file=/run/mysqld/start.sql ${recovered:+"$recovered"} \
  --wsrep-cluster-address="$cluster" ${address:+--wsrep-node-address="$address" --wsrep-node-name="node-$GALERA_NODE"}
