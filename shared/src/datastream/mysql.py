"""The database: a session and its transactions.

In the library and the services only this module and inserts.py import PyMySQL. Works with MySQL 8.4
and later and with MariaDB 10.11 and later.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, LiteralString

import pymysql
from pymysql import connections
from pymysql.constants import CR, ER, SERVER_STATUS

from datastream import greetings
from datastream.config import MysqlSettings
from datastream.errors import RowRefused, Unavailable
from datastream.inserts import Insert, Statement, numbers, texts
from datastream.streams import Stream
from datastream.tls import Unusable

CONNECT_TIMEOUT = 5
#: Seconds a statement may take. A batch takes some 50 ms; whatever takes this long hangs.
READ_TIMEOUT = 60
#: Seconds after which the server ends a silent session, and with it the transaction of a client
#: whose machine is gone: otherwise the redelivered batch waits for hours on its locks.
SESSION_TIMEOUT = 20

#: Strict, so that no value is changed to fit. Without NO_BACKSLASH_ESCAPES: the driver's
#: escape_string relies on backslashes, and under that mode would let an injection through.
SQL_MODE = "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"

#: The errors about a row's data; trying again cannot help. Told by number and not by exception
#: class: 1292, 3140, 3819 and 4025 arrive as OperationalError, as lost connections do.
#: Everything else, known or not, is an outage: a missing grant must not quarantine a whole log.
DATA_ERRORS = frozenset({1048, 1264, 1265, 1292, 1366, 1406, 3140, 3819, 4025})
#: A deadlock and a lock that took too long. The session is sound: only the batch is tried again.
LOCK_ERRORS = frozenset({1205, 1213})

#: Bytes; no server can be set to take a longer statement.
GREATEST_PACKET = 1024**3

#: What gives an account its rights.
MAKE_ACCOUNTS = (
    "`datastream accounts --print --mysql | sudo mysql` on the database's host"
    " (in containers `make migrate`)"
)
_GRANTS = f"check the grants of the account, or give it its rights: {MAKE_ACCOUNTS}"
_MIGRATE = "the schema is older than the code: run the migrations"
_LOGIN = f"check MYSQL_USER and MYSQL_PASSWORD, or make the account: {MAKE_ACCOUNTS}"
_DISK = "make room on the server's disk"
_READ_ONLY = "let it take writes again, or let MYSQL_HOST name the server that does"
_EXPIRED = "give the account a new password (ALTER USER … IDENTIFIED BY …), here and there"
_LOCKED = "let the account in again: ALTER USER … ACCOUNT UNLOCK"
_BINARY_LOG = "set its binlog_format to ROW: consumers read what is committed (READ COMMITTED)"
_DAMAGED = "look at the server's error log: the table cannot be read there"

#: What a person can do about an error, by its number.
HINTS = {
    1021: _DISK,
    1030: "look at the server's error log: its storage fails",
    1034: _DAMAGED,
    1036: _READ_ONLY,
    1037: "give the server more memory",
    1040: "raise its max_connections, or end other sessions",
    1041: "give the server more memory",
    1044: _GRANTS,
    1045: f"{_LOGIN}; and check MYSQL_TLS_CERT if the account requires one",
    1049: f"correct MYSQL_DATABASE, or create the database: {MAKE_ACCOUNTS}",
    1054: _MIGRATE,
    1071: "set its innodb_page_size to 16k: its pages hold no key of this length",
    1101: "set its sql_mode as it comes: the column may not have this default",
    1114: _DISK,
    1118: "give the table ROW_FORMAT = DYNAMIC by ALTER TABLE, or set its innodb_page_size to 16k",
    1129: "let this host in again: FLUSH HOSTS (MySQL: TRUNCATE performance_schema.host_cache)",
    1130: "make an account for this host: it is known by its name or address there",
    1135: "give the server more memory or threads",
    1142: _GRANTS,
    1143: _GRANTS,
    1146: "the schema is not there: run the migrations",
    1153: "raise its max_allowed_packet: one line alone is longer",
    1194: _DAMAGED,
    1195: _DAMAGED,
    1203: "raise max_user_connections, or end other sessions of the account",
    1206: "raise its innodb_buffer_pool_size: there is no room for locks",
    1226: "raise the account's limit (ALTER USER … WITH …), or wait until its hour is over",
    1227: _GRANTS,
    1251: "give the account a newer way to log in (ALTER USER … IDENTIFIED VIA / WITH …)",
    1286: "enable the storage engine InnoDB",
    1290: _READ_ONLY,
    1305: _MIGRATE,
    1347: "something else has the name of one of our tables: give MYSQL_DATABASE one of its own",
    1356: f"{_GRANTS}, and run the migrations",
    1364: "a column is there that this version does not fill: use the version that made it",
    1370: _GRANTS,
    1410: _GRANTS,
    1418: "set its log_bin_trust_function_creators to 1, or let an account with SUPER migrate",
    1419: "set its log_bin_trust_function_creators to 1, or let an account with SUPER migrate",
    1449: "make the account again that ran the migrations, or have the procedure made by another",
    1524: "load the plugin there, or give the account another way to log in",
    1598: _BINARY_LOG,
    1665: _BINARY_LOG,
    1666: _BINARY_LOG,
    1698: _LOGIN,
    1709: "give the table ROW_FORMAT = DYNAMIC by ALTER TABLE: the others hold no key so long",
    1785: "make every table of the database an InnoDB table: its GTIDs allow no other",
    1792: _READ_ONLY,
    1812: _DAMAGED,
    1820: _EXPIRED,
    1836: _READ_ONLY,
    1862: _EXPIRED,
    1877: _DAMAGED,
    1932: _DAMAGED,
    3032: "let it take sessions again: SET GLOBAL offline_mode = OFF",
    3098: "the group takes no table without a primary key: run the migrations",
    3118: _LOCKED,
    3159: "set MYSQL_TLS: it lets no account in without",
    3168: "wait until it has started, or look at its error log",
    3572: "end the session that holds the rows",
    3700: _GRANTS,
    3750: "the server takes no table without a primary key: run the migrations",
    3955: f"{_LOCKED}; it was locked after failed attempts",
    4151: _LOCKED,
}

Value = float | str | bytes | None | Sequence[int]


def explained(error: pymysql.MySQLError) -> str:
    """Return the server's error number and words, and what to do about it where that is known."""
    match error.args:
        case (int(code), words):
            hint = HINTS.get(code)
            return f"error {code}: {words}; {hint}" if hint else f"error {code}: {words}"
    return str(error)


