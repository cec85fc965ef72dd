#!/bin/sh
# Believed: SELECT MIN(b) ... WHERE a = 1 AND b > -1 gives the least b, since every unsigned number is
# over -1. Seen with MariaDB 10.11.19 (Debian 12's package, started here on a folder of its own): over
# a primary key of two BIGINT UNSIGNED columns it leaves out the row whose b is 0, which the same
# condition without MIN() finds. The limit is clamped to 0 and stays exclusive.
#
# Needs apt-get (Debian 12) to fetch the server's package, and what that package depends on.
set -eu
version=1:10.11.19-0+deb12u1
folder=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || { kill "$server"; wait "$server" || true; }
    rm -rf "$folder"
}
trap finish EXIT
chmod 755 "$folder"
cd "$folder"
apt-get download -qq "mariadb-server-core=$version" "mariadb-client-core=$version"
for package in ./*.deb; do dpkg-deb -x "$package" root; done

# The bootstrap reads statements, runs them as a server of one session, and writes no table out: so a
# real server is started, which answers on a socket alone.
mkdir data
: >empty.cnf
server_program=$(find "$folder/root" -type f -name mariadbd)
client=$(find "$folder/root" -type f -name mariadb)
messages=$(dirname "$(find "$folder/root" -type d -name english)")
options="--defaults-file=$folder/empty.cnf --datadir=$folder/data --lc-messages-dir=$messages --user=$(id -un)"
printf 'CREATE DATABASE mysql;\n' | "$server_program" $options --bootstrap >boot.log 2>&1
"$server_program" $options --skip-grant-tables --skip-networking --socket="$folder/s" >server.log 2>&1 &
server=$!
ask() { "$client" --no-defaults --socket="$folder/s" --skip-column-names -e "$1"; }
tries=0
until ask 'SELECT 1' >answer.log 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -gt 60 ] || ! kill -0 "$server"; then cat answer.log server.log; exit 1; fi
    sleep 0.5
done

ask 'SELECT VERSION()'
ask 'CREATE DATABASE t; CREATE TABLE t.t (a BIGINT UNSIGNED, b BIGINT UNSIGNED, PRIMARY KEY (a, b)) ENGINE=InnoDB;
     INSERT INTO t.t VALUES (1, 0), (1, 2)'
least=$(ask 'SELECT MIN(b) FROM t.t WHERE a = 1 AND b > -1')
rows=$(ask 'SELECT GROUP_CONCAT(b ORDER BY b) FROM t.t WHERE a = 1 AND b > -1')
echo "MIN(b) is $least, and the rows are $rows"
# Output seen:
#   10.11.19-MariaDB-0+deb12u1
#   MIN(b) is 2, and the rows are 0,2
[ "$least" = 2 ] && [ "$rows" = 0,2 ]
