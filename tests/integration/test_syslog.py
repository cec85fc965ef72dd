"""What a real nginx and logger send to syslog is read as what nginx writes to a file."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import nginx
from datastream.parsing import ErrorEvent, detect, parser_for
from datastream_playground.local.ports import free_port
from deployment import PATIENCE, eventually

CONFIGURATION = """
daemon off;
worker_processes 1;
pid @FOLDER@/nginx.pid;
error_log syslog:server=127.0.0.1:@SYSLOG@,tag=errors info;
events {}
http {
    client_body_temp_path @FOLDER@/body;
    proxy_temp_path @FOLDER@/proxy;
    fastcgi_temp_path @FOLDER@/fastcgi;
    uwsgi_temp_path @FOLDER@/uwsgi;
    scgi_temp_path @FOLDER@/scgi;
    server {
        listen 127.0.0.1:@PORT@;
        access_log @FOLDER@/access.log;
        access_log syslog:server=127.0.0.1:@SYSLOG@;
        access_log syslog:server=127.0.0.1:@SYSLOG@,nohostname,tag=bare;
        return 200 "x";
    }
}
"""
REQUEST = (
    b'GET /a?b="c" HTTP/1.1\r\nHost: a\r\nUser-Agent: x "\\\xc3\xa9\r\nConnection: close\r\n\r\n'
)
REQUESTS = 12
LINE = '192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 5 "-" "x"'


@contextmanager
def syslog() -> Iterator[socket.socket]:
    """A syslog server on the loopback interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(PATIENCE)
        yield server


def received(server: socket.socket, messages: int) -> list[bytes]:
    """Return so many messages."""
    return [server.recv(65536) for _ in range(messages)]


def test_nginx_to_syslog(tmp_path: Path) -> None:
    """Its lines are those of the file beside it, and `auto` says which prefix and format."""
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(0o755)  # nginx's workers are another user
    port = free_port()
    with syslog() as server:
        text = CONFIGURATION.replace("@FOLDER@", str(tmp_path)).replace("@PORT@", str(port))
        text = text.replace("@SYSLOG@", str(server.getsockname()[1]))
        (tmp_path / "nginx.conf").write_text(text)
        command = [nginx.binary(), "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                eventually(lambda: socket.create_connection(("127.0.0.1", port)).close())
                for _ in range(REQUESTS):
                    with socket.create_connection(("127.0.0.1", port), 20) as connection:
                        connection.sendall(REQUEST)
                        while connection.recv(65536):
                            pass
                sent: list[bytes] = []
                while sum(b" bare: " in message for message in sent) < REQUESTS:
                    sent += received(server, 1)
            finally:
                process.terminate()
    file = (tmp_path / "access.log").read_bytes().splitlines()

    for tag in (b" nginx: ", b" bare: "):
        tagged = [message for message in sent if tag in message]
        found = detect(tagged)
        assert (found.name, found.sureness) == ("rfc3164 combined", "certain")
        parse = parser_for(found.name)
        assert [parse(line) for line in tagged] == [parser_for("combined")(line) for line in file]
    messages = [message for message in sent if b" errors: " in message]
    assert messages
    assert detect(messages).name == "rfc3164 error"
    for message in messages:
        assert isinstance(parser_for("rfc3164 error")(message), ErrorEvent)


@pytest.mark.parametrize("name", ["rfc3164", "rfc5424"])
@pytest.mark.parametrize("others", [[], ["-i"]])
def test_logger(name: str, others: list[str]) -> None:
    """With the process and without it."""
    logger = shutil.which("logger")
    assert logger is not None, "please install the package bsdutils"
    with syslog() as server:
        to = ["-n", "127.0.0.1", "-P", str(server.getsockname()[1]), "-d", "-t", "nginx"]
        subprocess.run([logger, *to, f"--{name}", *others, LINE], check=True)
        [message] = received(server, 1)

    event = parser_for(f"{name} combined")(message)
    assert event == parser_for("combined")(LINE.encode())
