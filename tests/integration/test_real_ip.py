"""Who the client is behind proxies, against a real nginx: its realip module and ours."""

from __future__ import annotations

import random
import re
import socket
import subprocess
from collections.abc import Iterator
from functools import cache
from ipaddress import ip_address
from pathlib import Path

import pytest

import nginx
from datastream.parsing.values import unmapped
from datastream_playground.local.ports import free_port
from deployment import PATIENCE, eventually
from parsed import access_parser

#: Whom each server trusts.
TRUSTED = {
    "local": ("127.0.0.0/8", "::1", "192.0.2.0/24", "2001:db8:1::/48", "unix:"),
    "far": ("192.0.2.0/24", "2001:db8:1::7", "198.51.100.9"),
    "ipv4": ("0.0.0.0/0",),
    "ipv6": ("::/0", "::ffff:127.0.0.0/104"),
    "all": ("0.0.0.0/0", "::/0", "unix:"),
}

CONFIGURATION = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 100000;
    real_ip_header X-Forwarded-For;
    real_ip_recursive on;
    log_format found '$msec "$realip_remote_addr" "$http_x_forwarded_for" "$remote_addr"';
    {servers}
}}
"""
SERVER = """\
server {{
        listen 127.0.0.1:{ipv4};
        listen [::]:{ipv6} ipv6only=off;
        listen unix:{folder}/{name}.sock;
        {trusted}
        access_log {folder}/{name}.log found;
        location / {{ return 204; }}
    }}
