"""The parser of a format's usual lines, as Python source.

Most lines hold nothing odd. For those, one match and one expression for each column are enough: a
fifth of the time of the careful parser, which is the patterns of pattern.py and Fields; `make
bench-parse` prints both. Every other line (an escape, an odd value, a list, a text over its limit)
does not match or raises ValueError, and the careful parser reads it. Whatever this one returns, the
careful one returns too; the tests compare them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from datastream.parsing.event import EXTRA_LIMIT, LIMITS, Event
from datastream.parsing.fields import Fields
from datastream.parsing.log_format import Part, Template
from datastream.parsing.pattern import (
    IN_TIMES,
    TIME_SHAPES,
    Rules,
    barred,
    between,
    is_blank_in_doubt,
    may_be_within,
    texts,
)
from datastream.parsing.variables import NEVER_ABSENT, NEVER_EMPTY, UNITS, Kind, kind_of


class Fast(NamedTuple):
    """A regular expression, and the source of a function `parse(line)` that uses it."""

    pattern: str
    source: str


_INTEGER = "[0-9]{1,18}+"
_STATUS = "[0-9]{3}"
_STATUSES = ("status", "upstream_status")
_SECONDS = r"[0-9]{1,6}+\.[0-9]{3}"
_NUMBER_OF_VERSION = r"([0-9]\.[0-9])"
_VERSION = f"HTTP/{_NUMBER_OF_VERSION}"
_LOCAL_TIME = "[^ ]{20} [+-][0-9]{4}"
#: A user's name of several words, none of them like the bracket that follows.
_WORDS = r'-|[^ "]{1,255}+(?: [^ "\[][^ "]{0,255}+)*+'
#: What a request target is split into, each None where it is not there.
_PARTS = ("scheme", "authority", "path", "query")
_NUMBERS = {
    Kind.INTEGER: _INTEGER,
    Kind.INTEGERS: _INTEGER,
    Kind.DECIMAL: _SECONDS,
    Kind.DECIMALS: _SECONDS,
    Kind.TIME_SECONDS: r"[0-9]{9,11}+\.[0-9]{3}",
}
_LISTS = (Kind.CHAIN, Kind.TEXTS, Kind.INTEGERS, Kind.DECIMALS)
#: What nginx never writes.
_OF_OTHERS = (*TIME_SHAPES, Kind.CAPTURES)
#: A group that matches nothing: the careful parser reads every line.
_NOTHING = "((?!))"
#: The most characters of a path and of a query that make up the URL together.
_PART_OF_URL = LIMITS["url"] // 2 - 1

_PARSER = """\
def parse(line):
    try:
        {unless_escaped}found = match(line.decode())
        if found is None:
            return careful(line)
        {names}, = found.groups()
        {statements}
        return new(Event, ({columns}))
    except (ValueError, LookupError, OSError, Unparseable):
        pass
    return careful(line)
