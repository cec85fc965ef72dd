"""TLS to the broker and to the database: from settings to a context, and a failure to words."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: OpenSSL's numbers for a valid certificate of another name or address.
WRONG_NAME = frozenset({62, 64})
#: For a chain that ends at no CA of ours, or at one that only has the name of a CA of ours.
UNKNOWN_CA = frozenset({2, 7, 18, 19, 20, 21, 30})
NOT_YET_VALID, EXPIRED = 9, 10

#: OpenSSL's names for what the other side says of our certificate.
OURS_REFUSED = frozenset(
    {
        "TLSV1_ALERT_UNKNOWN_CA",
        "TLSV1_ALERT_ACCESS_DENIED",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
    }
)
#: And when it asked for one and got none. TLS 1.2 has no alert for that.
OURS_MISSING = frozenset({"TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_HANDSHAKE_FAILURE"})
#: OpenSSL's names for an answer that is no TLS; they depend on its version.
NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})


class Unusable(Exception):
    """The files cannot be used; the message is one line that names the setting."""


@dataclass(frozen=True)
class TlsSettings:
    """What the server's certificate is checked against, and the certificate to show it."""

    #: `RABBIT` or `MYSQL`, as the names of the settings begin; for messages.
    prefix: str
    #: Files in PEM. No `ca`: the CAs that the system trusts. `cert` and `key`: both, or neither.
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    verify: bool = True

    def context(self) -> ssl.SSLContext:
        """Return a context for one connection, from the files as they are now.

        Each connection has its own, so that the next one uses a renewed certificate. Raises
        Unusable.
        """
        for name, path in (("CA", self.ca), ("CERT", self.cert), ("KEY", self.key)):
            if path is not None:
                self._check_readable(name, path)
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except ssl.SSLError as error:
            raise Unusable(
                f"{self.prefix}_TLS_CA: there is no certificate (PEM) in {self.ca}"
            ) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # On by default since Python 3.13: it refuses the CAs that `openssl req -x509` makes.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.cert is not None:
            self._load_ours(context, self.cert)
        return context

    def refusal(self, error: BaseException, host: str) -> str | None:
        """Return in words why there is no TLS with a host; None when the error is another one."""
        for cause in _causes(error):
            if isinstance(cause, ssl.SSLCertVerificationError):
                return self._not_trusted(cause, host)
        # From TLS 1.3 on the server judges our certificate after the handshake, when the clients
        # keep only the text of the error.
        found = re.search(r"\[SSL: (\w+)\]", str(error))
        return self._broken_off(found[1], host) if found else None

    def not_offered(self, host: str) -> str:
        """Return the words for a server that speaks no TLS."""
        return (
            f"{host} offers no TLS at this port: turn it on there, "
            f"or check {self.prefix}_PORT and {self.prefix}_TLS"
        )

    def hung_up(self) -> str:
        """Return what to look at when the server hangs up at once.

        From TLS 1.3 on it may have refused our certificate, and its alert may be lost.
        """
        if self.cert is None:
            return (
                "if it wants a client certificate, "
                f"set {self.prefix}_TLS_CERT and {self.prefix}_TLS_KEY"
            )
        return f"check that it accepts the certificate of {self.prefix}_TLS_CERT"

    def _not_trusted(self, error: ssl.SSLCertVerificationError, host: str) -> str:
        certificate = f"the certificate of {host}"
        code = error.verify_code
        if code in WRONG_NAME:
            return (
                f"{certificate} is for another name, not for {host}: "
                f"{self.prefix}_HOST must be a name that it holds"
            )
        if code in UNKNOWN_CA and self.ca is None:
            return (
                f"{certificate} is signed by a CA that this system does not know: "
                f"set {self.prefix}_TLS_CA"
            )
        if code in UNKNOWN_CA:
            return f"{certificate} is signed by a CA that {self.prefix}_TLS_CA does not hold"
        if code == EXPIRED:
            return f"{certificate}, or of its CA, has expired: renew it"
        if code == NOT_YET_VALID:
            return f"{certificate}, or of its CA, is not valid yet: check this machine's clock"
        return f"{certificate} cannot be verified: {error.verify_message}"

    def _broken_off(self, reason: str, host: str) -> str:
        if reason in NO_TLS:
            return self.not_offered(host)
        said = reason.lower().replace("_", " ")
        if self.cert is None and reason in OURS_MISSING:
            return (
                f"{host} wants a client certificate, as it seems: set {self.prefix}_TLS_CERT "
                f"and {self.prefix}_TLS_KEY ({said})"
            )
        if self.cert is not None and reason in OURS_REFUSED:
            return f"{host} refuses the certificate of {self.prefix}_TLS_CERT ({said})"
        return f"there is no TLS with {host}: {said}"

    def _check_readable(self, name: str, path: Path) -> None:
        try:
            path.read_bytes()
        except OSError as error:
            raise Unusable(
                f"{self.prefix}_TLS_{name} names a file that cannot be read: {error}"
            ) from error

    def _load_ours(self, context: ssl.SSLContext, cert: Path) -> None:
        def passphrase() -> str:
            # Without this OpenSSL asks for it at the terminal.
            raise Unusable(f"{self.prefix}_TLS_KEY has a passphrase; a service needs one without")

        both = f"{self.prefix}_TLS_CERT and {self.prefix}_TLS_KEY"
        try:
            context.load_cert_chain(cert, self.key, passphrase)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise Unusable(f"{both} are not a pair: the key is another one's") from error
            raise Unusable(f"{both}: there is no certificate with its key (PEM) in them") from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and its causes."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
