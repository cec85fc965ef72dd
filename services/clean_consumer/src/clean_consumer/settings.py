"""The clean consumer's own settings: what is added to a line, and what is not kept of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from datastream.config import ConfigError, Environment
from datastream.privacy_settings import PrivacySettings

#: What can be added, by the word that stands in ENRICH.
PARTS = ("user_agent", "country", "referrer", "file_type", "url", "session", "email")


@dataclass(frozen=True)
class EnrichmentSettings:
    """What is added to a line, and what is not kept of it."""

    parts: frozenset[str]
    geoip_dir: Path | None
    site_hosts: frozenset[str]
    privacy: PrivacySettings

    @classmethod
    def read(cls, env: Environment) -> EnrichmentSettings:
        """Return the settings. Raises ConfigError."""
        parts = _list(env.text("ENRICH", ",".join(PARTS)))
        if parts == {"none"}:
            parts = frozenset()
        if unknown := parts - set(PARTS):
            raise ConfigError(
                f"ENRICH names {', '.join(sorted(unknown))}; it must be none, or some of "
                f"{', '.join(PARTS)}"
            )
        folder = env.find("GEOIP_DIR")
        if folder is not None and not Path(folder).is_dir():
            raise ConfigError(f"GEOIP_DIR is {folder}; it must be a folder that exists")
        return cls(
            parts=parts,
            geoip_dir=None if folder is None else Path(folder),
            site_hosts=_list(env.find("SITE_HOSTS") or ""),
            privacy=PrivacySettings.read(env),
        )


def _list(text: str) -> frozenset[str]:
    """Return the words between the commas, in lower case."""
    return frozenset(word.strip().lower() for word in text.split(",") if word.strip())
