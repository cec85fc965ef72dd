"""The settings of TLS, and a failure in words."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from certificates import Authority
from datastream import mysql
from datastream.config import ConfigError, Environment, MysqlSettings, RabbitSettings, Secret
from datastream.errors import Unavailable
from datastream.tls import TlsSettings

ACCOUNTS = {
    "MYSQL_DATABASE": "db",
    "MYSQL_USER": "u",
    "MYSQL_PASSWORD": "p",
    "RABBIT_USER": "u",
    "RABBIT_PASSWORD": "p",
}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A CA of the test's own."""
    return Authority(tmp_path / "ca")


def read(values: dict[str, str]) -> tuple[RabbitSettings, MysqlSettings]:
    """Read the settings of both sides."""
    env = Environment(ACCOUNTS | values)
    return RabbitSettings.read(env, "LAKE"), MysqlSettings.read(env, "LAKE")


def refused(values: dict[str, str]) -> str:
    """Return the one line that says why such settings are none."""
    with pytest.raises(ConfigError) as raised:
        read(values)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_off_by_default() -> None:
    """Both sides, and the broker's usual port."""
    rabbit, mysql = read({})

    assert (rabbit.tls, mysql.tls) == (None, None)
    assert (rabbit.port, mysql.port) == (5672, 3306)


def test_once_on_the_server_is_verified() -> None:
    """Its name and its CA, with TLS 1.2 or later; the broker's port is that of TLS."""
    rabbit, mysql = read({"RABBIT_TLS": "yes", "MYSQL_TLS": "yes"})

    assert (rabbit.port, mysql.port) == (5671, 3306)
    for tls in (rabbit.tls, mysql.tls):
        assert tls is not None
        context = tls.context()
        assert context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_each_side_for_itself() -> None:
    """One may be on without the other, and a port that is set is kept."""
    rabbit, mysql = read({"RABBIT_TLS": "yes", "RABBIT_PORT": "5673"})
    assert (rabbit.port, mysql.tls) == (5673, None)

    rabbit, mysql = read({"MYSQL_TLS": "yes"})
    assert rabbit.tls is None
    assert mysql.tls == TlsSettings("MYSQL")


def test_verification_is_turned_off_in_so_many_words() -> None:
    """Then whoever answers is believed."""
    rabbit, _ = read({"RABBIT_TLS": "yes", "RABBIT_TLS_VERIFY": "no"})

    assert rabbit.tls is not None
    assert rabbit.tls.context().verify_mode is ssl.CERT_NONE


def test_a_ca_that_is_set_is_the_only_one(authority: Authority) -> None:
    """The system's are not trusted beside it."""
    rabbit, _ = read({"RABBIT_TLS": "yes", "RABBIT_TLS_CA": str(authority.file)})

    assert rabbit.tls is not None
    assert rabbit.tls.context().cert_store_stats()["x509"] == 1


@pytest.mark.parametrize("part", ["CA", "CERT", "KEY"])
@pytest.mark.parametrize("side", ["RABBIT", "MYSQL"])
def test_what_would_have_no_effect(side: str, part: str) -> None:
    """Files of a TLS that is not on: whoever set them believes the session to be encrypted."""
    said = refused({f"{side}_TLS_{part}": "/x"})

    assert said == f"{side}_TLS_{part} is set, but {side}_TLS is not yes"


def test_half_a_certificate(authority: Authority) -> None:
    """The half that is missing is named."""
    cert, key = map(str, authority.issue("client"))

    said = refused({"MYSQL_TLS": "yes", "MYSQL_TLS_CERT": cert})
    assert said.startswith("MYSQL_TLS_KEY is not set, but MYSQL_TLS_CERT is")
    said = refused({"RABBIT_TLS": "yes", "RABBIT_TLS_KEY": key})
    assert said.startswith("RABBIT_TLS_CERT is not set, but RABBIT_TLS_KEY is")


@pytest.mark.parametrize("part", ["CA", "CERT", "KEY"])
def test_a_file_that_is_not_there(authority: Authority, tmp_path: Path, part: str) -> None:
    """Neither a folder nor nothing at all is a file: the setting and the path are named."""
    cert, key = map(str, authority.issue("client"))
    whole = {"RABBIT_TLS": "yes", "RABBIT_TLS_CERT": cert, "RABBIT_TLS_KEY": key}

    for path in (tmp_path / "none", tmp_path):
        said = refused(whole | {f"RABBIT_TLS_{part}": str(path)})
        assert said.startswith(f"RABBIT_TLS_{part} names a file that cannot be read: ")
        assert str(path) in said


def test_files_that_hold_something_else(authority: Authority, tmp_path: Path) -> None:
    """They are found out at the start, and not at each attempt to connect."""
    cert, key = map(str, authority.issue("client"))
    (tmp_path / "text").write_text("no certificate")
    text = str(tmp_path / "text")
    on = {"MYSQL_TLS": "yes"}

    said = refused(on | {"MYSQL_TLS_CA": text})
    assert said == f"MYSQL_TLS_CA: there is no certificate (PEM) in {text}"
    for files in ((text, key), (cert, text), (key, cert)):
        said = refused(on | {"MYSQL_TLS_CERT": files[0], "MYSQL_TLS_KEY": files[1]})
        assert said.startswith("MYSQL_TLS_CERT and MYSQL_TLS_KEY: there is no certificate with")


