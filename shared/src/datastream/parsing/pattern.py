r"""From a template to the regular expression that finds the variables' texts in a line.

The text that follows a variable in the format tells where the variable's text ends. When the
variable's values can never hold the first character of what follows, it simply ends there. A list
takes as many items as it can, and gives back what must follow it. Any other text grows: it ends at
the first character from which what follows fits, up to the next variable that grows, and no other
end is tried later. So behind a text that may hold a space, the numbers, times and lists tell where
it ends: at the first place from which each of them is one.

A match takes time in proportion to the line, even a hostile one. Every repeat is possessive, or has
a most, but the one that grows a text. What grows or gives back is in an atomic group with what must
follow; that fails, wherever it is tried, before the next character it could be tried at, or after
the most that a list may hold. tests/unit/parsing/test_linear.py counts the steps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import Enum, auto
from itertools import zip_longest
from typing import NamedTuple

from datastream.parsing.log_format import Part, Template
from datastream.parsing.variables import MAY_BE_EMPTY, NEVER_ABSENT, NEVER_EMPTY, Kind, kind_of

#: The escapes that begin with a backslash, and so may hold a quote.
WITH_BACKSLASH = ("default", "json")


class Rules(NamedTuple):
    """Which of a format's patterns reads a line."""

    #: The `escape=` of the format; "none" for values that may hold quotes.
    escape: str
    #: Numbers, times, lists and requests must be such. Else they may be any word: an odd value is
    #: no misfit.
    is_strict: bool
    #: Whether the line holds a backslash; without one the patterns are simpler.
    has_escapes: bool
    #: What clients write outside of quotes has the shape of a request, or of a list of addresses.
    trusts_clients: bool = True


class End(Enum):
    """How the end of a variable's text is found."""

    #: It holds nothing that what follows begins with.
    CERTAIN = auto()
    #: The last place from which the rest fits.
    LAST = auto()
    #: The first place from which the rest fits.
    FIRST = auto()


class Text(NamedTuple):
    """The pattern of a variable's text."""

    pattern: str
    end: End
    #: The pattern of how it must begin.
    begins: str = ""


#: Of a list that must be one: the most items, and the most characters of each.
_ITEMS = 32
_LONG = "{0,255}"
#: The most digits of a number between two words.
_DIGITS = 20
#: The most blanks behind a protocol.
_BLANKS = 32
# A sign is no nginx's: HAProxy writes -1 for what was not reached, and + before what goes on.
_STRICT = {
    Kind.INTEGER: r"[+-]?+[0-9]*+",
    Kind.DECIMAL: r"[+-]?+(?:[0-9]++(?:\.[0-9]*+)?+)?+",
    Kind.TIME_SECONDS: r"[0-9]++(?:\.[0-9]*+)?+",
}
_NUMBERS = frozenset(_STRICT)
_LISTS = (Kind.TEXTS, Kind.INTEGERS, Kind.DECIMALS)
_TEXTS = (Kind.TEXT, Kind.REQUEST, Kind.CHAIN, Kind.REST, Kind.CAPTURES)
_RESTS = (Kind.REST, Kind.CAPTURES)
_NOT_IN_LIST = "(?<!,)(?<![ ]:)"
_METHOD = "[A-Z][A-Z_-]{0,31}[ ]"
#: The times that other servers than nginx write; they may hold spaces.
TIME_SHAPES = {
    Kind.TIME_NO_ZONE: (
        r"[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9}+)?+"
    ),
    Kind.TIME_C: r"[A-Z][a-z]{2}[ ][A-Z][a-z]{2}[ ][ 0-9][0-9][ ][0-9:]{8}[ ][0-9]{4}",
    Kind.TIME_SPACED: r"[0-9-]{10}[ ][0-9:]{8}[ ][+-][0-9]{4}",
}
#: How a time begins. Any word in its place would end a text before it at another place.
_BEGINNINGS = {
    Kind.TIME_LOCAL: "(?=[0-9]{2}/[A-Z])",
    Kind.TIME_ISO: "(?=[0-9]{4}-[0-9]{2}-)",
}
#: What their values may hold. The empty text means the end of the line, which is in none.
_SPACE = (" ", "")
_IN_NUMBERS = ("-", ".", "+")
_IN_WORDS = ".:-_/%"
IN_TIMES = tuple("/:+-")
_IN_LISTS = tuple(",:.-_/%")


