"""The parser of a format's usual lines, as Python source.

Most lines hold nothing odd. For those, one match and one expression for each column do: a third of
the time that Fields takes. Every other line (an escape, an odd value, a list, a text over its
limit) does not match or raises ValueError, and is read by the patterns of pattern.py and by Fields.
Whatever this parser returns, they return too; the tests compare them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from datastream.parsing.event import EXTRA_LIMIT, LIMITS, Event
from datastream.parsing.fields import Fields
from datastream.parsing.pattern import Rules, openers
from datastream.parsing.request import split_target
from datastream.parsing.template import Piece, Template
from datastream.parsing.variables import NEVER_EMPTY, Kind, kind_of


class Fast(NamedTuple):
    """A regular expression, and the source of a function `parse(line)` that uses it."""

    pattern: str
    source: str


_INTEGER = "[0-9]{1,18}+"
_SECONDS = r"[0-9]{1,6}+\.[0-9]{3}"
_VERSION = r"HTTP/([0-9](?:\.[0-9])?+)"
_LOCAL_TIME = "[^ ]{20} [+-][0-9]{4}"
#: Of a path and a query that make up the URL together.
_HALF_URL = 1023

_PARSER = """\
def parse(line):
    text = line.decode("utf-8", "backslashreplace")
    if {has_escapes}"\\\\" in text:
        return careful(text)
    found = match(text)
    if found is None:
        return careful(text)
    {names}, = found.groups()
    extra = {{}}
    try:
        {statements}
        return new(Event, ({columns}))
    except (ValueError, OSError, Unparseable):
        pass
    return careful(text)
