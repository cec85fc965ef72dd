"""`.env`, read as Docker Compose reads it.

The grammar is that of Compose's packages dotenv and template
(https://github.com/compose-spec/compose-go), with two differences. A variable that is not set is an
error, where Compose warns and inserts nothing: usually the dollar sign was meant. And a value that
begins with `log_format` is a directive of nginx.conf, as it stands there; so is one with names of
prefixes before that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

#: What goes between the parts of a line.
_SPACES = r"[\t\v\f\r \x85\xa0]*"
_BETWEEN = re.compile(r"(?:\s|#[^\n]*)*")
_NAME = re.compile(
    rf"(?:export(?=\s){_SPACES})?(?P<name>[\w.\-\[\]\t\v\f\r \x85\xa0]*)(?P<end>[=:\n]|\Z){_SPACES}"
)
_QUOTED = re.compile(
    r"""(?P<quote>["'])(?P<text>(?:\\.|(?!(?P=quote))[^\\])*)(?P=quote)""", re.DOTALL
)
_UNQUOTED = re.compile(r"(?P<text>[^\n]*)\n?")
_ESCAPE = re.compile(r'\\(?:(?P<letter>[abcfnrtv$"\\])|0(?P<digits>[0-9]{0,3}))')
_ESCAPED = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True)) | {"$": "$$", '"': '"', "\\": "\\"}
_VARIABLE = re.compile(
    r"""
    \$ (?: (?P<dollar> \$ )
         | (?P<plain> [_a-z][_a-z0-9]* )
         | \{ (?: (?P<name> [_a-z][_a-z0-9]* ) (?: (?P<operator> :?[-+?] ) (?P<word> .* ) )? \} )?
       )
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
#: A directive of nginx.conf goes on to the line that ends with its semicolon; so does deploy/bin's.
#: In a quoted text or a comment, which begin a word, no semicolon ends it.
_DIRECTIVE = re.compile(
    r"""
    ^ ([ \t]* (?:export[ \t]+)? [A-Za-z_][A-Za-z0-9_]* [ \t]* =) [ \t]*
    ( (?: (?!log_format) [a-z0-9_]+[ \t]+ )*+ log_format[ \t]
      (?: (?<=[\s;]) (?P<quote>["'])
            (?: \\. | (?!(?P=quote))[^\\] )* (?: (?P=quote) | (?P<open>\Z) )
        | (?<=[\s;]) \#[^\n]*$
        | (?<![\s;]) ["'\#]
        | [^"'\#]
      )*?
      (?(open) | ;)
    )
    (?(open) | [ \t]* (?:\#[^\n]*)? \r?$)
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)

#: The beginning of such a value, where it stands without quotes: it did not end.
_OPEN_DIRECTIVE = re.compile(r"(?:[a-z0-9_]+[ \t]+)*log_format[ \t]")
#: A setting below a directive, which a semicolon further down made a part of it.
_SETTING_WITHIN = re.compile(r"\n[ \t]*(?:export[ \t]+)?[A-Z][A-Z0-9_]*=")

#: What hides a value: of its name, or an account in an address.
_SECRET = re.compile(r"PASS|PWD|KEY|SECRET|TOKEN|://[^/\s]*@", re.IGNORECASE)
#: Characters of a line that are shown.
_SHOWN = 80

#: What to write where no variable is meant.
_INSTEAD = "a dollar sign is written $$, or stands in '...'"

_Lookup = Callable[[str], str | None]


class Malformed(Exception):
    """The text is no `.env` file; the message names the line, its number and the reason.

    It is one line, and does not show what may be a secret.
    """


def parse(text: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of a file; a value may name variables set before it or in `environment`.

    A name without a value is left out: the environment has it. Raises Malformed.
    """
    written = text.removeprefix("\ufeff").split("\n")
    text = _DIRECTIVE.sub(_quoted, text.removeprefix("\ufeff"))
    settings: dict[str, str] = {}

    def look_up(name: str) -> str | None:
        return environment.get(name, settings.get(name))

    name, began, ended = "", 0, 0
    at = _end(_BETWEEN, text, 0)
    while at < len(text):
        before = name
        try:
            name, has_value, after = _name(text, at)
            if has_value:
                settings[name], after = _value(text, after, look_up)
        except ValueError as error:
            number = text.count("\n", 0, at) + 1
            shown = _shown(written[number - 1])
            if _SECRET.search(before) and began < text.rfind("\n", 0, at) <= ended:
                shown = "…"  # the line after a secret, or its last one: this may be the rest of it
            raise Malformed(f"line {number}: {error}: {shown}") from None
        began, ended = at, after
        at = _end(_BETWEEN, text, after)
    return settings


def _shown(line: str) -> str:
    """Return a line as a message may show it: without a value that may be a secret."""
    text = line.strip()
    if _SECRET.search(text):
        found = re.match(r"(?:export\s+)?[\w.-]*", text)
        return f"{found[0] if found else ''}…"
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _quoted(found: re.Match[str]) -> str:
    """Return a directive of nginx.conf in Compose's quotes, or as it is where it does not end."""
    if found["open"] is not None:
        # Where a quote in it does not end, neither does ours: that is what is said then.
        return found[1] + _in_quotes(found[2], "")
    return found[0] if _SETTING_WITHIN.search(found[2]) else found[1] + _in_quotes(found[2], '"')


def _in_quotes(directive: str, end: str) -> str:
    escaped = re.sub(r'[\\"$]', r"\\\g<0>", directive.replace("\r\n", "\n"))
    return f'"{escaped}{end}'


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _name(text: str, at: int) -> tuple[str, bool, int]:
    """Return the name that begins at an offset, whether a value follows, and where."""
    found = _NAME.match(text, at)
    if found is None:
        raise ValueError("a name is of letters, digits, and _ . - [ ]; a = follows it")
    name = found["name"].rstrip()
    if " " in name:
        raise ValueError("a name holds no blank")
    has_value = found["end"] in ("=", ":")
    if has_value and not name:
        raise ValueError("there is no name before the =")
    return name, has_value, found.end()


def _value(text: str, at: int, look_up: _Lookup) -> tuple[str, int]:
    """Return the value that begins at an offset, and the offset behind it."""
    is_quoted = text.startswith(('"', "'"), at)
    found = (_QUOTED if is_quoted else _UNQUOTED).match(text, at)
    if found is None:
        raise ValueError("a quote that begins there does not end")
    value: str = found["text"]
    if not is_quoted:
        if _OPEN_DIRECTIVE.match(value):
            raise ValueError(
                "the log_format directive does not end: a semicolon ends its last line"
            )
        value = _substitute(value.split(" #")[0].rstrip(), look_up)
    elif text[at] == '"':
        value = _substitute(_ESCAPE.sub(_unescaped, value), look_up)
    else:
        value = re.sub(r"\\(.)", lambda pair: "'" if pair[1] == "'" else pair[0], value)
    if "\0" in value:
        raise ValueError("no setting holds a NUL")
    return value, found.end()


def _unescaped(found: re.Match[str]) -> str:
    if found["letter"]:
        return _ESCAPED[found["letter"]]
    digits: str = found["digits"]
    # Of other digits Compose loses the 0.
    return chr(int(digits, 8)) if re.fullmatch("[0-3][0-7]{2}", digits) else f"\\{digits}"


def _substitute(text: str, look_up: _Lookup) -> str:
    """Return a text with each variable in it replaced. Raises ValueError."""

    def value_of(found: re.Match[str]) -> str:
        if found["dollar"]:
            return "$"
        name = found["plain"] or found["name"]
        if name is None:
            raise ValueError("${ begins a variable that does not end; " + _INSTEAD)
        value = look_up(name)
        if found["operator"]:
            end = _closing_brace(found[0])
            word = found[0][found.start("word") - found.start() : end]
            chosen = _chosen(name, value, found["operator"], word, look_up)
            return chosen + _substitute(found[0][end + 1 :], look_up)
        if value is None:
            raise ValueError(f"the variable {name} is not set; {_INSTEAD}")
        return value

    return _VARIABLE.sub(value_of, text)


def _closing_brace(text: str) -> int:
    """Return where the first brace closes, or else the last one; text ends with one."""
    depth = at = 0
    while at < len(text):
        if text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
        elif text[at] == "{":
            depth += 1
            at += 1  # as Compose does: what follows it is not looked at
        at += 1
    return len(text) - 1


def _chosen(name: str, value: str | None, operator: str, word: str, look_up: _Lookup) -> str:
    """Return what `${NAME operator word}` is. Raises ValueError where it must be set and is not."""
    is_set = bool(value) if operator.startswith(":") else value is not None
    if operator.endswith("?") and not is_set:
        raise ValueError(f"the variable {name} must be set")
    if is_set == operator.endswith("+"):
        return _substitute(word, look_up)
    return value or ""
