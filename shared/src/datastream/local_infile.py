"""A connection that opens no file for the server: LOAD DATA LOCAL has its rows out of memory.

Whether a statement asks for it or not, a server may ask a client for any of its files; the driver
sends what is asked for. This connection sends the rows of the statement in hand, once, and to
anything else nothing: it ends the session.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pymysql
from pymysql import connections
from pymysql.charset import charset_by_name
from pymysql.constants import CR
from pymysql.protocol import LoadLocalPacketWrapper, OKPacketWrapper

#: The client's own error number for a file that it refuses to send.
REJECTED = 2068
#: Bytes of a packet of rows, where the server takes packets of this length.
PACKET_BYTES = 64 * 1024
#: Characters of a file's name in an error.
SHOWN = 200


class Loaded(NamedTuple):
    """What the server says of rows that it has loaded."""

    #: How many are new.
    new: int
    warnings: int


class _Offer(NamedTuple):
    """The rows of the statement in hand, under the name that it gives them."""

    name: bytes
    rows: bytes
    #: Bytes of a packet at most.
    packet: int


class Connection(connections.Connection):
    """The driver's, without its way to the files of this machine."""

    #: None while no statement in hand may be asked for rows.
    _offer: _Offer | None = None

    def load(self, statement: str, name: str, rows: bytes, most_bytes: int) -> Loaded:
        """Run a LOAD DATA LOCAL that names `name`, and send these rows for it.

        The server takes packets of less than `most_bytes`. Raises pymysql.MySQLError, with the
        number REJECTED when it asks for anything else.
        """
        self._offer = _Offer(name.encode(), rows, min(PACKET_BYTES, most_bytes - 1))
        try:
            self.query(statement)
        finally:
            self._offer = None
        answer: Any = self._result
        return Loaded(answer.affected_rows, answer.warning_count)

    def set_character_set(self, charset: str, collation: str | None = None) -> None:
        """Set the character set of the session. The driver's own looks at no answer."""
        words = f" COLLATE {collation}" if collation else ""
        self.query(f"SET NAMES {charset}{words}")
        self.charset, self.collation = charset, collation
        self.encoding = charset_by_name(charset).encoding

    def _read_query_result(self, unbuffered: bool = False) -> Any:
        """Read the answer to a statement, as the driver does, but for a request for a file."""
        self._result = None
        result = _Answer(self)
        if unbuffered:
            result.init_unbuffered_query()
        else:
            result.read()
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return result.affected_rows

    def show_warnings(self) -> Any:
        """Return level, number and words of each warning about the last statement."""
        self.query("SHOW WARNINGS")
        answer: Any = self._result
        return answer.rows

    def _read_ok_packet(self) -> OKPacketWrapper:
        """Read the answer to COMMIT and its like, as the driver does, but for such a request."""
        driver: Any = self
        answer = driver._read_packet()  # noqa: SLF001 - the driver's
        self.refuse(answer)
        if not answer.is_ok_packet():
            raise _out_of_sync()
        read = OKPacketWrapper(answer)
        self.server_status = read.server_status
        return read

    def refuse(self, answer: Any) -> None:
        """End the session if an answer that may be none asks for a file, and raise that."""
        if answer.is_load_local_packet():
            self._offer = None
            self.send_rows(answer)

    def send_rows(self, request: Any) -> None:
        """Send the rows in hand, if the request names them; else end the session, and raise it."""
        name = LoadLocalPacketWrapper(request).filename
        offer, self._offer = self._offer, None  # once
        if offer is None or offer.name != name:
            self._end()
            raise pymysql.OperationalError(
                REJECTED,
                f"the server asked for the file {_shown(name)}, which no statement of ours names;"
                " it was sent nothing, and the session is ended",
            )
        try:
            for start in range(0, len(offer.rows), offer.packet):
                self.write_packet(offer.rows[start : start + offer.packet])
            self.write_packet(b"")
        except BaseException:
            self._end()  # the server would take what comes next for rows
            raise

    def _end(self) -> None:
        driver: Any = self
        driver._force_close()  # noqa: SLF001 - the driver's


class _Answer(connections.MySQLResult):
    """The driver's answer to a statement; a request for a file is the connection's matter."""

    def _read_load_local_packet(self, first_packet: Any) -> None:
        connection: Any = self.connection
        connection.send_rows(first_packet)
        answer = connection._read_packet()  # noqa: SLF001 - the driver's
        connection.refuse(answer)
        if not answer.is_ok_packet():
            raise _out_of_sync()
        read: Any = self._read_ok_packet  # type: ignore[attr-defined]  # the driver's
        read(answer)


def _out_of_sync() -> pymysql.OperationalError:
    return pymysql.OperationalError(CR.CR_COMMANDS_OUT_OF_SYNC, "Command Out of Sync")


def _shown(name: bytes) -> str:
    return repr(name.decode(errors="replace")[:SHOWN])