"""
#: The same format, in which nginx's own answer is another variable.
FORMAT = """log_format x '$msec "$realip_remote_addr" "$http_x_forwarded_for" "$answer"';"""

DRAWN = 400
ADDRESSES = (
    *("192.0.2.1", "192.0.2.77", "203.0.113.9", "198.51.100.9", "127.0.0.1", "2001:db8:1::7"),
    *("2001:db8:2::7", "::1", "::ffff:192.0.2.3", "::ffff:203.0.113.9", "2001:DB8::A:B"),
)
ODD = (
    *("unknown", "-", "unix:", "localhost", "203.0.113", "203.0.113.256", "255.255.255.255", '"'),
    *("203.000.113.009", "192.0.2.", "...", "fe80::1%eth0", "2001:db8::g", "[]", ":80", "::"),
    *("[203.0.113.9", "203.0.113.9]", "[2001:db8::7]x", "203.0.113.9:", "203.0.113.9:x", "é"),
    *("2001:db8::7:", ":2001:db8::7", "1:2:3:4:5:6:7::", "::ffff:192.0.02.7", "::192.0.2.256"),
    *("1:2:3:4:5:6:7:8:9", "192.0.2.1.", "0x7f.0.0.1", "for=203.0.113.9", "203.0.113.9\t"),
)
SEPARATORS = (", ", ", ", ", ", ",", " ", "  ", " , ", ",,", ", ,")
PORTS = ("80", "51234", "65535", "0", "65536", "00080", "8080x", "")


def spelled(draw: random.Random) -> str:
    """Draw an entry of a list: an address in any spelling, or none."""
    if draw.random() < 0.15:
        return draw.choice(ODD)
    address = draw.choice(ADDRESSES)
    port = draw.choice(PORTS)
    brackets = [f"[{address}]:{port}", f"[{address}]" if takes_brackets_alone() else address]
    return draw.choice([address] * 5 + [f"{address}:{port}", *brackets])


@cache
def takes_brackets_alone() -> bool:
    """Whether nginx reads an address in brackets without a port, as it does from 1.27.3 on."""
    said = subprocess.run([nginx.binary(), "-v"], check=True, capture_output=True, text=True)
    version = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", said.stderr)
    assert version is not None
    return tuple(map(int, version.groups())) >= (1, 27, 3)


def header(draw: random.Random) -> str:
    """Draw the value of a header."""
    text = draw.choice(["", "", "", "", ",", ", "])
    for _ in range(draw.randint(1, 5)):
        text += spelled(draw) + draw.choice(SEPARATORS)
    return text if draw.random() < 0.2 else text.rstrip(" ,")


def requests(draw: random.Random) -> Iterator[bytes]:
    """Draw requests with one or two headers, and one with none."""
    yield b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"
    for _ in range(DRAWN):
        headers = [header(draw) for _ in range(draw.choice([1, 1, 1, 2]))]
        if len(headers) == 2:  # which begin with an entry: no log tells an empty one
            headers = [text.strip(" ,") or "unknown" for text in headers]
        lines = "".join(f"X-Forwarded-For: {text}\r\n" for text in headers)
        yield f"GET / HTTP/1.1\r\nHost: example.com\r\n{lines}\r\n".encode()


class Servers:
    """An nginx with a server for each that is trusted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {name: (free_port(), free_port()) for name in TRUSTED}
        servers = "".join(
            SERVER.format(
                folder=folder,
                name=name,
                ipv4=ipv4,
                ipv6=ipv6,
                trusted=" ".join(f"set_real_ip_from {one};" for one in TRUSTED[name]),
            )
            for name, (ipv4, ipv6) in self.ports.items()
        )
        (folder / "nginx.conf").write_text(
            CONFIGURATION.format(folder=folder, servers=servers), encoding="utf-8"
        )

    def connections(self) -> Iterator[socket.socket]:
        """Connect to each server in each way: one of them is from an IPv4 address within IPv6."""
        for name, (ipv4, ipv6) in self.ports.items():
            for address in (("127.0.0.1", ipv4), ("127.0.0.1", ipv6), ("::1", ipv6)):
                yield socket.create_connection(address, timeout=PATIENCE)
            unix = socket.socket(socket.AF_UNIX)
            unix.connect(str(self.folder / f"{name}.sock"))
            yield unix

    def listen(self) -> None:
        """Fail unless they can be connected to, everywhere."""
        for connection in self.connections():
            connection.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logs of a server that was asked with the same drawn headers from everywhere."""
    folder = tmp_path_factory.mktemp("realip")
    for parent in (folder, *folder.parents[:3]):
        parent.chmod(0o755)  # nginx's workers are another user
    servers = Servers(folder)
    sent = list(requests(random.Random(7)))  # noqa: S311 - not for secrets
    process = subprocess.Popen(
        [nginx.binary(), "-p", str(folder), "-c", str(folder / "nginx.conf")],
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(servers.listen)
        for connection in servers.connections():
            with connection, connection.makefile("rb") as answers:
                for request in sent:
                    connection.sendall(request)
                    while answers.readline() not in (b"\r\n", b""):
                        pass
    finally:
        process.terminate()
        process.wait()
    return folder


@pytest.mark.parametrize("name", TRUSTED)
def test_the_client_is_the_one_that_nginx_finds(name: str, folder: Path) -> None:
    """From the peer and the header that it logs, for every peer and every drawn header."""
    trusted = " ".join(f"set_real_ip_from {one};" for one in TRUSTED[name])
    parse = access_parser(f"{FORMAT} {trusted}")
    lines = (folder / f"{name}.log").read_bytes().splitlines()
    peers = set()
    replaced = 0
    for line in lines:
        event = parse(line)
        extra = event.extra or {}
        answer = str(extra["answer"])
        expected = None if answer == "unix:" else unmapped(ip_address(answer).packed)
        assert event.client == expected, line
        assert extra.get("client") == ("unix:" if expected is None else None)
        peers.add(str(extra.get("realip_remote_addr", answer)))
        replaced += "realip_remote_addr" in extra

    assert len(lines) == 4 * (DRAWN + 1)
    assert peers >= {"127.0.0.1", "::ffff:127.0.0.1", "::1", "unix:"}
    assert (replaced > 100) is (name != "far")
