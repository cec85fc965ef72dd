"""What to type where the format of lines cannot be told surely."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from datastream.parsing.detect import Detected
from datastream.parsing.event import Unparseable
from datastream.parsing.formats import PRESETS, parser_for, split_prefixes
from datastream.parsing.rest import named, rest_of


def unsure(found: Detected, log: str) -> str:
    """Return in words which formats come near, and what names the right one.

    `log` is the path of the log, as it is typed.
    """
    if found.refusal:
        return found.refusal
    if not found.lines:
        return f"{log} has no line yet"
    if found.keys:
        return (
            f"the lines of {log} are JSON, but which key is what is not clear: they have "
            f"{', '.join(found.keys)}. Write the variable at each, of which one is a time "
            f"($time_iso8601, $time_local or $msec): FORMAT={found.suggestion}"
        )
    directive = (
        "FORMAT takes the log_format directive of nginx.conf, as it stands there, or "
        f"/etc/nginx/nginx.conf:NAME; `datastream check --format '…' {log}` tries one"
    )
    if not found.fit and not found.half_way:
        return f"no format that has a name fits {log}. {directive}"
    near = dict.fromkeys([found.name, *([found.next_name] if found.next_fit else [])])
    return (
        f"the format is a guess: {found}. If {' or '.join(near)} is right, which "
        f"`datastream check --format '{found.name}' {log}` shows by the columns of the first line, "
        f"name it: FORMAT={found.name}. Else {directive}"
    )


def about_rest(form: str, lines: Iterable[bytes]) -> str:
    """Return in words what `extra.rest` of a line holds, and how to name it; empty without one.

    The first of the lines that has one is the sample.
    """
    _, name = split_prefixes(form)
    if not PRESETS.get(name, "").endswith("$rest"):
        return ""
    for line in lines:
        with suppress(Unparseable):
            rest = rest_of(parser_for(form)(line))
            if rest is not None:
                return _in_words(form, line, rest)
    return ""


def _in_words(form: str, line: bytes, rest: str) -> str:
    found = named(form, line)
    words = f"more follows in its lines than {form} names, which extra.rest holds as it is: {rest}"
    if found is None:
        return f"{words}. The log_format directive of nginx.conf names it"
    return (
        f"{words}. The log_format directive of nginx.conf names it; by this line it may be "
        f"{found.directive}, in which {', '.join(found.guesses)} are guesses"
    )
