#!/bin/sh
# Believed: without ssl options PyMySQL verifies no certificate, so TLS costs nothing before the server is
# asked. Seen with PyMySQL 1.2.4: each Connection that is made without them, even a deferred one to a server
# that offers no TLS, loads the whole store of CAs into a context of its own and then turns verification
# off. With the 150 CAs of Debian 12's ca-certificates one load took 17 ms of CPU time.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" PyMySQL==1.2.4 2>"$folder/pip.log" ||
    { cat "$folder/pip.log"; exit 1; }
PYTHONPATH=$folder python3 - <<'PROGRAM'
import ssl

import pymysql

loaded = []
load = ssl.SSLContext.load_default_certs


def counted(self, *arguments):
    loaded.append(self)
    return load(self, *arguments)


ssl.SSLContext.load_default_certs = counted
made = [pymysql.Connection(host="127.0.0.1", defer_connect=True) for _ in range(3)]
verified = {connection.ctx.verify_mode.name for connection in made}
print(f"PyMySQL {pymysql.VERSION_STRING}: {len(made)} connections, CAs loaded {len(loaded)} times, {verified}")
# Output seen:
#   PyMySQL 1.2.4: 3 connections, CAs loaded 3 times, {'CERT_NONE'}
raise SystemExit((len(loaded), verified) != (3, {"CERT_NONE"}))
PROGRAM