def line_pattern(template: Template, rules: Rules, parts: int | None = None) -> str:
    """Return the pattern of a whole line, or of its first `parts` parts.

    Its groups are the texts of the variables, in their order.
    """
    whole = parts is None
    chosen = template.parts[:parts]
    found = texts(chosen, rules, is_whole=whole)
    last_growing = max((at for at, text in enumerate(found) if text.end is End.FIRST), default=-1)
    pattern = [re.escape(template.before)]
    growing = giving = ""  # what closes the atomic groups
    for at, (part, text) in enumerate(zip(chosen, found, strict=True)):
        if text.end is End.FIRST:
            if growing and rules.trusts_clients and _is_bare_request(part, rules):
                end = re.escape(part.after) or r"\Z"
                pattern.append(f"(?={_METHOD}|-{end})")
            pattern.append(giving + growing)
            # The last one may grow past a character from which the rest does not fit to the end.
            growing, giving = "" if whole and at == last_growing else ")", ""
            pattern.append("(?>" if growing else "")
        elif text.end is End.LAST:
            pattern.append(f"{giving}(?>")
            giving = ")"
        # A list does not begin within another: were it tried from each item, that took too long.
        is_before_list = text.end is End.FIRST and _is_list(found, at + 1) and part.after == " "
        pattern.append(f"({text.begins}{text.pattern}){_NOT_IN_LIST if is_before_list else ''}")
        pattern.append(between(chosen, at, rules.escape))
    pattern.append((r"\Z" if whole and giving else "") + giving + growing)
    return "".join(pattern)


def _is_list(found: Sequence[Text], at: int) -> bool:
    return at < len(found) and found[at].end is End.LAST


def between(parts: Sequence[Part], at: int, escape: str) -> str:
    """Return the pattern of what follows a part.

    A blank between two numbers may be several: some servers pad them to a column's width. Not where
    one of them may be empty, as then two blanks are around it.
    """
    after = parts[at].after
    if after == " " and escape == "default" and at + 1 < len(parts):
        neighbours = {part.variable for part in parts[at : at + 2]}
        if set(map(kind_of, neighbours)) <= _NUMBERS and neighbours.isdisjoint(MAY_BE_EMPTY):
            return "[ ]++"
    return re.escape(after)


def barred(template: Template, rules: Rules) -> list[str]:
    """Return for each part the characters that no word in its place holds.

    They are what the last text before it that grows ends with, and what ends a number behind it.
    """
    found: list[str] = []
    opener, parts = "", template.parts
    for part, following, text in zip_longest(parts, parts[1:], texts(parts, rules)):
        found.append(opener[:1] + _end_of_number(part, following))
        opener = part.after if text.end is End.FIRST else opener
    return found


def _end_of_number(part: Part, following: Part | None) -> str:
    """Return what ends the number that follows a word, `|` of `$host:$server_port|`, or nothing.

    Empty too where such a word may hold it itself.
    """
    if following is None or kind_of(following.variable) is not Kind.INTEGER:
        return ""
    end = "/" if following.is_before_uri else following.after[:1]
    is_within = not _is_in_words(part.after[:1]) or end.isalnum() or end in tuple(".:-_%[]")
    return "" if is_within else end


