#!/bin/sh
# Believed: INSERT ... ON DUPLICATE KEY UPDATE needs INSERT, and UPDATE on the columns that it assigns;
# so `ON DUPLICATE KEY UPDATE k = k`, which is there to leave a row as it is, needs it on k alone, as with MySQL
# 9.7. Seen with MariaDB 10.11.19 (Debian 12's package, started here on a folder of its
# own): it refuses the statement until the account has UPDATE on every column that VALUES gives, also for
# a row whose key is new; the same INSERT without the clause goes in.
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

mkdir data
: >empty.cnf
server_program=$(find "$folder/root" -type f -name mariadbd)
client=$(find "$folder/root" -type f -name mariadb)
messages=$(dirname "$(find "$folder/root" -type d -name english)")
tables=$(find "$folder/root" -name mysql_system_tables.sql)
options="--defaults-file=$folder/empty.cnf --datadir=$folder/data --lc-messages-dir=$messages --user=$(id -un)"
{
    printf 'CREATE DATABASE mysql;\nUSE mysql;\n'
    cat "$tables"
} | "$server_program" $options --bootstrap >boot.log 2>&1
"$server_program" $options --skip-grant-tables --skip-networking --socket="$folder/s" >server.log 2>&1 &
server=$!
ask() { "$client" --no-defaults --socket="$folder/s" --skip-column-names "$@"; }
tries=0
until ask -e 'SELECT 1' >answer.log 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -gt 60 ] || ! kill -0 "$server"; then cat answer.log boot.log server.log; exit 1; fi
    sleep 0.5
done

ask -e 'SELECT VERSION()'
# From FLUSH PRIVILEGES on, accounts count; this session keeps what it has.
ask -e "CREATE DATABASE t; CREATE TABLE t.t (k INT PRIMARY KEY, v INT) ENGINE=InnoDB;
        FLUSH PRIVILEGES;
        CREATE USER narrow@localhost IDENTIFIED BY 'made-up', wide@localhost IDENTIFIED BY 'made-up';
        GRANT INSERT, SELECT, UPDATE (k) ON t.t TO narrow@localhost;
        GRANT INSERT, SELECT, UPDATE (k, v) ON t.t TO wide@localhost"
as() { # ACCOUNT STATEMENT
    if ask --user="$1" --password=made-up t -e "$2" >said.log 2>&1; then echo 'goes in'; else tail -n 1 said.log; fi
}
upsert='INSERT INTO t (k, v) VALUES (2, 2) ON DUPLICATE KEY UPDATE k = k'
plain=$(as narrow 'INSERT INTO t (k, v) VALUES (1, 1)')
narrow=$(as narrow "$upsert")
wide=$(as wide "$upsert")
echo "UPDATE (k), without the clause: $plain"
echo "UPDATE (k): $narrow"
echo "UPDATE (k, v): $wide"
# Output seen:
#   10.11.19-MariaDB-0+deb12u1
#   UPDATE (k), without the clause: goes in
#   UPDATE (k): ERROR 1143 (42000) at line 1: UPDATE command denied to user 'narrow'@'localhost' for column 'v' in table 't'
#   UPDATE (k, v): goes in
[ "$plain" = 'goes in' ] && [ "$wide" = 'goes in' ]
case $narrow in *1143*"column 'v'"*) ;; *) exit 1 ;; esac