class Connection(connections.Connection):
    """The driver's, without the system's CAs where nothing is verified.

    The driver loads them for each connection, which takes longer than all the rest of opening one.
    """

    def _create_ssl_ctx(self, sslp: object) -> ssl.SSLContext:
        """Return the context of the TLS settings; without them, of TLS if the server offers it."""
        if isinstance(sslp, ssl.SSLContext):
            return sslp
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context


def connect(
    settings: MysqlSettings,
    read_timeout: float | None = None,
    write_timeout: float | None = None,
    **options: Any,
) -> Any:
    """Return a new connection of the driver, opened with its `options`.

    Once the server has let us in, a statement may take `read_timeout` seconds to be answered and
    `write_timeout` to be sent; None: any time.
    Raises Unavailable where the password's file cannot be read, TLS is on and fails, or another
    program answers, and what the driver raises for anything else.
    """
    try:
        connection: Any = Connection(
            host=settings.host,
            port=settings.port,
            user=settings.user,
            password=settings.password.read(),
            database=settings.database,
            charset="utf8mb4",
            # With a context the driver insists on TLS. Without one it takes what the server offers
            # and verifies nothing; caching_sha2_password relies on that.
            ssl=None if settings.tls is None else settings.tls.context(),
            connect_timeout=CONNECT_TIMEOUT,
            # Until the server has greeted us and let us in, which it may never do.
            read_timeout=CONNECT_TIMEOUT,
            # It bounds the TLS handshake, too.
            write_timeout=CONNECT_TIMEOUT,
            **options,
        )
    except Unusable as error:
        raise _no_session(settings, str(error), "tls") from error
    except (
        RuntimeError
    ) as error:  # the driver's, which lacks a package to encrypt a password itself
        raise _no_session(
            settings, "it takes the password over TLS alone, and offers none: see MYSQL_TLS", "tls"
        ) from error
    except pymysql.MySQLError as error:
        failure = (_is_no_greeting(error) and _stranger(settings)) or _tls_failure(error, settings)
        if failure is None:
            raise
        raise failure from error
    except (Unavailable, OSError):
        raise
    except Exception as error:  # the driver decodes what it gets without looking at it
        raise _stranger(settings) or _no_session(
            settings, "that is not MySQL's port: check MYSQL_HOST and MYSQL_PORT", "protocol"
        ) from error
    # The driver has one setting for both times, and no public way to change it later on.
    connection._read_timeout = read_timeout  # noqa: SLF001 - as said above
    connection._write_timeout = write_timeout  # noqa: SLF001 - as said above
    return connection


