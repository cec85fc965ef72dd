"""What is taken from a line and added to it, and what is not kept of it; each part may be off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import TypeAlias

from clean_consumer import privacy
from clean_consumer.agents import AgentParser
from clean_consumer.left_out import without_email_domain, without_session, without_url_parts
from clean_consumer.locations import NOWHERE, Location, Locations
from clean_consumer.paths import file_type
from clean_consumer.privacy import AnyEvent
from clean_consumer.referrers import ReferrerParser
from clean_consumer.settings import EnrichmentSettings
from datastream.parsing import Event
from datastream.privacy import LineDisguise, but_hashes
from datastream.privacy_settings import PrivacySettings

#: From a text to the columns that derive from it.
Describe: TypeAlias = Callable[[str], Sequence[str | bool | None]]
#: From an event to what of it is kept.
Keep: TypeAlias = Callable[[AnyEvent], AnyEvent]


@dataclass(frozen=True, slots=True)
class Enrichment:
    """What to do with each line. The defaults add nothing and keep all."""

    #: Called before each slice: takes up databases that were replaced.
    refresh: Callable[[], None] = lambda: None
    locate: Callable[[bytes], Location] = lambda _client: NOWHERE
    file_type: Callable[[str], str | None] = lambda _path: None
    #: What is kept of an event, once what needs all of it is done.
    private: tuple[Keep, ...] = ()
    #: The same of a line that was disguised before it was published.
    private_again: tuple[Keep, ...] = ()
    #: The columns that are fields of the line: all of the event but its last three.
    columns: Callable[[Event], Sequence[object]] = itemgetter(slice(-3))
    agent: Describe | None = None
    referrer: Describe | None = None


#: The parts that are fields of the line itself, and what leaves each of them out.
_LEFT_OUT: tuple[tuple[str, Callable[[Event], Event]], ...] = (
    ("url", without_url_parts),
    ("session", without_session),
    ("email", without_email_domain),
)

#: Nothing is added, and nothing left out.
NONE = Enrichment()


def enrichment(settings: EnrichmentSettings) -> Enrichment:
    """Return what the settings ask for."""
    parts = settings.parts
    locations = Locations(settings.geoip_dir) if "country" in parts else None
    return Enrichment(
        refresh=locations.refresh if locations else NONE.refresh,
        locate=locations.find if locations else NONE.locate,
        file_type=file_type if "file_type" in parts else NONE.file_type,
        columns=_columns([leave_out for part, leave_out in _LEFT_OUT if part not in parts]),
        private=_private(settings.privacy, again=False),
        private_again=_private(settings.privacy, again=True),
        agent=AgentParser() if "user_agent" in parts else None,
        referrer=ReferrerParser(settings.site_hosts) if "referrer" in parts else None,
    )


def _columns(left_out: Sequence[Callable[[Event], Event]]) -> Callable[[Event], Sequence[object]]:
    """Return what gives the columns of an event; the default, at its cost, if all are wanted."""

    def columns(event: Event) -> Sequence[object]:
        for leave_out in left_out:
            event = leave_out(event)
        return NONE.columns(event)

    return columns if left_out else NONE.columns


def _private(settings: PrivacySettings, *, again: bool) -> tuple[Keep, ...]:
    disguise = settings.disguise
    if disguise is not None and again:
        disguise = but_hashes(disguise)
    private: list[Keep] = []
    if disguise is not None:
        private.append(partial(privacy.without_address, disguise=disguise))
    if disguise is not None or settings.drops_queries:
        line = LineDisguise(disguise, drops_queries=settings.drops_queries)
        private.append(partial(privacy.without_traces, disguise=line))
    if settings.drops_queries:
        private.append(privacy.without_query)
    return tuple(private)
