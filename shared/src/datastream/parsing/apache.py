"""Apache's LogFormat, which is no log_format of nginx: what reads the same lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

_DIRECTIVE = re.compile(r'\s*(?:LogFormat\s+)?"((?:[^"\\]|\\.)*)"(?:\s+\S+)?\s*')
_ITEM = re.compile(r"%[!<>0-9,]*(?:\{(?P<of>[^}]+)\})?(?P<item>[A-Za-z])")
#: The variable of each item that has no braces.
_VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        "h": "$remote_addr",
        "a": "$remote_addr",
        "l": "$session",
        "u": "$remote_user",
        "t": "[$time_local]",
        "r": "$request",
        "s": "$status",
        "b": "$body_bytes_sent",
        "B": "$body_bytes_sent",
        "O": "$bytes_sent",
        "I": "$request_length",
        "T": "$request_time",
        "v": "$server_name",
        "V": "$host",
        "p": "$server_port",
        "m": "$request_method",
        "U": "$uri",
        "H": "$server_protocol",
        "P": "$pid",
    }
)


def is_apache(text: str) -> bool:
    """Return whether a text is written as Apache's LogFormat is."""
    return "$" not in text and len(_ITEM.findall(text)) > 1


def in_nginx_words(text: str) -> str:
    """Return the text of a log_format that reads what a LogFormat writes."""
    held = _DIRECTIVE.fullmatch(text)
    text = held[1] if held else text
    return _ITEM.sub(_variable, text.replace('\\"', '"'))


def _variable(item: re.Match[str]) -> str:
    name = re.sub(r"[^a-z0-9]", "_", (item["of"] or "").lower())
    if not name:
        return _VARIABLES.get(item["item"], f"$apache_{item['item'].lower()}")
    return {"i": f"$http_{name}", "o": f"$sent_http_{name}", "C": f"$cookie_{name}"}.get(
        item["item"], f"$apache_{name}"
    )
