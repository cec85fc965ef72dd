"""Leaves out fields of a line that are not wanted."""

from __future__ import annotations

from datastream.parsing import Event


def without_url_parts(event: Event) -> Event:
    """Return the event without scheme, host, path and query of its URL; the URL stays.

    A scheme or host that the line names beside a URL without one stays too.
    """
    url = event.url or ""
    is_absolute = not url.startswith("/") and ("://" in url or event.method == "CONNECT")
    if is_absolute:
        event = event._replace(scheme=None, host=None)
    return event._replace(path=None, query=None)


def without_session(event: Event) -> Event:
    """Return the event without its session."""
    return event._replace(session=None)


def without_email_domain(event: Event) -> Event:
    """Return the event without the domain of its user's e-mail address; the user stays."""
    return event._replace(email_domain=None)