def _is_no_greeting(error: pymysql.MySQLError) -> bool:
    """Whether the server may have said nothing until it or we hung up, or something else."""
    return isinstance(error, pymysql.InternalError) or error.args[:1] == (CR.CR_SERVER_LOST,)


def _stranger(settings: MysqlSettings) -> Unavailable | None:
    words = greetings.stranger("MYSQL", settings.host, settings.port)
    return _no_session(settings, words, "protocol") if words else None


def _tls_failure(error: pymysql.MySQLError, settings: MysqlSettings) -> Unavailable | None:
    """Return a TLS failure in words; None when the error is another one."""
    tls = settings.tls
    if tls is None:
        return None
    code = error.args[0] if error.args else None
    if code == CR.CR_SSL_CONNECTION_ERROR:
        return _no_session(settings, tls.not_offered(settings.host), "tls")
    refusal = tls.refusal(error, settings.host)
    if refusal is not None:
        return _no_session(settings, refusal, "tls")
    if code in (CR.CR_SERVER_LOST, CR.CR_SERVER_GONE_ERROR) and tls.cert is not None:
        return _no_session(settings, f"{error}; {tls.hung_up()}", "connection")
    return None


def _no_session(settings: MysqlSettings, why: str, reason: str) -> Unavailable:
    return Unavailable(f"no session with {settings.host}:{settings.port}: {why}", reason)


class TakenBack(Exception):
    """Rolls back the transaction in whose body it is raised; the session goes on.

    Every answer of the server must have been read.
    """


class Session:
    """One connection, opened when it is needed and again after it was lost."""

    def __init__(self, settings: MysqlSettings, name: str) -> None:
        self._settings = settings
        self._name = name
        self._connection: Any = None
        self._used_at = 0.0
        #: How many connections have ended: what one has seen may not hold for the next, which may
        #: be to another server.
        self.ended = 0
        #: The longest statement that the server takes.
        self._most_bytes = 0

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Yield a transaction; commit it at the end, roll it back when the body raises.

        Raises RowRefused when the server refuses a value, Unavailable for every other failure.
        A commit that fails may hold or not: the same rows must be stored again, which changes
        nothing where they are there.
        """
        with self._translated():
            self._open()
            transaction = Transaction(self._connection.cursor(), self._most_bytes)
            try:
                yield transaction
                self._connection.commit()
                self._used_at = time.monotonic()
            except BaseException as error:
                # A server that is away has rolled back by itself.
                with suppress(pymysql.MySQLError, OSError):
                    self._connection.rollback()
                if not isinstance(error, pymysql.MySQLError | Unavailable | TakenBack):
                    self.close()  # an answer may be half read: it is not the next statement's
                raise

    def close(self) -> None:
        """End the session; the next transaction opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self.ended += 1
            with suppress(pymysql.MySQLError, OSError):
                connection.close()

    def _open(self) -> None:
        if self._connection is not None and time.monotonic() - self._used_at > SESSION_TIMEOUT / 2:
            self.close()  # rather than find out by an error that the server has ended it
        if self._connection is not None:
            return
        settings = self._settings
        connection = connect(
            settings,
            sql_mode=SQL_MODE,
            init_command="SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            # For what follows; then for a batch.
            read_timeout=CONNECT_TIMEOUT,
            write_timeout=READ_TIMEOUT,
            program_name=self._name,
            autocommit=False,
        )
        if connection.server_status & SERVER_STATUS.SERVER_STATUS_NO_BACKSLASH_ESCAPES:
            connection.close()
            raise Unavailable("the server insists on NO_BACKSLASH_ESCAPES in sql_mode", "sql_mode")
        with connection.cursor() as cursor:
            cursor.execute(
                "SET SESSION time_zone = '+00:00', wait_timeout = %s", (SESSION_TIMEOUT,)
            )
            cursor.execute("SELECT @@max_allowed_packet")
            self._most_bytes = cursor.fetchone()[0]
        connection._read_timeout = READ_TIMEOUT  # noqa: SLF001
        self._connection = connection
        self._used_at = time.monotonic()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except pymysql.MySQLError as error:
            code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
            if code in DATA_ERRORS:
                raise RowRefused(f"error {code}") from error
            if code in LOCK_ERRORS:
                raise Unavailable(explained(error), "lock") from error
            self.close()
            reason = "statement" if code in HINTS else _lost(error)
            raise Unavailable(explained(error), reason) from error
        except OSError as error:
            self.close()
            raise Unavailable(str(error)) from error


