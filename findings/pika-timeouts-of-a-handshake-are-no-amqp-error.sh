#!/bin/sh
# Believed: whatever keeps pika from opening a connection is a pika.exceptions.AMQPError, as its examples
# catch (AMQPConnectionError), or an OSError. Seen with pika 1.4.4: an attempt whose peer takes the
# connection and says nothing ends after stack_timeout with an AMQPConnectorStackTimeout of
# pika.adapters.utils.connection_workflow, which is neither.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" pika==1.4.4 2>"$folder/pip.log" ||
    { cat "$folder/pip.log"; exit 1; }
PYTHONPATH=$folder python3 - <<'PROGRAM'
import logging
import socket

import pika

logging.disable(logging.CRITICAL)
listener = socket.create_server(("127.0.0.1", 0))
parameters = pika.ConnectionParameters(
    "127.0.0.1", listener.getsockname()[1], socket_timeout=1, stack_timeout=1
)
try:
    pika.BlockingConnection(parameters)
except Exception as error:
    kinds = [kind.__name__ for kind in type(error).__mro__[:-1]]
    print(f"pika {pika.__version__}: {' < '.join(kinds)}")
else:
    raise SystemExit("it connected to a listener that says nothing")
# Output seen:
#   pika 1.4.4: AMQPConnectorStackTimeout < AMQPConnectorException < Exception < BaseException
raise SystemExit(kinds[0] != "AMQPConnectorStackTimeout" or "AMQPError" in kinds or "OSError" in kinds)
PROGRAM
