"""JSON lines of a format that nobody named: a log_format by the names of their keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

#: The variable that people log at a key, by the key in lower case. `@timestamp` and the like are
#: told by their values.
_VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        key: variable
        for variable, keys in {
            "remote_addr": "remote_addr client client_ip clientip remote_ip remoteip ip",
            "remote_user": "remote_user user",
            "request": "request",
            "request_method": "request_method method verb http_method",
            "request_uri": "request_uri uri url path",
            "args": "args query query_string querystring",
            "server_protocol": "server_protocol protocol http_version",
            "status": "status status_code response_code response http_status",
            "body_bytes_sent": "body_bytes_sent bytes size body_bytes response_size",
            "bytes_sent": "bytes_sent",
            "http_referer": "http_referer http_referrer referer referrer",
            "http_user_agent": "http_user_agent user_agent useragent agent",
            "http_x_forwarded_for": "http_x_forwarded_for x_forwarded_for xff forwarded_for",
            "host": "host http_host domain vhost",
        }.items()
        for key in keys.split()
    }
)
_TIME_KEYS = ("time_iso8601", "@timestamp", "timestamp", "time", "ts", "date", "datetime", "msec")
#: The variable that writes a time, by its text.
_TIMES: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "time_iso8601": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T.+"),
        "time_local": re.compile(r"[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9:]{8} [+-][0-9]{4}"),
        "msec": re.compile(r"[0-9]{10}(?:\.[0-9]+)?"),
    }
)
_PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_KEY = re.compile(r"[\w@. /-]+")
#: The most keys, and characters of a log_format: a slice's header has a limit.
_MOST_KEYS = 100
_MOST_CHARACTERS = 3_500
#: A variable here that takes what is left of a line; no key is meant by it.
_REST = "rest"


class JsonKeys(NamedTuple):
    """The keys of JSON lines, and the log_format that they look like."""

    keys: tuple[str, ...]
    #: The directive. A key whose variable is not known has one of its own name.
    directive: str
    #: The directive has a time, a client, and a request or a status.
    is_usual: bool


def json_keys(lines: Iterable[bytes | None]) -> JsonKeys | None:
    """Return what the keys of lines say; None unless more than half of them are JSON objects."""
    objects = [_object(line) for line in lines]
    found = [held for held in objects if held]
    if len(found) * 2 <= len(objects):
        return None
    first = {key: value for held in reversed(found) for key, value in held.items()}
    keys = tuple(dict.fromkeys(key for held in found for key in held))[:_MOST_KEYS]
    variables = {key: _variable(key, first[key]) for key in keys if _KEY.fullmatch(key)}
    directive = _directive(variables, first)
    if len(directive) > _MOST_CHARACTERS:
        usual = {*_VARIABLES.values(), *_TIMES}
        directive = _directive({key: n for key, n in variables.items() if n in usual}, first)
    is_usual = _is_usual(set(variables.values())) and len(directive) <= _MOST_CHARACTERS
    return JsonKeys(keys, directive, is_usual)


def _directive(variables: Mapping[str, str], values: Mapping[str, object]) -> str:
    pairs = [f'"{key}":{_written(name, values[key])}' for key, name in variables.items() if name]
    return f"log_format json escape=json '{{{','.join(pairs)}}}';"


def _object(line: bytes | None) -> dict[str, object] | None:
    if line is None or not line.startswith(b"{"):
        return None
    try:
        found = json.loads(line, parse_int=str, parse_float=str, strict=False)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _variable(key: str, value: object) -> str:
    """Return the variable of a key; empty if it can have none."""
    low = key.lower()
    if low in _TIME_KEYS or low == "time_local":
        text = value if isinstance(value, str) else ""
        for name, pattern in _TIMES.items():
            if pattern.fullmatch(text):
                return name
    known = _VARIABLES.get(low)
    if known is not None:
        return known
    return low if _PLAIN_KEY.fullmatch(key) and low != _REST else ""


def _written(variable: str, value: object) -> str:
    """Return a variable as it stands in the directive, in quotes: any value is read so."""
    # A list of one item would be read as all of a list.
    return f'"${variable}"' if not isinstance(value, list) else f'["${variable}"]'


def _is_usual(variables: set[str]) -> bool:
    has_request = {"request", "status"} & variables or {
        "request_method",
        "request_uri",
    } <= variables
    return bool(has_request and _TIMES.keys() & variables and "remote_addr" in variables)