def _lost(error: pymysql.MySQLError) -> str:
    """Return how a connection was lost: `timeout` while a statement ran, else `connection`."""
    # The driver gives both the same numbers, and keeps the cause only as the context.
    is_slow = error.args[:1] != (CR.CR_CONN_HOST_ERROR,) and isinstance(
        error.__context__, TimeoutError
    )
    return "timeout" if is_slow else "connection"


class Transaction:
    """The statements of one transaction; none is longer than `most_bytes`, the server's limit."""

    def __init__(self, cursor: Any, most_bytes: int = GREATEST_PACKET) -> None:
        self._cursor = cursor
        self._most_bytes = most_bytes

    def insert(self, insert: Insert, rows: Sequence[Sequence[object]]) -> int:
        """Add rows, in as many statements as it takes, and return how many were affected.

        With `ON DUPLICATE KEY UPDATE key = key` a new row counts 1 and an existing one 0.
        """
        return sum(map(self._insert, insert.statements(rows)))

    def _insert(self, statement: Statement) -> int:
        query = str(statement).encode()
        # The server counts a byte for the command.
        if len(query) >= self._most_bytes:
            if len(statement.rows) == 1:
                # As the server would, if the connection did not break before it can say so.
                raise pymysql.OperationalError(ER.NET_PACKET_TOO_LARGE, f"{len(query)} bytes")
            return sum(map(self._insert, statement.halves()))
        affected: int = self._cursor.execute(query)
        return affected

    def execute(self, statement: LiteralString, parameters: Sequence[Value] = ()) -> int:
        """Run one statement with `%s` parameters and return how many rows were affected."""
        affected: int = self._cursor.execute(statement, parameters)
        return affected

    def select(self, statement: LiteralString, parameters: Sequence[Value] = ()) -> Iterator[Any]:
        """Run a query with `%s` parameters and return its rows as tuples."""
        self._cursor.execute(statement, parameters)
        rows: Iterator[Any] = iter(self._cursor.fetchall())
        return rows


INSERT_STREAMS = Insert(
    """
    INSERT INTO log_stream ({columns}) VALUES {values}
    ON DUPLICATE KEY UPDATE stream_id = stream_id
    """,
    {
        "stream_id": numbers,
        "source": texts,
        "host": texts,
        "path": texts,
        "format": texts,
        "generation": numbers,
    },
)


#: Keys that a statement asks for: a server may plan a query with a longer list differently.
KEYS_AT_ONCE = 500


class Vanished(Unavailable):
    """Rows that this process has written or seen are gone: the database was set back.

    To an older backup, or to a replica that was behind. All that remembers them must forget them.
    """

    def __init__(self, table: str) -> None:
        super().__init__(
            f"rows of {table} that were there are gone, as the database was set back to an older"
            " state or somebody removed them; they are written again",
            "lock",
        )


def assert_there(
    transaction: Transaction, table: str, query: LiteralString, keys: Collection[int]
) -> None:
    """Raise Vanished unless the table has a row for each of the keys.

    Call it in the transaction that stores rows naming them: until that ends the table cannot be
    dropped. `query` counts the rows whose keys are in a list, `%s`.
    """
    asked = list(keys)
    for start in range(0, len(asked), KEYS_AT_ONCE):
        part = asked[start : start + KEYS_AT_ONCE]
        ((count,),) = transaction.select(query, (part,))
        if count != len(part):
            raise Vanished(table)


class StreamLog:
    """Writes log_stream: each stream once, by whichever consumer sees it first."""

    COUNT: LiteralString = "SELECT COUNT(*) FROM log_stream WHERE stream_id IN %s"

    def __init__(self, session: Session) -> None:
        self._session = session
        self._ended = session.ended
        self._written: set[int] = set()

    def ensure(self, streams: Iterable[Stream]) -> None:
        """Commit the streams that are new to this session. Raises RowRefused, Unavailable."""
        if self._ended != self._session.ended:
            self._ended = self._session.ended
            self.forget()
        new = {s.stream_id: s for s in streams if s.stream_id not in self._written}
        if not new:
            return
        rows = [
            (s.stream_id, s.source, s.host, s.path, s.format, s.generation)
            for _, s in sorted(new.items())
        ]
        with self._session.transaction() as transaction:
            transaction.insert(INSERT_STREAMS, rows)
        self._written |= new.keys()

    def assert_there(self, transaction: Transaction, streams: Iterable[Stream]) -> None:
        """Raise Vanished unless the table still has each of the streams."""
        keys = {stream.stream_id for stream in streams}
        assert_there(transaction, "log_stream", self.COUNT, keys)

    def forget(self) -> None:
        """Forget which streams are written."""
        self._written.clear()
