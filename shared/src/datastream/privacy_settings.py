"""The settings PRIVACY_*: what of a line is not kept, and from which step on."""

from __future__ import annotations

from dataclasses import dataclass, field

from datastream import privacy
from datastream.config import ConfigError, Environment
from datastream.privacy import Disguise, LineDisguise


@dataclass(frozen=True)
class PrivacySettings:
    """What is kept of addresses and query strings."""

    addresses: str
    key: str | None = field(repr=False)
    queries: str

    @classmethod
    def read(cls, env: Environment) -> PrivacySettings:
        """Return the settings. Raises ConfigError."""
        addresses = env.choice("PRIVACY_ADDRESSES", "full", ("full", "truncated", "hashed"))
        key = env.find("PRIVACY_KEY")
        if addresses == "hashed" and key is None:
            raise ConfigError("PRIVACY_KEY is not set, but PRIVACY_ADDRESSES is hashed")
        return cls(addresses, key, env.choice("PRIVACY_QUERIES", "keep", ("keep", "drop")))

    @property
    def drops_queries(self) -> bool:
        """Whether query strings are dropped."""
        return self.queries == "drop"

    @property
    def disguise(self) -> Disguise | None:
        """What replaces an address; None where addresses are kept."""
        if self.addresses == "truncated":
            return privacy.truncated
        if self.addresses == "hashed" and self.key is not None:
            return privacy.hashed(self.key)
        return None

    @property
    def line_disguise(self) -> LineDisguise | None:
        """The same for whole lines and their query strings; None where all is kept."""
        disguise = self.disguise
        if disguise is None and not self.drops_queries:
            return None
        return LineDisguise(disguise, drops_queries=self.drops_queries)


def is_before_lake(env: Environment) -> bool:
    """Return whether lines are disguised before they are published, not only by clean consumers.

    Raises ConfigError.
    """
    return env.choice("PRIVACY_BEFORE", "clean", ("clean", "lake")) == "lake"