def texts(parts: Sequence[Part], rules: Rules, *, is_whole: bool = False) -> list[Text]:
    """Return the pattern of each part's text; `is_whole` if the line ends with the last one.

    What follows a text that grows is tried at every character it could begin at. So no text in it
    holds its beginning, the opener, more than some times: each try ends soon after the next begins.
    """
    found: list[Text] = []
    opener, is_uri, is_certain = "", False, True
    for part, following in zip_longest(parts, parts[1:]):
        if part.is_before_uri:
            text: Text | None = _before_uri(part, following, rules, opener)
        else:
            text = _ending(part, following, rules, opener)
        if text is None:
            is_end = is_whole and following is None and not part.after
            text = Text(_growing(part, rules, is_end=is_end), End.FIRST)
            opener = part.after
        elif rules.is_strict and (opener or not is_certain):
            text = text._replace(begins=_BEGINNINGS.get(kind_of(part.variable), ""))
        if is_uri:
            dashes = _absent_uri(part)
            text = Text(f"(?=/)(?:{text.pattern})|(?:{dashes})?", text.end)
        found.append(text)
        is_uri = part.is_before_uri
        is_list = text.end is End.LAST and kind_of(part.variable) in (Kind.CHAIN, Kind.TEXTS)
        is_certain = is_certain and not (is_list and may_be_within(part))
    return found


def _ending(part: Part, following: Part | None, rules: Rules, opener: str) -> Text | None:
    """Return the text of a part that does not grow."""
    kind, after = kind_of(part.variable), part.after[:1]
    is_quoted = after == '"'
    is_chain = kind is Kind.CHAIN and rules.trusts_clients and not is_quoted
    if rules.is_strict and (kind in _LISTS or is_chain):
        return Text(_strict_list(kind, after), End.LAST)
    if kind in _RESTS and not after:
        closed: str | None = ".*+"
    elif kind in _TEXTS or (kind in _LISTS and is_quoted):
        closed = _quoted(rules) if is_quoted and rules.escape != "none" else None
    elif kind in _LISTS:
        closed = _list(after, opener)
    elif rules.is_strict and kind in _STRICT:
        closed = None if after.isalnum() or after in _IN_NUMBERS else _STRICT[kind]
    elif kind is Kind.TIME_LOCAL or kind in TIME_SHAPES:
        closed = _time(kind, after, rules, opener)
    else:
        closed = _word(part, following, rules, opener)
    if closed is None:
        return None
    return Text(closed, End.CERTAIN)


def _before_uri(part: Part, uri: Part | None, rules: Rules, opener: str) -> Text:
    """Return the text of a host or a port; a URI follows at once, or a dash where there is none."""
    after = uri.after if uri is not None else ""
    ends = re.escape(f"{opener[:1]}{after[:1]}".replace("/", ""))
    is_number = rules.is_strict and kind_of(part.variable) is Kind.INTEGER
    word = "[0-9]*" if is_number else f'[^/ "{ends}]*'
    end = re.escape(after) or r"\Z"
    dashes = "-" if uri is None else _absent_uri(uri)
    return Text(
        f"{word}+(?=/)|-(?={dashes}{end})|(?>{word}(?<!-))(?=(?:{dashes})?{end})", End.CERTAIN
    )


def _absent_uri(part: Part) -> str:
    """Return what nginx writes of a URI where the request has none."""
    return "--" if part.is_whole_uri else "-"