"""
_UNLESS_ESCAPED = """\
if b"\\\\" in line:
            return careful(line)
        """


@dataclass
class _Code:
    """What the function is built from."""

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
        rules = Rules(self._escape, is_strict=True, has_escapes=False)
        held_out = barred(self._template, rules)
        parts = self._template.parts
        begins = self._beginnings(rules)
        for at, (part, not_in) in enumerate(zip(parts, held_out, strict=True)):
            after = between(parts, at, self._escape)
            if self._is_number(at + 1):
                after += _unless_in_number(part.after)
            if is_blank_in_doubt(part, next(iter(parts[at + 1 :]), None)):
                after += "(?![ ])"
            code.patterns.append(begins[at] + self._part(part, not_in, f"v{at}") + after)
            if written.setdefault(part.variable, f"v{at}") == f"v{at}" and part.is_whole_uri:
                self._without_absent_args(f"v{at}")
        fields = self._fields
        may_have_extra = fields.others or {"scheme", "host"} & fields.chosen.keys() or fields.chain
        if may_have_extra:
            code.statements.append("extra = {}")
        code.columns["extra"] = "extra or None" if may_have_extra else "None"
        self._request(written)
        self._columns_of_one(written)
        for variable in self._fields.others:
            self._other(variable, written[variable])
        source = _PARSER.format(
            unless_escaped=_UNLESS_ESCAPED if self._escape != "none" else "",
            names=", ".join(code.names),
            statements="\n        ".join(code.statements),
            columns=", ".join(code.columns.get(column, "None") for column in Event._fields),
        )
        # The careful parser takes one off the line's end, whatever it belongs to.
        end = "(?!)" if any("\r" in part.after for part in parts) else r"\r?"
        return Fast("".join(code.patterns) + end, source)

    def _beginnings(self, rules: Rules) -> list[str]:
        """Return the pattern of how each part must begin; none for the time, which is read."""
        begins = [text.begins for text in texts(self._template.parts, rules)]
        variables = [part.variable for part in self._template.parts]
        begins[variables.index(self._fields.chosen["time"])] = ""
        return begins

    def _is_number(self, at: int) -> bool:
        parts = self._template.parts
        return at < len(parts) and kind_of(parts[at].variable) is Kind.INTEGER

    # What a variable looks like.

    def _part(self, part: Part, not_in: str, name: str) -> str:
        """Return the pattern of a variable and bind its group, or groups, to names."""
        kind, column = kind_of(part.variable), self._columns.get(part.variable)
        if kind is Kind.REQUEST:
            self._code.names.append(f"{name}method")
            target = self._target(part.after[:1], name)
            self._code.names.append(f"{name}version")
            return f"([A-Z]{{1,{LIMITS['method']}}}+) {target} {_VERSION}"
        if column == "url":
            after = part.after[:1]
            is_within = after.isalnum() or after in tuple(":/?")  # of `http://a/?b`
            return ("(?!)" if is_within else "") + self._target(after or "\r", name)
        self._code.names.append(name)
        if part.is_before_uri:
            limit = LIMITS["host"]
            number = f"{_INTEGER}" if kind is Kind.INTEGER else ""
            word = rf"[^/ \"{re.escape(not_in)}]{{1,{limit}}}+"
            return f"({number or word})(?=/)"
        if column == "http_version":
            version = f"(?:(?:HTTP/)?{_NUMBER_OF_VERSION}|{self._absent})"
            return _unless_within(part, version)
        if kind in _NUMBERS:
            return self._number(part)
        if kind is Kind.TIME_LOCAL or kind in _OF_OTHERS:
            return self._time(part)
        if column == "user" and part.after.startswith(" [") and self._escape != "none":
            return f"({_WORDS})"
        text = f"({self._any(part, not_in, column)}){_is_whole_list(part)}"
        return _unless_within(part, text) if kind in _LISTS else text

    def _time(self, part: Part) -> str:
        kind, after = kind_of(part.variable), part.after[:1]
        if kind is Kind.TIME_LOCAL:
            return f"({_LOCAL_TIME})" if after in (" ", "") else f"([^{re.escape(after)}]{{26}})"
        is_plain = kind in TIME_SHAPES and not after.isalnum() and after not in (*IN_TIMES, ".")
        return f"({TIME_SHAPES[kind]})" if is_plain else _NOTHING

    def _number(self, part: Part) -> str:
        kind, after = kind_of(part.variable), part.after[:1]
        if after.isalnum() or after in ("-", ".", "+"):
            # It ends where what follows it begins, which may be within its digits.
            return _NOTHING
        number = _STATUS if part.variable in _STATUSES else _NUMBERS[kind]
        is_there = part.variable in NEVER_ABSENT or kind is Kind.TIME_SECONDS
        absent = "" if is_there else f"|{self._absent}"
        return f"({number}{absent}){_is_whole_list(part)}"

    def _target(self, after: str, name: str) -> str:
        """Return the pattern of a request target: a path, an absolute URL, or `host:port`.

        It holds no `after`, the character that follows it.
        """
        self._code.names += [name, *(f"{name}{part}" for part in _PARTS)]
        after = re.escape(after.strip(' "'))
        return (
            rf'((?:([Hh][Tt][Tt][Pp][Ss]?+)://([^/?# "{after}]{{1,{LIMITS["host"]}}}+))?+'
            rf'(/[^? "{after}]*+)(?:\?([^ "{after}]*+))?+'
            rf'|[^/? "{after}]{{1,{LIMITS["host"]}}}+)'
        )

    def _any(self, part: Part, not_in: str, column: str | None) -> str:
        limit = LIMITS.get(column or "", EXTRA_LIMIT)
        if column in ("path", "query"):
            limit = _PART_OF_URL
        kind = kind_of(part.variable)
        if kind is Kind.REST and not part.after:
            return rf"[^\r]{{0,{limit}}}+"
        if kind is Kind.TEXTS:
            return self._server(part, not_in, limit)
        is_bare_list = kind is Kind.CHAIN and part.after[:1] != '"'
        without = " ," if is_bare_list else {Kind.WORD: " ", Kind.TIME_ISO: " "}.get(kind, "")
        if column == "user":
            without += ' "'
        least = int(part.variable in NEVER_EMPTY)
        return self._text(part, not_in, limit, without=without, least=least)

    def _server(self, part: Part, not_in: str, limit: int) -> str:
        """Return the pattern of one server that nginx asked, by its address and port."""
        before_port = self._text(part, not_in, limit // 2, without=" ,:", least=0)
        port = self._text(part, not_in, limit // 2, without=" ,", least=0)
        return f"{before_port}:{port}|{self._absent}"

    def _text(self, part: Part, not_in: str, limit: int, *, without: str, least: int) -> str:
        """Return the pattern of a text up to what follows it, none of whose characters it holds."""
        ends = set(without) | set(part.after[:1] or "\r")
        if kind_of(part.variable) not in (Kind.TEXT, Kind.CHAIN, Kind.REQUEST, Kind.REST):
            ends |= set(not_in)
            # As in pattern.py: a word before a space may hold a quote.
            if ends != {" "} or kind_of(part.variable) is not Kind.WORD:
                ends.add('"')
        elif self._escape != "none":
            ends.add('"')
        return f"[^{re.escape(''.join(sorted(ends)))}]{{{least},{limit}}}+"

    @property
    def _absent(self) -> str:
        """The pattern of a value that is not there."""
        return "-" if self._escape == "default" else "-|"

    # What becomes of it.

    def _without_absent_args(self, name: str) -> None:
        if self._escape == "default":
            if self._columns.get("request_uri") == "url":
                self._code.statements += [
                    f"if {name}query is None:",
                    f"    if {name}scheme or not {name}path: return careful(line)",
                    f"    {name} = {name}path = without_absent_args({name})",
                ]
            else:
                self._code.statements.append(f"{name} = without_absent_args({name})")

    def _is_there(self, name: str) -> str:
        """Return the condition that there is a value."""
        return f'{name} != "-"' if self._escape == "default" else f'{name} and {name} != "-"'

    def _columns_of_one(self, written: dict[str, str]) -> None:
        """Write the columns that are one variable each."""
        columns, chosen = self._code.columns, self._fields.chosen
        columns["time"] = f"{_TIMES[kind_of(chosen['time'])]}[{written[chosen['time']]}]"
        for column, value in _OF_ONE:
            if column in chosen:
                name = written[chosen[column]]
                columns[column] = value.format(name)
                if column == "request_time" and (unit := UNITS[chosen[column]]) != 1:
                    columns[column] += f" / {unit}"
                if chosen[column] not in NEVER_ABSENT:
                    columns[column] += f" if {self._is_there(name)} else None"
        if "client" in chosen:
            self._client(written)
        if "user" in chosen:
            self._user(written[chosen["user"]])

    def _user(self, name: str) -> None:
        self._code.statements += [
            f"if {self._is_there(name)}:",
            f"    if len({name}) > {LIMITS['user']}: return careful(line)",
            f'    domain = email_domain({name}) if "@" in {name} else None',
            f"else: {name} = domain = None",
        ]
        self._code.columns |= {
            "user": name,
            "is_email": "domain is not None",
            "email_domain": "domain",
        }

    def _client(self, written: dict[str, str]) -> None:
        fields, code = self._fields, self._code
        variable = fields.chosen["client"]
        name, chain = written[variable], written.get(fields.chain or "")
        is_there = "" if variable == "remote_addr" else f" if {self._is_there(name)} else None"
        if variable == "remote_peer":
            name = f'{name}.rpartition(":")[0]'
        if fields.client_chain:
            code.statements.append(f"client, chain = last_entry({name})")
            if fields.trusted:
                code.statements.append("client = trusted.client(client, chain)")
            name = "client"
        elif fields.trusted:
            code.statements += [
                f"client = {name}",
                f'if {chain} and {chain} != "-": client = trusted.client({name}, {chain})',
                f"if client != {name}: extra[{variable!r}] = {name}",
            ]
            name = "client"
        code.columns["client"] = f"addresses[{name}]{is_there}"

    def _other(self, variable: str, name: str) -> None:
        kind = kind_of(variable)
        value = {
            Kind.INTEGER: f"int({name})",
            Kind.DECIMAL: f"float({name})",
            Kind.TEXTS: f"lists_of_text[{name}]",
            Kind.INTEGERS: f"lists_of_status[{name}]"
            if variable in _STATUSES
            else f"[int({name})]",
            Kind.DECIMALS: f"lists_of_decimal[{name}]",
            Kind.CHAIN: f'[item.strip() for item in {name}.split(",")]',
        }.get(kind, name)
        statement = f"extra[{variable!r}] = {value}"
        if variable not in NEVER_ABSENT:
            may_be_empty = kind in (Kind.WORD, Kind.CHAIN, Kind.REST, Kind.TIME_ISO)
            condition = f'{name} and {name} != "-"' if may_be_empty else self._is_there(name)
            statement = f"if {condition}: {statement}"
        self._code.statements.append(statement)

    def _request(self, written: dict[str, str]) -> None:
        """Write the columns that the request line fills, or the variables that stand for it."""
        code, chosen = self._code, self._fields.chosen
        if "request" in chosen:
            url = written["request"]
            code.columns |= {"method": f"{url}method", "http_version": f"{url}version"}
            self._split(url, f"{url}method")
        else:
            if "method" in chosen:
                name = written[chosen["method"]]
                code.columns["method"] = f"{name} if {self._is_there(name)} else None"
            if "http_version" in chosen:
                code.columns["http_version"] = written[chosen["http_version"]]
            if "url" in chosen:
                self._split(written[chosen["url"]], code.columns.get("method", "None"))
            else:
                self._join(written)
        self._scheme_and_host(written)

    def _split(self, url: str, method: str) -> None:
        self._code.statements += [
            f"if len({url}) > {LIMITS['url']}: return careful(line)",
            f"scheme, host = {url}scheme, None",
            f"if scheme: scheme, host = scheme.lower(), hosts[{url}authority]",
            f"elif {url}path is None:",
            f'    if ({method}) != "CONNECT": return careful(line)',
            f"    host = hosts[{url}]",
        ]
        self._code.columns |= {
            "url": url,
            "scheme": "scheme",
            "host": "host",
            "path": f"{url}path",
            "query": f"{url}query",
        }

    def _join(self, written: dict[str, str]) -> None:
        code, chosen = self._code, self._fields.chosen
        for column in ("path", "query"):
            if column in chosen:
                name = written[chosen[column]]
                code.statements.append(f"{column} = {name} if {self._is_there(name)} else None")
                code.columns[column] = column
        if "path" in chosen:
            code.columns["url"] = "url"
            code.statements += ["url = path", 'if path and "://" in path: return careful(line)']
        if {"path", "query"} <= chosen.keys():
            code.statements.append(
                'if path is not None and query is not None: url = f"{path}?{query}"'
            )

    def _scheme_and_host(self, written: dict[str, str]) -> None:
        code, chosen = self._code, self._fields.chosen
        for column, value in (("scheme", "{}.lower()"), ("host", "hosts[{}]")):
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


def _unless_in_number(before: str) -> str:
    """Return the pattern that a number does not begin within the text before it."""
    if before[:1].isdigit():
        return "(?!)"
    # Either dash may be that of a number that is not there.
    return "(?!-)" if before.endswith("-") else ""


def _unless_within(part: Part, pattern: str) -> str:
    """Return the pattern of a version or a list; of nothing where it may hold what follows it."""
    return _NOTHING if may_be_within(part) else pattern


def _is_whole_list(part: Part) -> str:
    """Return the pattern that a list does not go on where its first item ends."""
    if kind_of(part.variable) not in _LISTS or part.after[:1] not in (" ", ","):
        return ""
    return "(?![ ]?,|[ ]:[ ])" if kind_of(part.variable) is Kind.CHAIN else "(?!,[ ]|[ ]:[ ])"


_OF_ONE = (
    ("session", "{}"),
    ("referrer", "{}"),
    ("user_agent", "{}"),
    ("status", "statuses[{}]"),
    ("size", "int({})"),
    ("request_time", "float({})"),
    ("upstream_time", "float({})"),
)
_TIMES = {
    Kind.TIME_LOCAL: "local_times",
    Kind.TIME_ISO: "iso_times",
    Kind.TIME_SECONDS: "epoch_times",
    **dict.fromkeys(TIME_SHAPES, "own_times"),
}
