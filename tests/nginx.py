"""A real nginx, for tests: what it writes, in many formats, and what it says each value was."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from datastream_playground.local.packages import as_root, this_system
from datastream_playground.local.ports import free_port
from deployment import PATIENCE, eventually

DATA = Path(__file__).parent / "data" / "nginx"
PACKAGE = "nginx-core"

_USUAL = b"Host: www.example.com\r\nConnection: close\r\n\r\n"
_STANDING_FOR = {
    b"HOST": _USUAL,
    b"AGENT8000": b"a" * 7000,
    b"LONGHEADERS": b"\r\n".join(b"X-Long-%d: %s" % (at, b"y" * 3000) for at in range(20)),
    b"LONG": b"/long" * 1200,
}

#: What the truth of a request says.
VARIABLES = (
    *("request", "request_method", "request_uri", "uri", "args", "server_protocol", "scheme"),
    *("status", "body_bytes_sent", "bytes_sent", "request_length", "request_time", "msec"),
    *("time_local", "time_iso8601", "remote_addr", "remote_port", "remote_user", "host"),
    *("realip_remote_addr", "http_host", "http_referer", "http_user_agent", "server_name"),
    *("http_x_forwarded_for", "proxy_add_x_forwarded_for", "http_cookie", "http_x_custom"),
    *("upstream_addr", "upstream_status", "upstream_response_time", "upstream_response_length"),
    *("upstream_connect_time", "upstream_header_time", "upstream_cache_status", "request_id"),
    *("connection", "connection_requests", "pipe", "gzip_ratio", "server_addr", "server_port"),
    *("sent_http_content_type", "arg_id", "request_completion", "proxy_upstream_name"),
)


def formats() -> dict[str, str]:
    """Return each log_format directive of the corpus, as it stands in its file."""
    text = (DATA / "formats.conf").read_text()
    found = re.findall(r"^log_format (\w+)(?:.*\n)*?.*;$", text, re.MULTILINE)
    whole = re.findall(r"^(log_format \w+(?:.*\n)*?.*;)$", text, re.MULTILINE)
    return dict(zip(found, whole, strict=True))


def requests() -> list[bytes]:
    """Return the bytes that are sent, for each connection."""
    found = []
    for line in (DATA / "requests.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            sent = line.encode().decode("unicode_escape").encode("latin-1")
            for name, standing_for in _STANDING_FOR.items():
                sent = sent.replace(name, standing_for)
            found.append(sent)
    return found


@contextmanager
def serving(folder: Path) -> Iterator[Nginx]:
    """Run nginx with a log of each format, and one of the truth, in a folder of its own."""
    server = Nginx(folder)
    process = subprocess.Popen(
        [binary(), "-p", str(folder), "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL
    )
    try:
        eventually(server.listens)
        yield server
    finally:
        process.terminate()
        process.wait()


def binary() -> str:
    """Return the program, from the system's packages."""
    path = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if path is None:
        prefix = as_root(this_system())
        assert prefix is not None, f"please install the package {PACKAGE}"
        module = "datastream_playground.local.install"
        subprocess.run([*prefix, sys.executable, "-B", "-m", module, PACKAGE], check=True)
        return binary()
    return path


class Nginx:
    """A server that is asked odd things."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, backend, closed = free_port(), free_port(), free_port()
        (folder / "html").mkdir()
        (folder / "nobody").touch()
        shutil.copy(DATA / "formats.conf", folder)
        logs = [f"access_log {folder}/{name}.log {name};" for name in formats()]
        truth = ",".join(f'"{name}":"${name}"' for name in VARIABLES)
        text = (DATA / "nginx.conf").read_text()
        for name, value in {
            "FOLDER": str(folder),
            "PORT": str(self.port),
            "BACKEND": str(backend),
            "CLOSED": str(closed),
            "LOGS": "\n        ".join(logs),
            "TRUTH": f"{{{truth}}}",
        }.items():
            text = text.replace(f"@{name}@", value)
        (folder / "nginx.conf").write_text(text)

    @property
    def _addresses(self) -> list[tuple[socket.AddressFamily, str | tuple[str, int]]]:
        return [
            (socket.AF_INET, ("127.0.0.1", self.port)),
            (socket.AF_INET6, ("::1", self.port)),
            (socket.AF_UNIX, str(self.folder / "nginx.sock")),
        ]

    def listens(self) -> None:
        """Fail unless it can be connected to, everywhere."""
        for family, address in self._addresses:
            with socket.socket(family) as connection:
                connection.connect(address)

    def ask(self, sent: bytes) -> None:
        """Send bytes, over IPv4, IPv6 and the socket, and wait until each is answered or closed."""
        for family, address in self._addresses:
            with socket.socket(family) as connection:
                connection.settimeout(PATIENCE)
                connection.connect(address)
                with suppress(OSError):
                    connection.sendall(sent)
                    if _USUAL not in sent:  # nothing would end it
                        connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass

    def lines(self, name: str) -> list[bytes]:
        """Return what a log holds."""
        return (self.folder / f"{name}.log").read_bytes().split(b"\n")[:-1]

    def truth(self) -> list[Mapping[str, str]]:
        """Return the variables of each request, in the order of the logs."""
        return [
            {
                name: value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
                for name, value in json.loads(line.decode("utf-8", "surrogateescape")).items()
            }
            for line in self.lines("truth")
        ]