def _word(part: Part, following: Part | None, rules: Rules, opener: str) -> str | None:
    if _is_in_words(opener[:1]):
        return None
    after = part.after
    least = "+" if part.variable in NEVER_EMPTY else "*"
    ends = {" ", opener[:1], _end_of_number(part, following)} - {""}
    if _is_in_words(after[:1]):
        repeat, end = _end_within(part, following, rules)
        whole = rf"HTTP/[0-9](?:\.[0-9])?{end}|" if part.variable == "server_protocol" else ""
        return rf"(?>{whole}[^\"{re.escape(''.join(sorted(ends)))}]{least}{repeat}{end})"
    ends.add(after[:1] or "\r")
    if ends != {" "} or kind_of(part.variable) is not Kind.WORD:
        ends.add('"')
    char = f"[^{re.escape(''.join(sorted(ends)))}]"
    if part.variable == "remote_addr" and after:
        # A gunicorn on a unix socket writes no address. Before a single blank it is missing only
        # where a dash follows: any other word may be the address itself, in a padded line.
        return f"(?:{char}++|(?= -))" if after == " " else f"{char}*+"
    word = f"{char}{least}+"
    is_before_empty = rules.escape != "default" and is_blank_in_doubt(part, following)
    if part.variable == "server_protocol" and not is_before_empty:
        # nginx keeps the blanks that a client sent behind it.
        blanks = after[: len(after) - len(after.lstrip(" "))]
        word += f"(?:[ ](?={re.escape(blanks)})){{0,{_BLANKS}}}+"
    return word


def _end_within(part: Part, following: Part | None, rules: Rules) -> tuple[str, str]:
    """Return how a word that may hold what follows it repeats, and what it ends before.

    Before a number that ends with what no word holds it is as long as it can be: `::1` in
    `$host:$server_port`.
    """
    end = re.escape(part.after)
    if following is not None and kind_of(following.variable) is Kind.INTEGER:
        if _end_of_number(part, following) or not following.after:
            return "", f"(?={end})"
        if rules.is_strict:
            end += f"[+-]?+[0-9]{{0,{_DIGITS}}}+{re.escape(following.after)}"
    return "?", f"(?={end})"


def may_be_within(part: Part) -> bool:
    """Return whether a version, or an item of a list, may hold what follows it."""
    return part.after[:1].isalnum() or part.after[:1] in tuple("-/_.%:")


def is_blank_in_doubt(part: Part, following: Part | None) -> bool:
    """Return whether one blank more behind the protocol may be of the next value, or its end."""
    if part.variable != "server_protocol" or part.after.strip(" ") or following is None:
        return False
    return following.variable not in NEVER_ABSENT


def _is_in_words(char: str) -> bool:
    return char.isalnum() or char in tuple(_IN_WORDS)


def _time(kind: Kind, after: str, rules: Rules, opener: str) -> str | None:
    shape = TIME_SHAPES.get(kind)
    if after.isalnum() or after in IN_TIMES or (shape and after == "."):
        return None
    ends = '[]"' + after.strip(" ")
    if rules.is_strict or after in _SPACE or (opener and set(opener).isdisjoint(ends)):
        return shape or rf"[^ {re.escape(ends)}]*+(?:[ ][+-][0-9]{{4}})?+"
    return f"[^{re.escape(ends)}]*+"


def _strict_list(kind: Kind, after: str) -> str:
    # Where what follows may be in an item, the item gives it back.
    ends = "" if after.isalnum() or after in _IN_LISTS else re.escape(after)
    joint = ",[ ]|[ ]:[ ]"
    if kind is Kind.CHAIN:  # joined by proxies, each in its own way
        joint = ",[ ]" if after == "," else "[ ]?,[ ]{0,2}"
    item = {
        Kind.CHAIN: rf"[^ ,\"{ends}][^ ,\"{ends}]{_LONG}",
        # An address with a port, a socket, a group of servers by its name, or none.
        Kind.TEXTS: (
            rf"\[[0-9A-Fa-f:.]{_LONG}\]:[0-9]{_LONG}|[^ ,:\"{ends}]{_LONG}:[^ ,\"{ends}]{_LONG}"
            rf"|[0-9]{{0,9}}[A-Za-z_][0-9A-Za-z_.-]{_LONG}|-"
        ),
        Kind.INTEGERS: f"[0-9][0-9]{_LONG}|-",
        Kind.DECIMALS: rf"[0-9][0-9]{_LONG}(?:\.[0-9]{_LONG})?|-",
    }[kind]
    return f"(?:(?:{item})(?:(?:{joint})(?:{item})){{0,{_ITEMS - 1}}})?"


