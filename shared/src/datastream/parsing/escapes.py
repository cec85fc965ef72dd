"""From what nginx and Apache write back to what there was: the escapes within a value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

_HEX = re.compile(r"((?:\\x[0-9A-Fa-f]{2})+)|\\([\"\\bfnrtv])")
_JSON = re.compile(r"\\u([0-9A-Fa-f]{4})|\\([\"\\/bfnrt])")
_NAMED = {
    '"': '"',
    "\\": "\\",
    "/": "/",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}


def from_default(text: str) -> str:
    r"""Turn `\xHH` (nginx) and `\"`, `\\`, `\n` … (Apache) back into text.

    Neighbouring `\xHH` are bytes of UTF-8; one that is no part of UTF-8 stays, in lower case.
    """
    return _HEX.sub(_from_hex, text) if "\\" in text else text


def _from_hex(found: re.Match[str]) -> str:
    if found[1] is None:
        return _NAMED[found[2]]
    return bytes.fromhex(found[1].replace("\\x", "")).decode("utf-8", "backslashreplace")


def from_json(text: str) -> str:
    r"""Turn the escapes of JSON back into text; half of a surrogate pair stays an escape."""
    if "\\" not in text:
        return text
    text = _JSON.sub(lambda found: chr(int(found[1], 16)) if found[1] else _NAMED[found[2]], text)
    # Pairs become characters on the way through UTF-16.
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return text.encode("utf-8", "backslashreplace").decode()


def _from_none(text: str) -> str:
    return text


#: By the `escape=` of a log_format.
UNESCAPE: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {"default": from_default, "json": from_json, "none": _from_none}
)