"""


@dataclass
class _Code:
    """What the function is put together from."""

    #: The patterns of the line's parts.
    patterns: list[str] = field(default_factory=list)
    #: The names that the groups of the match are bound to.
    names: list[str] = field(default_factory=list)
    #: What is done before the row is made.
    statements: list[str] = field(default_factory=list)
    #: The expression of each column; one that is not named is None.
    columns: dict[str, str] = field(default_factory=lambda: {"is_email": "False"})


def fast(template: Template, escape: str, fields: Fields) -> Fast:
    """Return the parser of the usual lines of a format."""
    return _Writer(template, escape, fields).write()


def target_parts(
    url: str, method: str | None
) -> tuple[str | None, str | None, str | None, str | None]:
    """Split a target as split_target() does. Raises ValueError when a part is over its limit."""
    scheme, host, path, query = split_target(url, method)
    if len(scheme or "") > LIMITS["scheme"] or len(host or "") > LIMITS["host"]:
        raise ValueError("over a limit")
    return scheme, host, path, query


class _Writer:
    def __init__(self, template: Template, escape: str, fields: Fields) -> None:
        self._template = template
        self._escape = escape
        self._fields = fields
        self._columns = {variable: column for column, variable in fields.chosen.items()}
        self._code = _Code()

    def write(self) -> Fast:
        code = self._code
        code.patterns.append(re.escape(self._template.before))
        written: dict[str, str] = {}
        opening = openers(self._template, Rules(self._escape, is_strict=True, has_escapes=False))
        for at, (piece, opener) in enumerate(zip(self._template.pieces, opening, strict=True)):
            name = f"v{at}"
            is_first = piece.variable not in written
            pattern = self._piece(piece, opener, name)
            code.patterns.append(pattern + re.escape(piece.after))
            if is_first:
                written[piece.variable] = name
        self._request(written)
        self._others(written)
        columns = [code.columns.get(column, "None") for column in Event._fields[:-1]]
        source = _PARSER.format(
            has_escapes="" if self._escape != "none" else "False and ",
            names=", ".join(code.names),
            statements="\n        ".join(code.statements or ["pass"]),
            columns=", ".join([*columns, "extra or None"]),
        )
        return Fast("".join(code.patterns) + r"\r?", source)

    # What a variable looks like.

    def _piece(self, piece: Piece, opener: str, name: str) -> str:
        """Return the pattern of a variable and bind its group, or groups, to names."""
        kind, column = kind_of(piece.variable), self._columns.get(piece.variable)
        if kind is Kind.REQUEST:
            self._code.names += [f"{name}m", name, f"{name}h"]
            target = self._text(piece, opener, LIMITS["url"], without=' "', least=1)
            return f"([A-Z]{{1,{LIMITS['method']}}}+) ({target}) {_VERSION}"
        self._code.names.append(name)
        if column == "http_version":
            return f"(?:{_VERSION}|-|)"
        limit = LIMITS.get(column or "", EXTRA_LIMIT)
        shape = {
            Kind.INTEGER: _INTEGER if column != "status" else "[0-9]{1,4}+",
            Kind.DECIMAL: _SECONDS,
            Kind.INTEGERS: _INTEGER,
            Kind.DECIMALS: _SECONDS,
        }.get(kind)
        if shape is not None:
            return f"({shape}|-|)"
        if kind is Kind.TIME_SECONDS:
            return r"([0-9]{9,11}+\.[0-9]{3})"
        if kind is Kind.TIME_LOCAL:
            after = re.escape(piece.after[:1])
            return f"({_LOCAL_TIME})" if after in ("", "\\ ") else f"([^{after}]{{26}})"
        if column in ("path", "query"):
            limit = _HALF_URL
        without = {
            Kind.WORD: " ",
            Kind.TEXTS: " ,",
            Kind.TIME_ISO: " ",
        }.get(kind, "")
        if column == "user":
            without += ' "'
        least = 1 if piece.variable in NEVER_EMPTY else 0
        return f"({self._text(piece, opener, limit, without=without, least=least)})"

    def _text(self, piece: Piece, opener: str, limit: int, *, without: str, least: int = 0) -> str:
        """Return the pattern of a text up to what follows it, without a character of that."""
        ends = set(without) | set(piece.after[:1])
        if not piece.after:
            ends.add("\r")
        if opener and kind_of(piece.variable) not in (Kind.TEXT, Kind.CHAIN, Kind.REQUEST):
            ends.add(opener[0])
        if self._escape != "none" and ends != {" "}:
            ends.add('"')
        return f"[^{re.escape(''.join(sorted(ends)))}]{{{least},{limit}}}+"

    # What becomes of it.

    def _present(self, name: str) -> str:
        """Return the condition that a text is there."""
        return f'{name} != "-"' if self._escape == "default" else f'{name} and {name} != "-"'

    def _others(self, written: dict[str, str]) -> None:
        """Write the columns and the parts of `extra` that are one variable each."""
        code, chosen = self._code, self._fields.chosen
        code.columns["time"] = f"{_TIMES[kind_of(chosen['time'])]}[{written[chosen['time']]}]"
        for column in ("session", "referrer", "user_agent"):
            if column in chosen:
                name = written[chosen[column]]
                code.columns[column] = f"{name} if {self._present(name)} else None"
        for column, convert in _NUMBERS:
            if column in chosen:
                name = written[chosen[column]]
                code.columns[column] = f'{convert}({name}) if {name} and {name} != "-" else None'
        if "client" in chosen:
            self._client(written)
        if "user" in chosen:
            self._user(written[chosen["user"]])
        for variable in self._fields.others:
            self._other(variable, written[variable])

    def _other(self, variable: str, name: str) -> None:
        kind = kind_of(variable)
        value = {
            Kind.INTEGER: f"int({name})",
            Kind.DECIMAL: f"float({name})",
            Kind.TEXTS: f"[{name}]",
            Kind.INTEGERS: f"[int({name})]",
            Kind.DECIMALS: f"[float({name})]",
            Kind.CHAIN: f'[item.strip() for item in {name}.split(",")]',
        }.get(kind, name)
        present = self._present(name) if kind is Kind.TEXT else f'{name} and {name} != "-"'
        self._code.statements.append(f"if {present}: extra[{variable!r}] = {value}")

    def _user(self, name: str) -> None:
        self._code.statements += [
            f'domain = email_domain({name}) if "@" in {name} else None',
            f"user = {name} if {self._present(name)} else None",
        ]
        self._code.columns |= {
            "user": "user",
            "is_email": "domain is not None",
            "email_domain": "domain",
        }

    def _client(self, written: dict[str, str]) -> None:
        name, fields = written[self._fields.chosen["client"]], self._fields
        if fields.trusted is not None and fields.chain is not None:
            chain = written[fields.chain]
            self._code.statements += [
                f"client = {name}",
                f'if {chain} and {chain} != "-": client = trusted.client({name}, {chain})',
                f"if client != {name}: extra[{fields.chosen['client']!r}] = {name}",
            ]
            name = "client"
        self._code.columns["client"] = f'inet_pton(AF_INET6 if ":" in {name} else AF_INET, {name})'

    def _request(self, written: dict[str, str]) -> None:
        """Write the columns that the request line fills, or the variables that stand for it."""
        code, chosen = self._code, self._fields.chosen
        if "request" in chosen:
            url = written["request"]
            code.columns |= {"method": f"{url}m", "url": url, "http_version": f"{url}h"}
            self._split(url, f"{url}m")
        else:
            if "method" in chosen:
                name = written[chosen["method"]]
                code.columns["method"] = f"{name} if {self._present(name)} else None"
            if "http_version" in chosen:
                code.columns["http_version"] = written[chosen["http_version"]]
            if "url" in chosen:
                name = written[chosen["url"]]
                code.columns["url"] = "url"
                code.statements.append(f"url = {name} if {self._present(name)} else None")
                self._split("url", code.columns.get("method", "None"))
            elif "path" in chosen:
                self._join(written)
        self._scheme_and_host(written)

    def _split(self, url: str, method: str) -> None:
        self._code.statements += [
            f'if {url} and {url}[0] == "/":',
            "    scheme = host = None",
            f'    path, query_mark, query = {url}.partition("?")',
            "    if not query_mark: query = None",
            f"elif {url}: scheme, host, path, query = target_parts({url}, {method})",
            "else: scheme = host = path = query = None",
        ]
        self._code.columns |= {
            "scheme": "scheme",
            "host": "host",
            "path": "path",
            "query": "query",
        }

    def _join(self, written: dict[str, str]) -> None:
        chosen = self._fields.chosen
        name = written[chosen["path"]]
        self._code.statements.append(f"url = path = {name} if {self._present(name)} else None")
        self._code.columns |= {"url": "url", "path": "path"}
        if "query" in chosen:
            name = written[chosen["query"]]
            self._code.statements += [
                f"query = {name} if {self._present(name)} else None",
                'if path is not None and query is not None: url = f"{path}?{query}"',
            ]
            self._code.columns["query"] = "query"

    def _scheme_and_host(self, written: dict[str, str]) -> None:
        code, chosen = self._code, self._fields.chosen
        for column, value in (("scheme", "{}.lower()"), ("host", "host_of({})")):
            if column not in chosen:
                continue
            name = written[chosen[column]]
            if column not in code.columns:
                code.statements.append(f"{column} = None")
                code.columns[column] = column
            code.statements += [
                f'if {name} and {name} != "-":',
                f"    if {column} is None: {column} = {value.format(name)}",
                f"    if {column} != {name}: extra[{chosen[column]!r}] = {name}",
            ]


_NUMBERS = (
    ("status", "int"),
    ("size", "int"),
    ("request_time", "float"),
    ("upstream_time", "float"),
)
_TIMES = {
    Kind.TIME_LOCAL: "local_times",
    Kind.TIME_ISO: "iso_times",
    Kind.TIME_SECONDS: "epoch_times",
}