def _list(after: str, opener: str) -> str | None:
    if after.isalnum() or after in _IN_LISTS or (opener and not opener.strip(" ,:")):
        return None
    item = rf"[^ ,\"{re.escape(after)}]++"
    return f"(?:{item}(?:(?:,[ ]|[ ]:[ ]){item})*+)?+"


def _growing(part: Part, rules: Rules, *, is_end: bool) -> str:
    if _is_bare_request(part, rules):
        target = _any_text(rules, is_end=False)
        shaped = rf"{_METHOD}{target}[ ]HTTP/[0-9](?:\.[0-9])?|GET[ ][^ \"]++"
        return f"{shaped}|{_any_text(rules, is_end=is_end)}"
    text = _any_text(rules, is_end=is_end)
    return f'""|{text}' if part.variable == "remote_user" else text  # Apache's empty name


def _is_bare_request(part: Part, rules: Rules) -> bool:
    """Return whether it is a request outside of quotes that must be one."""
    is_request = kind_of(part.variable) is Kind.REQUEST
    return rules.is_strict and is_request and not part.after.startswith('"')


def _is_unquoted_of_client(part: Part) -> bool:
    is_of_client = kind_of(part.variable) in (Kind.REQUEST, Kind.CHAIN)
    return is_of_client and not part.after.startswith('"')


def _quoted(rules: Rules) -> str:
    """Any text up to the next quote that is not escaped."""
    return r"[^\"\\]*+(?:\\.[^\"\\]*+)*+" if rules.has_escapes else r"[^\"]*+"


def _any_text(rules: Rules, *, is_end: bool) -> str:
    """Any text; under escaping it holds no quote."""
    if rules.escape == "none":
        any_char = r"[^\\]*?(?:\\.[^\\]*?)*?" if rules.has_escapes else ".*?"
        return ".*+" if is_end else any_char
    if is_end:
        return _quoted(rules)
    return r"[^\"\\]*?(?:\\.[^\"\\]*?)*?" if rules.has_escapes else r"[^\"]*?"


def tries(template: Template, escape: str, *, has_escapes: bool) -> Iterator[Rules]:
    """Yield the rules to read a line by, in this order.

    What is no request, or no list of addresses, as scanners send it, does not make the other values
    any words.
    """
    has_escapes = has_escapes and escape in WITH_BACKSLASH
    yield Rules(escape, is_strict=True, has_escapes=has_escapes)
    if any(map(_is_unquoted_of_client, template.parts)):
        yield Rules(escape, is_strict=True, has_escapes=has_escapes, trusts_clients=False)
    yield Rules(escape, is_strict=False, has_escapes=has_escapes)


def raw_tries(*, has_escapes: bool) -> Iterator[Rules]:
    """Yield the rules for a line whose writer did not escape the quotes within values, in order.

    The first lets a backslash escape a quote all the same.
    """
    if has_escapes:
        yield Rules("none", is_strict=True, has_escapes=True)
    yield Rules("none", is_strict=True, has_escapes=False)


#: What stands between the fields of a line, beside the quotes around them.
_BETWEEN = frozenset(" \t,;|:=[]{}")


def is_one_value(text: str) -> bool:
    """Return whether a text with raw quotes in it is one value, rather than several fields.

    A quote before a separator closes, else one after a separator opens. Where one that closes
    nothing has one that opens after it, `a" 1 "b`, the two are the ends of two fields.
    """
    opened, is_torn = 0, False
    at = text.find('"')
    while at >= 0:
        is_after = at == 0 or text[at - 1] in _BETWEEN
        if is_after and is_torn:
            return False
        if at + 1 == len(text) or text[at + 1] in _BETWEEN:
            is_torn = is_torn or not opened
            opened = max(opened - 1, 0)
        elif is_after:
            opened += 1
        at = text.find('"', at + 1)
    return True
