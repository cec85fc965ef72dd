"""A TCP proxy that fails on demand: it stands between a service and a server."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Self

from pymysql.constants import CLIENT

from datastream_playground.local.ports import LOOPBACK, free_port

#: Close with a reset instead of in good order, as a firewall or a power cut does.
RESET = struct.pack("ii", 1, 0)

#: Is shown what a client sends before it is passed on, and what the server answers after.
Look = Callable[["Link", bytes], bytes]


class Link:
    """One connection through the proxy."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        #: Those who pass something on. The last one of them closes both ends, and nobody else does:
        #: who still waits in a call on an end that is closed would take what comes through the
        #: next connection that is given its number.
        self._users = 2
        self.is_cut = False
        self._lock = threading.Lock()
        #: Cleared: nothing passes any more, and neither end is told.
        self.passes = threading.Event()
        self.passes.set()
        #: Whether the words have come after which others are waited for.
        self.is_marked = False
        #: Whether those have come too.
        self.is_awaited = False

    def cut(self) -> None:
        """Break the connection at both ends. What was held up does not get through after all."""
        with self._lock:
            self.is_cut = True
            for end in (self.client, self.server):
                with suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self.passes.set()

    def leave(self) -> None:
        """Break the connection, and pass nothing on any more: called once by each who does."""
        self.cut()
        with self._lock:
            self._users -= 1
            if not self._users:
                self.client.close()
                self.server.close()

    def hang(self) -> None:
        """Let nothing pass any more; both ends believe that the other one is there."""
        self.passes.clear()


class Proxy:
    """Passes on what comes, until told otherwise. Its port stays the same through every fault."""

    def __init__(self, host: str, port: int) -> None:
        self.port = free_port()
        #: How many connections were made through it.
        self.connections = 0
        #: Bytes per second in each direction of a connection; 0 is as fast as it goes.
        self.speed = 0
        self._target = (host, port)
        self._links: list[Link] = []
        self._sent: Look | None = None
        self._answered: Look | None = None
        self._refuses = False
        self._lock = threading.Lock()
        self._listener = socket.create_server((LOOPBACK, self.port))
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Break every connection, and take no more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        # Closed below a thread that is about to accept, its number would be that of the next
        # proxy's listener, and the thread would take a connection from that.
        self._accepting.join()
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Break the connections that there are; new ones are made as usual."""
        with self._lock:
            links, self._links = self._links, []
        for link in links:
            link.cut()

    def refuse(self) -> None:
        """Break all connections and let none be made, until `accept`."""
        self._refuses = True
        self.cut()

    def accept(self) -> None:
        """Let connections be made again."""
        self._refuses = False

    def hang(self) -> None:
        """Leave the connections that there are half open: nothing passes, and nobody is told."""
        with self._lock:
            links, self._links = self._links, []
        for link in links:
            link.hang()

    def on_sending(self, look: Look | None) -> None:
        """Show `look` each chunk that a client sends; what it returns is passed on."""
        self._sent = look

    def on_answer(self, look: Look | None) -> None:
        """Show `look` each chunk that the server sends; what it returns is passed on."""
        self._answered = look

    def cut_within(
        self, length: int, *, of_answer: bool = False, for_good: bool = False
    ) -> threading.Event:
        """Break the next connection in the middle of a chunk of at least `length` bytes.

        For good: let none be made afterwards, until `accept`.

        Returns what is set once that has happened.
        """
        done = threading.Event()

        def look(link: Link, data: bytes) -> bytes:
            if len(data) < length or done.is_set():
                return data
            self._refuses = for_good
            done.set()
            with suppress(OSError):
                (link.client if of_answer else link.server).sendall(data[: len(data) // 2])
            link.cut()
            return b""

        if of_answer:
            self.on_answer(look)
        else:
            self.on_sending(look)
        return done

    def hold(self, words: bytes, after: bytes) -> threading.Event:
        """Leave a connection half open that sends these words, some time after others, once.

        The words do not get through. Returns what is set once that has happened.
        """
        done = threading.Event()

        def look(link: Link, data: bytes) -> bytes:
            link.is_marked |= after in data
            if link.is_marked and words in data and not done.is_set():
                link.hang()
                done.set()
            return data

        self.on_sending(look)
        return done

    def lose_answer(self, words: bytes, after: Collection[bytes]) -> threading.Event:
        """Pass these words on, and break the connection in place of the answer to them, once.

        The first ones that come some time after any of the others. Returns what is set once that
        has happened.
        """
        done = threading.Event()

        def sent(link: Link, data: bytes) -> bytes:
            link.is_marked |= any(others in data for others in after)
            link.is_awaited |= link.is_marked and words in data
            return data

        def answered(link: Link, data: bytes) -> bytes:
            if link.is_awaited and not done.is_set():
                done.set()
                link.cut()
                return b""
            return data

        self.on_sending(sent)
        self.on_answer(answered)
        return done

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refuses:
                client.close()
                continue
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = Link(client, server)
            with self._lock:
                self._links.append(link)
                self.connections += 1
            for pump in (self._pump_out, self._pump_back):
                threading.Thread(target=pump, args=(link,), daemon=True).start()

    def _pump_out(self, link: Link) -> None:
        self._pump(link, link.client, link.server, lambda: self._sent)

    def _pump_back(self, link: Link) -> None:
        self._pump(link, link.server, link.client, lambda: self._answered)

    def _pump(
        self,
        link: Link,
        source: socket.socket,
        sink: socket.socket,
        looked: Callable[[], Look | None],
    ) -> None:
        try:
            while data := source.recv(self.speed // 10 or 65536):
                if link.is_cut:  # this was still on its way
                    break
                if self.speed:
                    time.sleep(len(data) / self.speed)  # what a slow line is
                look = looked()
                if look is not None:
                    data = look(link, data)
                link.passes.wait()
                sink.sendall(data)
        except OSError:
            pass
        link.passes.wait()
        link.leave()


class DatabaseProxy(Proxy):
    """The same before a database. It sees what is said, for it takes the offer of TLS away."""

    def _pump_back(self, link: Link) -> None:
        with suppress(OSError):
            greeting = without_tls(link.server.recv(65536))
            link.passes.wait()
            link.client.sendall(greeting)
        super()._pump_back(link)


def without_tls(greeting: bytes) -> bytes:
    """Return the greeting of a database without its offer of TLS; anything else as it is."""
    changed = bytearray(greeting)
    # After the header of 4 bytes comes the protocol's version: an error has none.
    if greeting[4:5] == b"\x0a":
        # After the server's version, up to a NUL: thread, salt, NUL, flags.
        changed[greeting.index(0, 5) + 15] &= ~(CLIENT.SSL >> 8)
    return bytes(changed)
