"""From the texts of a format's variables to an Event."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, tzinfo
from functools import partial
from types import MappingProxyType
from typing import Any

from datastream.parsing.event import EXTRA_LIMIT, LIMITS, Event
from datastream.parsing.proxies import TrustedProxies, last_entry
from datastream.parsing.request import host_of, is_absolute, split_request, split_target
from datastream.parsing.values import (
    c_time,
    decimal,
    decimal_total,
    email_domain,
    epoch_time,
    from_haproxy,
    iso_time,
    local_time,
    number,
    packed_address,
    spaced_time,
    utc_time,
)
from datastream.parsing.variables import COLUMNS, UNITS, Kind, kind_of

MOST_STATUS = 2**16 - 1
#: What DECIMAL(10,3) holds.
MOST_SECONDS = 9_999_999.999

TIMES: Mapping[Kind, Callable[[str], str]] = MappingProxyType(
    {
        Kind.TIME_LOCAL: utc_time,
        Kind.TIME_ISO: iso_time,
        Kind.TIME_SECONDS: epoch_time,
        Kind.TIME_SPACED: spaced_time,
    }
)
#: Those of a zone that the line does not name.
LOCAL_TIMES: Mapping[Kind, Callable[[str, tzinfo], str]] = MappingProxyType(
    {Kind.TIME_NO_ZONE: local_time, Kind.TIME_C: c_time}
)


def _reader(kind: Kind, zone: tzinfo) -> Callable[[str], str]:
    """Return what reads the times of a kind; `zone` is theirs if they name none."""
    if kind in TIMES:
        return TIMES[kind]
    read = LOCAL_TIMES[kind]
    return lambda text: read(text, zone)


_UPSTREAM_JOINTS = re.compile(r", | : ")
_VERSION = re.compile(r"(?:HTTP/)?([0-9](?:\.[0-9])?)")


def _chain(text: str) -> list[str]:
    """Return the items of a list that commas join."""
    return [item.strip() for item in text.split(",")]


def _items(text: str, convert: Callable[[str], object]) -> list[object] | None:
    """Return the converted items of an upstream list; None when one cannot be converted.

    An item that is `-` or empty is None.
    """
    items: list[object] = []
    for item in _UPSTREAM_JOINTS.split(text):
        value = None if item in ("", "-") else convert(item)
        if value is None and item not in ("", "-"):
            return None
        items.append(value)
    return items


_CAPTURED = re.compile(r"\{([^}]*)\}|\"([^\"]*)\"")


def _captures(text: str) -> list[str | None] | None:
    """Return the texts of `{a|b} {c}` or `"a" "b" "c"`; one that is empty is None.

    HAProxy escapes braces, bars and quotes within them, so here they are undone.
    """
    found: list[str] = []
    for braced, quoted in _CAPTURED.findall(text):
        found += braced.split("|") if braced else [quoted]
    return [from_haproxy(item) or None for item in found] or None


#: What becomes of a variable's text in `extra`, by its kind. Where that is None, and of the other
#: kinds, the text is kept.
_CONVERT: Mapping[Kind, Callable[[str], object]] = MappingProxyType(
    {
        Kind.INTEGER: number,
        Kind.DECIMAL: decimal,
        Kind.CHAIN: _chain,
        Kind.CAPTURES: _captures,
        Kind.TEXTS: partial(_items, convert=str),
        Kind.INTEGERS: partial(_items, convert=number),
        Kind.DECIMALS: partial(_items, convert=decimal),
    }
)


#: What is believed of trusted proxies, as an X-Forwarded-For, in a format that has none.
_CLAIMS = (
    *("proxy_protocol_addr", "http_cf_connecting_ip", "http_true_client_ip", "http_x_real_ip"),
)


def _keep(text: str) -> object:
    return text


#: The columns that are filled together with another one.
_FILLED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "user": ("user", "is_email", "email_domain"),
        "request": ("method", "url", "scheme", "host", "path", "query", "http_version"),
        "url": ("url", "scheme", "host", "path", "query"),
        "path": ("url", "path"),
    }
)


class Fields:
    """How the variables of one format fill the columns of an Event."""

    def __init__(
        self, variables: Sequence[str], trusted: TrustedProxies | None, zone: tzinfo = UTC
    ) -> None:
        """`zone` is that of the times whose texts name none."""
        #: The variable that fills each column.
        self.chosen: dict[str, str] = {
            column: next(name for name in names if name in variables)
            for column, names in COLUMNS.items()
            if not set(names).isdisjoint(variables)
        }
        #: Turns the text of the time into UTC. Raises Unparseable("time").
        self.time = _reader(kind_of(self.chosen["time"]), zone)
        if "request" in self.chosen:
            for column in ("method", "url", "path", "query", "http_version"):
                self.chosen.pop(column, None)
        if "url" in self.chosen:
            for column in ("path", "query"):
                self.chosen.pop(column, None)
        client = self.chosen.get("client")
        chains = [name for name in variables if kind_of(name) is Kind.CHAIN]
        #: The client's variable where it is a list, whose last entry the client is.
        self.client_chain = client if client in chains else None
        #: Whose word of the client's address trusted proxies pass on.
        claims = [*chains, *(name for name in _CLAIMS if name in variables and name != client)]
        self.chain = None if self.client_chain else next(iter(claims), None)
        self.trusted = trusted if self.chain or self.client_chain else None
        columns = set(self.chosen.values()) - {"upstream_response_time", self.client_chain}
        #: The variables that go to `extra`, each once.
        self.others = tuple(name for name in dict.fromkeys(variables) if name not in columns)
        self._others = [
            (name, _CONVERT.get(kind_of(name), _keep), kind_of(name) is Kind.TEXT)
            for name in self.others
        ]

    def columns_of(self, variable: str) -> tuple[str, ...]:
        """Return the columns that a variable fills, `extra.NAME` for one that has none."""
        columns = [column for column, name in self.chosen.items() if name == variable]
        filled = [part for column in columns for part in _FILLED.get(column, (column,))]
        if variable in self.others:
            filled.append(f"extra.{variable}")
        return tuple(filled)

    def event(self, values: Mapping[str, str | None]) -> Event:
        """Return the event of a line; a variable that was not there has the value None.

        Raises Unparseable("time").
        """
        texts = {column: values[name] for column, name in self.chosen.items()}
        if self.chosen.get("client") == "remote_peer":
            texts["client"] = _without_port(texts["client"])
        extra: dict[str, object] = {}
        time = self.time(texts["time"] or "")
        client = self._client(texts.get("client"), values.get(self.chain or ""), extra)
        user = texts.get("user")
        user = "" if user == '""' else user
        domain = email_domain(user) if user and "@" in user else None
        method, url, scheme, host, path, query, http_version = self._request(texts, extra)
        status = number(texts.get("status") or "", MOST_STATUS)
        size = number(texts.get("size") or "")
        unit = UNITS.get(self.chosen.get("request_time", ""), 1)
        seconds = _seconds(texts.get("request_time"), unit)
        items = _items(texts.get("upstream_time") or "", decimal) or []
        total = decimal_total([item for item in items if isinstance(item, float)])
        if total is not None and total > MOST_SECONDS:
            total = None
        self._keep_odd({"status": status, "size": size, "request_time": seconds}, texts, extra)
        for name, convert, may_be_empty in self._others:
            text = values[name]
            if text or (may_be_empty and text is not None):
                value = convert(text) if len(text) <= EXTRA_LIMIT else None
                extra[name] = text if value is None else value
        event = Event(
            time,
            client,
            texts.get("session"),
            user,
            domain is not None,
            domain,
            method,
            url,
            scheme,
            host,
            path,
            query,
            http_version,
            status,
            size,
            seconds,
            total,
            texts.get("referrer"),
            texts.get("user_agent"),
            extra or None,
        )
        return _within_limits(event)

    def _client(
        self, text: str | None, chain: str | None, extra: dict[str, object]
    ) -> bytes | None:
        if not text:
            return None
        address = text
        if self.client_chain:
            address, chain = last_entry(text)
        behind = self.trusted.client(address, chain or "") if self.trusted else address
        if behind != address and not self.client_chain:
            extra[self.chosen["client"]] = address
        client = packed_address(behind)
        if client is None and not self.client_chain:
            extra["client"] = behind
        return client

    def _request(
        self, texts: Mapping[str, str | None], extra: dict[str, object]
    ) -> tuple[str | None, ...]:
        """Return method, url, scheme, host, path, query and HTTP version, from what there is."""
        if "request" in texts:
            request = texts["request"] or ""
            method, url, scheme, host, path, query, version = split_request(request)
            if method is None:
                extra["request"] = request
        else:
            method, url, scheme, host, path, query = _target(texts)
            version = _version(texts.get("http_version"), extra)
        scheme = self._filled("scheme", scheme, texts, extra)
        host = self._filled("host", host, texts, extra)
        return method, url, scheme, host, path, query, version

    def _filled(
        self,
        column: str,
        value: str | None,
        texts: Mapping[str, str | None],
        extra: dict[str, object],
    ) -> str | None:
        """Return what the target says of the scheme or host, else what the variable says."""
        text = texts.get(column)
        if not text:
            return value
        if value is None:
            value = text.lower() if column == "scheme" else host_of(text)
        if value != text:
            extra[self.chosen[column]] = text
        return value

    def _keep_odd(
        self,
        values: Mapping[str, float | None],
        texts: Mapping[str, str | None],
        extra: dict[str, object],
    ) -> None:
        """Keep as text what a column of numbers cannot hold."""
        for column, value in values.items():
            text = texts.get(column)
            if value is None and text:
                extra[column] = text


def _without_port(text: str | None) -> str | None:
    """Return the address of `192.0.2.7:51234` or `2001:db8::7:51234`; any other text stays."""
    return None if text is None else text.rpartition(":")[0] or text


def _target(texts: Mapping[str, str | None]) -> tuple[str | None, ...]:
    """Return method, url, scheme, host, path and query of a format without `$request`."""
    method, url = texts.get("method"), texts.get("url")
    if url:
        return method, url, *split_target(url, method)
    path, query = texts.get("path"), texts.get("query")
    if path is not None:
        url = path if query is None else f"{path}?{query}"
        if is_absolute(path):  # some servers leave it so where a proxy is asked
            return method, url, *split_target(url)
    return method, url, None, None, path, query


def _version(text: str | None, extra: dict[str, object]) -> str | None:
    # nginx keeps the blanks that a client sent after it.
    found = _VERSION.fullmatch((text or "").rstrip(" "))
    if text and found is None:
        extra["server_protocol"] = text
    return found[1] if found else None


def _seconds(text: str | None, unit: int) -> float | None:
    """Return a time in seconds; `unit` is how many of its units make one."""
    value = decimal(text) if text else None
    seconds = None if value is None else value / unit
    return seconds if seconds is not None and seconds <= MOST_SECONDS else None


# Where each limited field is in an Event.
_LIMIT_AT = tuple((Event._fields.index(column), limit) for column, limit in LIMITS.items())


def _within_limits(event: Event) -> Event:
    """Cut each text that is over its limit, and name it in `extra["cut"]`."""
    row: tuple[Any, ...] = event  # by index, which is quicker than by name
    columns = {
        Event._fields[at]: row[at][:limit]
        for at, limit in _LIMIT_AT
        if row[at] is not None and len(row[at]) > limit
    }
    long = [
        name
        for name, text in (event.extra or {}).items()
        if isinstance(text, str) and len(text) > EXTRA_LIMIT
    ]
    if not columns and not long:
        return event
    extra = dict(event.extra or {})
    for name in long:
        extra[name] = str(extra[name])[:EXTRA_LIMIT]
    return event._replace(**columns, extra={**extra, "cut": [*columns, *long]})
