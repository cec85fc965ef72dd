#!/bin/sh
# datastream: the commands of the person on call, on this host's settings; as root, who alone may read
# the passwords. `make install-consumers` puts it into /opt/datastream-consumers/bin.
export ENV_FILE="${ENV_FILE:-/etc/datastream/consumers.env}"
exec "$(dirname "$0")/python" -I -m datastream_operator "$@"
