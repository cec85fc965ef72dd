"""TLS to a real broker and a real database, with certificates that the test makes."""

from __future__ import annotations

import logging
import re
import socket
import ssl
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread

import pytest

from certificates import Authority
from datastream.config import MysqlSettings, RabbitSettings, Secret
from datastream.errors import Unavailable
from datastream.mysql import Session
from datastream.rabbitmq import connect, declare_topology
from datastream.tls import TlsSettings
from datastream_operator import migrate
from datastream_operator.doctor import database, encryption
from datastream_operator.doctor.report import Check, State
from datastream_playground.local import broker as broker_module
from datastream_playground.local import database as database_module
from datastream_playground.local.packages import ensure
from datastream_playground.local.ports import free_port
from datastream_playground.local.servers import Broker, Database
from deployment import PATIENCE, Deployment, eventually
from faults.proxy import without_tls

#: The name that the servers' certificates are for, and an address they can be reached at too.
NAME, ANOTHER_NAME = "localhost", "127.0.0.1"

BROKER = """\
listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.cacertfile = {ca}
ssl_options.certfile = {cert}
ssl_options.keyfile = {key}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = {demands}
"""
DATABASE = """\
ssl-ca = {ca}
ssl-cert = {cert}
ssl-key = {key}
"""


@dataclass(frozen=True)
class Secured:
    """Servers that speak TLS, and what a client needs to know of them."""

    ca: Authority
    cert: Path
    key: Path
    broker: Broker
    broker_port: int
    #: It lets nobody in without a certificate of the CA's.
    demanding: Broker
    demanding_port: int
    database: Database

    def rabbit(self, tls: TlsSettings | None, *, demanding: bool = False) -> RabbitSettings:
        """Return the settings of a client of a broker's TLS port."""
        broker = self.demanding if demanding else self.broker
        port = self.demanding_port if demanding else self.broker_port
        return RabbitSettings(NAME, port, "/", broker.user, Secret(broker.password), tls)

    def mysql(self, tls: TlsSettings | None, user: str = "root") -> MysqlSettings:
        """Return the settings of a client of the database."""
        password = self.database.password if user == "root" else "secret"
        return MysqlSettings(NAME, self.database.port, "mysql", user, Secret(password), tls)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Two brokers, one of which demands a certificate, and a database."""
    folder = tmp_path_factory.mktemp("tls")
    programs = ensure(logging.getLogger(__name__).info)
    ca = Authority(folder / "ca")
    cert, key = ca.issue(NAME)
    files = {"ca": ca.file, "cert": cert, "key": key}
    ports = [free_port(), free_port()]
    brokers = [Broker(folder / name, programs) for name in ("broker", "demanding")]
    database = Database(folder / "database", programs)
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as settings:
            plain = broker_module.SETTINGS
            for broker, port, demands in zip(brokers, ports, ("false", "true"), strict=True):
                more = BROKER.format(port=port, demands=demands, **files)
                settings.setattr(broker_module, "SETTINGS", plain + more)
                broker.launch()
                stack.callback(broker.stop)
            more = DATABASE.format(**files)
            settings.setattr(database_module, "SETTINGS", database_module.SETTINGS + more)
            database.launch()
            stack.callback(database.stop)
            for server in (database, *brokers):
                server.wait_until_ready()
        yield Secured(ca, cert, key, brokers[0], ports[0], brokers[1], ports[1], database)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A CA that the servers and the clients do not know."""
    return Authority(tmp_path_factory.mktemp("stranger") / "ca")


def on(side: str, ca: Path, client: tuple[Path, Path] | None = None) -> TlsSettings:
    """Return settings that trust a CA, with a certificate of the client's own or without."""
    cert, key = client or (None, None)
    return TlsSettings(side, ca, cert, key)


def said_by_broker(settings: RabbitSettings) -> str:
    """Return what a session with the broker fails with."""
    with pytest.raises(Unavailable) as raised, connect(settings, "test"):
        pass
    return str(raised.value)


def said_by_database(settings: MysqlSettings) -> set[str]:
    """Return what a consumer's session with the database fails with, and what a migration's."""
    with (
        closing(Session(settings, "test")) as session,
        pytest.raises(Unavailable) as raised,
        session.transaction(),
    ):
        pass
    with pytest.raises(Unavailable) as migrating:
        migrate.apply(settings)
    return {str(raised.value), str(migrating.value)}


