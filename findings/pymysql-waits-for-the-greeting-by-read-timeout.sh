#!/bin/sh
# Believed: PyMySQL's connect_timeout bounds how long connect() takes. Seen with PyMySQL 1.2.4: it bounds
# the TCP connection alone. A listener that takes the connection and never sends the server's greeting, as
# a proxy or a host that is stuck does, is waited for by read_timeout: here 3 s with a connect_timeout of
# 1 s, and without a read_timeout for ever.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" PyMySQL==1.2.4 2>"$folder/pip.log" ||
    { cat "$folder/pip.log"; exit 1; }
PYTHONPATH=$folder python3 - <<'PROGRAM'
import socket
import time

import pymysql

listener = socket.create_server(("127.0.0.1", 0))
begin = time.monotonic()
try:
    pymysql.connect(
        host="127.0.0.1", port=listener.getsockname()[1], connect_timeout=1, read_timeout=3
    )
except pymysql.err.OperationalError as error:
    elapsed = time.monotonic() - begin
    print(f"PyMySQL {pymysql.VERSION_STRING}: {error.args[0]} after {elapsed:.0f} s")
else:
    raise SystemExit("it connected to a listener that says nothing")
# Output seen:
#   PyMySQL 1.2.4: 2013 after 3 s
raise SystemExit(not 2.5 < elapsed < 30)
PROGRAM
