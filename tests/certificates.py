"""Certificates that tests make: a CA, and what it signs, as files in PEM."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme


class Authority:
    """A CA whose files are in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._ca = trustme.CA()
        self.file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def issue(self, identity: str, *, expired: bool = False) -> tuple[Path, Path]:
        """Return the files of a certificate for a name or an address, and of its key."""
        now = datetime.now(UTC)
        issued = self._ca.issue_cert(
            identity,
            not_before=now - timedelta(days=2),
            not_after=now + timedelta(days=-1 if expired else 1),
        )
        cert, key = (self._folder / f"{identity}.{kind}.pem" for kind in ("cert", "key"))
        issued.cert_chain_pems[0].write_to_path(str(cert))
        issued.private_key_pem.write_to_path(str(key))
        return cert, key
