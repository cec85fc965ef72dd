"""What is added to a line beyond what it says, and what is not kept of it; each part may be off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from clean_consumer import privacy
from clean_consumer.agents import AgentParser
from clean_consumer.paths import file_type
from clean_consumer.places import NOWHERE, Place, Places
from clean_consumer.privacy import AnyEvent
from clean_consumer.referrers import ReferrerParser
from clean_consumer.settings import EnrichmentSettings

#: From a text to the columns that derive from it.
Describe: TypeAlias = Callable[[str], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Enrichment:
    """What to do with each line. The defaults add nothing and keep all."""

    #: Called before each slice: takes up databases that were replaced.
    refresh: Callable[[], None] = lambda: None
    place: Callable[[bytes], Place] = lambda _client: NOWHERE
    file_type: Callable[[str], str | None] = lambda _path: None
    #: What is kept of an event, once what needs all of it is done.
    private: tuple[Callable[[AnyEvent], AnyEvent], ...] = ()
    agent: Describe | None = None
    referrer: Describe | None = None


#: Every column of enrichment stays NULL.
NONE = Enrichment()


def enrichment(settings: EnrichmentSettings) -> Enrichment:
    """Return what the settings ask for."""
    parts = settings.parts
    places = Places(settings.geoip_dir) if "country" in parts else None
    private: list[Callable[[AnyEvent], AnyEvent]] = []
    if settings.addresses == "truncated":
        private.append(partial(privacy.without_address, disguise=privacy.truncated))
    elif settings.addresses == "hashed" and settings.key is not None:
        private.append(partial(privacy.without_address, disguise=privacy.hashed(settings.key)))
    if settings.queries == "drop":
        private.append(privacy.without_query)
    return Enrichment(
        refresh=places.refresh if places else NONE.refresh,
        place=places.find if places else NONE.place,
        file_type=file_type if "file_type" in parts else NONE.file_type,
        private=tuple(private),
        agent=AgentParser() if "user_agent" in parts else None,
        referrer=ReferrerParser(settings.site_hosts) if "referrer" in parts else None,
    )