def cipher(settings: MysqlSettings) -> str:
    """Return what the server says the session is encrypted with; empty when it is not."""
    with closing(Session(settings, "test")) as session, session.transaction() as transaction:
        ((_, name),) = transaction.select("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
        return str(name)


def test_a_verified_session_with_the_broker(secured: Secured) -> None:
    """It opens, at a port where nothing but TLS is spoken."""
    settings = secured.rabbit(on("RABBIT", secured.ca.file))

    with connect(settings, "test") as connection:
        assert connection.is_open
    with (
        pytest.raises(Unavailable, match="if it speaks TLS at this port, set RABBIT_TLS"),
        connect(replace(settings, tls=None), "test"),
    ):
        pass


def test_a_verified_session_with_the_database(secured: Secured) -> None:
    """The server itself says that it is encrypted."""
    assert cipher(secured.mysql(on("MYSQL", secured.ca.file))).startswith(("TLS_", "ECDHE-"))


def test_the_doctor_says_what_was_agreed_on(secured: Secured) -> None:
    """Of both servers the protocol, that it is verified, and how long the certificate holds."""
    rabbit = secured.rabbit(on("RABBIT", secured.ca.file))
    mysql = secured.mysql(on("MYSQL", secured.ca.file))
    unverified = replace(mysql, tls=replace(on("MYSQL", secured.ca.file), verify=False))

    def tls(settings: MysqlSettings) -> Check:
        checks = database.examine({"MIGRATOR": settings})
        return next(check for check in checks if check.name == "database TLS")

    for check in (encryption.check_broker("broker TLS", rabbit), tls(mysql)):
        (words,) = check.words
        assert re.fullmatch(r"TLSv1\.[23], [\w-]+, verified, \d+ days left", words)
    assert tls(unverified).state is State.ATTENTION
    assert "days left: any server is believed" in tls(unverified).words[0]
    assert "not verified" in tls(secured.mysql(None)).words[0]


def test_off_is_what_it_was(secured: Secured) -> None:
    """The driver encrypts where the database offers it, without a look at the certificate."""
    assert cipher(secured.mysql(None)).startswith(("TLS_", "ECDHE-"))


def test_the_wrong_name(secured: Secured) -> None:
    """It is refused, and said to be that."""
    rabbit = replace(secured.rabbit(on("RABBIT", secured.ca.file)), host=ANOTHER_NAME)
    mysql = replace(secured.mysql(on("MYSQL", secured.ca.file)), host=ANOTHER_NAME)

    assert said_by_broker(rabbit) == (
        f"no session with 127.0.0.1:{secured.broker_port}: the certificate of 127.0.0.1 is for"
        " another name, not for 127.0.0.1: RABBIT_HOST must be a name that it holds"
    )
    (said,) = said_by_database(mysql)
    assert said == (
        f"no session with 127.0.0.1:{secured.database.port}: the certificate of 127.0.0.1 is for"
        " another name, not for 127.0.0.1: MYSQL_HOST must be a name that it holds"
    )


def test_a_ca_that_is_unknown(secured: Secured, stranger: Authority) -> None:
    """It is refused, and said to be that; with no CA set, the system's are asked."""
    rabbit = said_by_broker(secured.rabbit(on("RABBIT", stranger.file)))
    (mysql,) = said_by_database(secured.mysql(on("MYSQL", stranger.file)))

    assert "certificate of localhost is signed by a CA that RABBIT_TLS_CA does not hold" in rabbit
    assert "certificate of localhost is signed by a CA that MYSQL_TLS_CA does not hold" in mysql
    system = "is signed by a CA that this system does not know: set"
    assert system in said_by_broker(secured.rabbit(TlsSettings("RABBIT")))
    (mysql,) = said_by_database(secured.mysql(TlsSettings("MYSQL")))
    assert system in mysql


def test_a_name_with_an_address_that_does_not_answer(
    secured: Secured, stranger: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one address says of TLS is told, and not that the next one cannot be reached."""
    found = socket.getaddrinfo(ANOTHER_NAME, secured.broker_port, type=socket.SOCK_STREAM)
    nobody = [(*address[:4], ("127.0.0.1", 1)) for address in found]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found + nobody)

    said = said_by_broker(secured.rabbit(on("RABBIT", stranger.file)))

    assert "certificate of localhost is signed by a CA that RABBIT_TLS_CA does not hold" in said


def test_without_verification(secured: Secured, stranger: Authority) -> None:
    """Whoever answers is believed, under whatever name; the session is encrypted all the same."""
    tls = replace(on("RABBIT", stranger.file), verify=False)

    with connect(replace(secured.rabbit(tls), host=ANOTHER_NAME), "test") as connection:
        assert connection.is_open
    mysql = replace(secured.mysql(replace(tls, prefix="MYSQL")), host=ANOTHER_NAME)
    assert cipher(mysql).startswith(("TLS_", "ECDHE-"))


def test_a_broker_without_tls(secured: Secured) -> None:
    """Nothing is sent in plain text, whether the certificate would be verified or not."""
    for verify in (True, False):
        tls = TlsSettings("RABBIT", secured.ca.file, verify=verify)

        said = said_by_broker(replace(secured.rabbit(tls), port=secured.broker.port))

        assert said.endswith(
            "localhost offers no TLS at this port: turn it on there, "
            "or check RABBIT_PORT and RABBIT_TLS"
        )


@contextmanager
def offer_taken_away(database: Database) -> Iterator[int]:
    """Give a port at which somebody passes on the database's greeting, without its offer of TLS."""

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client, socket.create_connection((database.host, database.port)) as server:
                client.sendall(without_tls(server.recv(4096)))
                client.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # which ends the wait for a client
            thread.join()


def test_a_database_that_offers_no_tls(secured: Secured) -> None:
    """The driver does not fall back to plain text, not even where verification is off."""
    with offer_taken_away(secured.database) as port:
        for verify in (True, False):
            tls = TlsSettings("MYSQL", secured.ca.file, verify=verify)

            (said,) = said_by_database(replace(secured.mysql(tls), port=port))

            assert said.endswith(
                "localhost offers no TLS at this port: turn it on there, "
                "or check MYSQL_PORT and MYSQL_TLS"
            )


def test_a_broker_that_wants_a_certificate(secured: Secured, stranger: Authority) -> None:
    """One of its CA's opens the session; none, or another CA's, is refused in different words."""
    ca = secured.ca
    own, foreign = ca.issue("service"), stranger.issue("service")

    with connect(secured.rabbit(on("RABBIT", ca.file, own), demanding=True), "test") as connection:
        assert connection.is_open

    # Whether the broker's own words arrive before it has hung up is chance; the setting is named
    # in any case.
    without = said_by_broker(secured.rabbit(on("RABBIT", ca.file), demanding=True))
    assert "wants a client certificate" in without
    assert "set RABBIT_TLS_CERT and RABBIT_TLS_KEY" in without
    other = said_by_broker(secured.rabbit(on("RABBIT", ca.file, foreign), demanding=True))
    assert re.search("(refuses|check that it accepts) the certificate of RABBIT_TLS_CERT", other)


def test_an_account_that_wants_a_certificate(secured: Secured, stranger: Authority) -> None:
    """The database asks it of an account, and then says no more than that access is denied."""
    ca = secured.ca
    with secured.database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER careful IDENTIFIED BY 'secret' REQUIRE X509")
        cursor.execute("GRANT SELECT ON mysql.* TO careful")

    with_one = secured.mysql(on("MYSQL", ca.file, ca.issue("careful")), "careful")
    assert cipher(with_one)

    without = secured.mysql(on("MYSQL", ca.file), "careful")
    with (
        closing(Session(without, "test")) as session,
        pytest.raises(Unavailable, match=r"denied.*; check .*MYSQL_TLS_CERT if the account requi"),
        session.transaction(),
    ):
        pass
    foreign = secured.mysql(on("MYSQL", ca.file, stranger.issue("careful")), "careful")
    for said in said_by_database(foreign):
        assert re.search("(refuses|check that it accepts) the certificate of MYSQL_TLS_CERT", said)


def test_a_certificate_of_the_database_that_is_renewed(secured: Secured) -> None:
    """Once it has expired the database is away; with the new one the same session goes on."""
    before = secured.cert.read_bytes(), secured.key.read_bytes()
    settings = secured.mysql(on("MYSQL", secured.ca.file))
    with closing(Session(settings, "test")) as session, secured.database.connect() as admin:
        secured.ca.issue(NAME, expired=True)  # in the same files
        try:
            admin.cursor().execute("FLUSH SSL")
            with pytest.raises(Unavailable, match="has expired") as raised, session.transaction():
                pass
            assert raised.value.reason == "tls"
        finally:
            secured.cert.write_bytes(before[0])
            secured.key.write_bytes(before[1])
            admin.cursor().execute("FLUSH SSL")

        with session.transaction() as transaction:
            assert list(transaction.select("SELECT 1")) == [(1,)]


@contextmanager
def handshakes(cert: Path, key: Path) -> Iterator[int]:
    """Give the port of a server that shows a certificate, and has no more to say."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):
            client, _ = listener.accept()
            with client, context.wrap_socket(client, server_side=True):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        thread = Thread(target=serve, args=(listener,))
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_a_certificate_of_the_broker_that_has_expired(stranger: Authority) -> None:
    """It is said to be that, and not to be a CA that nobody knows."""
    tls = on("RABBIT", stranger.file)
    with handshakes(*stranger.issue(NAME, expired=True)) as port:
        said = said_by_broker(RabbitSettings(NAME, port, "/", "user", Secret("secret"), tls))

    assert said.endswith("the certificate of localhost, or of its CA, has expired: renew it")


def test_files_that_are_gone_while_a_service_runs(secured: Secured, tmp_path: Path) -> None:
    """At the next connection that is an outage, which ends when they are back."""
    rabbit = secured.rabbit(on("RABBIT", tmp_path / "none"))
    mysql = secured.mysql(on("MYSQL", tmp_path / "none"))

    assert "RABBIT_TLS_CA names a file that cannot be read" in said_by_broker(rabbit)
    (said,) = said_by_database(mysql)
    assert "MYSQL_TLS_CA names a file that cannot be read" in said


@pytest.fixture
def installation(secured: Secured, tmp_path: Path) -> Iterator[Deployment]:
    """A vhost and a schema on the servers that speak TLS, whose account may not do without."""
    name = f"t_tls_{uuid.uuid4().hex[:6]}"
    with closing(Deployment(name, secured.demanding, secured.database, tmp_path)) as made:
        assert made.rabbit.vhost == made.mysql.user == name
        with secured.database.connect() as connection, connection.cursor() as cursor:
            cursor.execute("ALTER USER %s@'%%' REQUIRE X509", (name,))
        yield made


def test_a_line_travels_encrypted_all_the_way(secured: Secured, installation: Deployment) -> None:
    """From the producer to both tables, between servers that want certificates; migrations too."""
    cert, key = secured.ca.issue("service")
    changes: dict[str, str] = {"RABBIT_PORT": str(secured.demanding_port)}
    for side in ("RABBIT", "MYSQL"):
        changes |= {
            f"{side}_HOST": NAME,
            f"{side}_TLS": "yes",
            f"{side}_TLS_CA": str(secured.ca.file),
            f"{side}_TLS_CERT": str(cert),
            f"{side}_TLS_KEY": str(key),
        }
    rabbit = on("RABBIT", secured.ca.file, (cert, key))
    mysql = on("MYSQL", secured.ca.file, (cert, key))
    migrated = replace(installation.mysql, host=NAME, tls=mysql)
    declare_topology(
        replace(installation.rabbit, host=NAME, port=secured.demanding_port, tls=rabbit)
    )
    assert migrate.roll_back(migrated) == migrate.apply(migrated)[::-1]
    log = installation.folder / "access.log"
    log.write_text('192.0.2.1 - - [01/Jan/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "-"\n')

    consumers = [
        installation.start(name, **changes) for name in ("lake_consumer", "clean_consumer")
    ]
    for consumer in consumers:
        consumer.wait_ready()
    installation.publish_once(log, **changes)

    installation.assert_settled(1)
    assert installation.count("clean_log") == 1


def test_a_service_that_is_refused_says_why(secured: Secured, installation: Deployment) -> None:
    """In its log, in words, while it goes on trying; wrong files end it at the start."""
    changes = {"RABBIT_HOST": NAME, "RABBIT_PORT": str(secured.broker_port), "RABBIT_TLS": "yes"}
    log = installation.folder / "access.log"
    log.touch()
    producer = installation.start("producer", str(log), **changes)

    def told() -> None:
        assert "signed by a CA that this system does not know: set RABBIT_TLS_CA" in producer.text()
        assert producer.metric("datastream_retries_total", dependency="rabbitmq", reason="tls")

    eventually(told)
    assert producer.terminate() == 0

    wrong = installation.start("producer", str(log), **changes, RABBIT_TLS_CA="/nowhere/ca.pem")
    assert wrong.wait() == 78
    (line,) = wrong.text().splitlines()
    assert line.startswith("producer: RABBIT_TLS_CA names a file that cannot be read")