def test_a_key_of_another_certificate(authority: Authority) -> None:
    """It is said to be that."""
    cert, other = authority.issue("client")[0], authority.issue("other")[1]

    said = refused(
        {"RABBIT_TLS": "yes", "RABBIT_TLS_CERT": str(cert), "RABBIT_TLS_KEY": str(other)}
    )

    assert said.startswith("RABBIT_TLS_CERT and RABBIT_TLS_KEY are not a pair")


def test_a_key_with_a_passphrase(authority: Authority) -> None:
    """Nobody is asked for it at a terminal."""
    cert, key = authority.issue("client")
    plain = load_pem_private_key(key.read_bytes(), None)
    locked = BestAvailableEncryption(b"secret")
    key.write_bytes(plain.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))

    said = refused({"RABBIT_TLS": "yes", "RABBIT_TLS_CERT": str(cert), "RABBIT_TLS_KEY": str(key)})

    assert said == "RABBIT_TLS_KEY has a passphrase; a service needs one without"


def test_a_file_in_the_place_of_its_path(authority: Authority) -> None:
    """NAME_FILE holds a setting, here a path: the mistake is plain to make, and said plainly."""
    said = refused({"RABBIT_TLS": "yes", "RABBIT_TLS_CA_FILE": str(authority.file)})

    assert said == (
        "RABBIT_TLS_CA holds a certificate or a key; set RABBIT_TLS_CA to the file's path"
    )


def failure(code: int) -> ssl.SSLCertVerificationError:
    """Return the error of a handshake in which OpenSSL found this."""
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify")
    error.verify_code, error.verify_message = code, "the CRL has expired"
    return error


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (9, "the certificate of db, or of its CA, is not valid yet: check this machine's clock"),
        (10, "the certificate of db, or of its CA, has expired: renew it"),
        (12, "the certificate of db cannot be verified: the CRL has expired"),
    ],
)
def test_what_is_wrong_with_a_certificate(code: int, words: str) -> None:
    """OpenSSL's number in words, and its own words for the rest."""
    assert TlsSettings("MYSQL").refusal(failure(code), "db") == words


def test_a_ca_that_is_unknown(authority: Authority) -> None:
    """What to do depends on whose CAs are trusted."""
    system, own = TlsSettings("RABBIT"), TlsSettings("RABBIT", ca=authority.file)

    assert system.refusal(failure(20), "mq") == (
        "the certificate of mq is signed by a CA that this system does not know: set RABBIT_TLS_CA"
    )
    assert own.refusal(failure(20), "mq") == (
        "the certificate of mq is signed by a CA that RABBIT_TLS_CA does not hold"
    )


def test_an_error_that_is_not_of_tls() -> None:
    """It keeps its own words."""
    assert TlsSettings("RABBIT").refusal(ConnectionRefusedError(111, "refused"), "mq") is None


@pytest.mark.parametrize(
    ("reason", "has_certificate", "words"),
    [
        ("WRONG_VERSION_NUMBER", False, "mq offers no TLS at this port: turn it on there, or chec"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", False, "mq wants a client certificate, as it seems"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", False, "mq wants a client certificate, as it seems"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", True, "there is no TLS with mq: sslv3 alert handshake"),
        ("TLSV1_ALERT_UNKNOWN_CA", True, "mq refuses the certificate of RABBIT_TLS_CERT (tlsv1 "),
        ("TLSV1_ALERT_PROTOCOL_VERSION", False, "there is no TLS with mq: tlsv1 alert protocol"),
    ],
)
def test_what_the_other_side_breaks_off_with(
    authority: Authority, reason: str, has_certificate: bool, words: str
) -> None:
    """OpenSSL's word for it in ours, also where the client has kept no more than the text."""
    cert, key = authority.issue("client") if has_certificate else (None, None)
    tls = TlsSettings("RABBIT", authority.file, cert, key)
    error = ConnectionError(f"Stream connection lost: SSLError(1, '[SSL: {reason}] (_ssl.c:2580)')")

    said = tls.refusal(error, "mq")

    assert said is not None
    assert said.startswith(words)


def test_a_server_that_hangs_up_without_a_word(authority: Authority) -> None:
    """It names the setting that is most likely to be at fault."""
    cert, key = authority.issue("client")

    assert "set RABBIT_TLS_CERT and RABBIT_TLS_KEY" in TlsSettings("RABBIT").hung_up()
    assert TlsSettings("MYSQL", cert=cert, key=key).hung_up() == (
        "check that it accepts the certificate of MYSQL_TLS_CERT"
    )


def test_the_system_s_cas_are_not_loaded_where_nothing_is_verified(authority: Authority) -> None:
    """The context of TLS settings is taken as it is; without them the server may offer TLS."""
    plain: Any = mysql.Connection(defer_connect=True)
    secured = TlsSettings("MYSQL", ca=authority.file).context()

    assert plain.ctx.cert_store_stats()["x509_ca"] == 0
    assert (plain.ctx.check_hostname, plain.ctx.verify_mode) == (False, ssl.CERT_NONE)
    verifying: Any = mysql.Connection(ssl=secured, defer_connect=True)
    assert verifying.ctx is secured


def test_a_server_that_takes_the_password_over_tls_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """And offers none: the driver has another way for which no image has the package."""

    def connect(**_settings: object) -> None:
        raise RuntimeError("'cryptography' package is required")

    monkeypatch.setattr(mysql, "Connection", connect)
    settings = MysqlSettings("db", 3306, "logs", "lake", Secret("secret"))

    with pytest.raises(
        Unavailable, match="db:3306: it takes the password over TLS alone"
    ) as caught:
        mysql.connect(settings)

    assert caught.value.reason == "tls"
