"""A log_format: the directive of nginx.conf, its words, and the variables of its template.

An error knows its offset in the source, to mark it there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple

#: How much of a format is shown around the offset, in characters.
_SHOWN = 60


class FormatError(ValueError):
    """The text is no format by which lines can be read.

    `str()` is one sentence; `marked` shows the text below it, with a caret under the offset.
    """

    def __init__(self, message: str, text: str = "", offset: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.text = text
        self.offset = offset

    @property
    def marked(self) -> str:
        """The message, and where the offset is known the line that holds it and a caret below."""
        if self.offset is None:
            return self.message
        return f"{self.message}\n{marked(self.text, self.offset)}"


def marked(text: str, offset: int, shown: int = _SHOWN) -> str:
    """Return what surrounds an offset in a text, on one line, and below it a caret.

    `offset` is a character offset; `shown` is how many characters before and after it are shown.
    """
    line_start = text.rfind("\n", 0, offset) + 1
    line_end = text.find("\n", offset)
    line_end = len(text) if line_end < 0 else line_end
    start = max(line_start, offset - shown)
    end = min(line_end, offset + shown)
    before = _shown(text[start:offset])
    left = "…" if start > line_start else ""
    right = "…" if end < line_end else ""
    line = f"    {left}{before}{_shown(text[offset:end])}{right}"
    return f"{line}\n    {' ' * (len(left) + len(before))}^"


def _shown(text: str) -> str:
    """Return the text with each character whose width is not one written as an escape."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


#: How values are escaped: the `escape=` of a log_format. The last one is not nginx's.
ESCAPES = ("default", "json", "none", "haproxy")


class Word(NamedTuple):
    """One argument of a directive, without its quotes."""

    text: str
    #: For each character of the text, and for its end, the offset in the source.
    offsets: tuple[int, ...]


class LogFormat(NamedTuple):
    """A `log_format` directive."""

    name: str
    escape: str
    #: What follows, but for empty texts. The name of a variable ends where its argument does.
    arguments: tuple[Word, ...]


def log_format(words: list[Word]) -> LogFormat:
    """Return the log_format that a directive is. Raises FormatError with the offset in its words.

    Only the caller knows the text that the offset is in.
    """
    if len(words) < 2:
        raise FormatError("log_format has no name", offset=words[0].offsets[-1])
    name, *rest = words[1:]
    escape = "default"
    if rest and rest[0].text.startswith("escape="):
        escape = rest[0].text.removeprefix("escape=")
        if escape not in ESCAPES:
            raise FormatError(
                f"escape= is one of {', '.join(ESCAPES)}", offset=rest[0].offsets[len("escape=")]
            )
        rest = rest[1:]
    arguments = tuple(word for word in rest if word.text)
    if not arguments:
        raise FormatError("log_format has no format after its name", offset=words[-1].offsets[-1])
    return LogFormat(name.text, escape, arguments)


def written(form: LogFormat) -> str:
    """Return the directive in one line, with one text: another spelling of the same format.

    It is the same for all that differ in nothing but the texts that they are split into, and in the
    case of variables.
    """
    following = [word.text for word in form.arguments[1:]]
    text = "".join(map(_before, form.arguments, [*following, ""]))
    name = form.name if _PLAIN_NAME.fullmatch(form.name) else _quoted(form.name)
    escape = "" if form.escape == "default" else f" escape={form.escape}"
    return f"log_format {name}{escape} {_quoted(text)};"


def _before(argument: Word, following: str) -> str:
    """Return the text of an argument as it is written where another text follows it at once."""
    text = _VARIABLE.sub(lambda variable: variable[0].lower(), argument.text)
    return _LAST_NAME.sub(r"${\1}", text) if _GOES_ON.match(following) else text


def _quoted(text: str) -> str:
    # A backslash only where nginx.conf would read one otherwise.
    text = text.replace("\\", "\\\\").replace("'", "\\'")
    text = text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return f"'{text}'"


_PLAIN_NAME = re.compile(r"""[^\s;{}"'\\$#]+""")
_GOES_ON = re.compile(r"[A-Za-z0-9_]")
_LAST_NAME = re.compile(r"\$([A-Za-z0-9_]+)\Z")
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+))")

#: Variables whose values begin with a slash, and those that may stand right before one of them,
#: since theirs hold none: `$host$request_uri`.
_URIS = ("request_uri", "uri", "document_uri")
_BEFORE_URIS = (
    *("host", "http_host", "server_name", "hostname", "ssl_server_name", "proxy_host"),
    *("server_addr", "server_port", "proxy_port", "proxy_protocol_server_port"),
)
#: `$uri$is_args$args` and its like, which are the request's URI.
_WHOLE_URIS = tuple(
    (uri, "is_args", args) for uri in _URIS[1:] for args in ("args", "query_string")
)


class Part(NamedTuple):
    """A variable with the text that follows it, up to the next variable or the end."""

    variable: str
    after: str
    #: Nothing stands before the next variable, whose value begins with a slash.
    is_before_uri: bool = False
    #: It stands for `$uri$is_args$args`, which ends with the dash of `$args` if there are none.
    is_whole_uri: bool = False


class Template(NamedTuple):
    """A format, cut at its variables."""

    #: The text before the first variable.
    before: str
    parts: tuple[Part, ...]


class _Variable(NamedTuple):
    """A variable as it stands in a format."""

    name: str
    #: In the format's text: where it begins, and where what follows it does.
    start: int
    end: int
    is_whole_uri: bool = False


def template(arguments: Sequence[Word], source: str) -> Template:
    """Cut the text that the arguments of a log_format make up at its variables.

    The names are in lower case, as nginx takes no notice of their case.
    Raises FormatError, with the offset in `source`: for a `$` that begins no variable, for two
    variables of which it cannot be told where the one ends, and when there is no variable at all.
    """
    text = "".join(word.text for word in arguments).removesuffix("\r")  # as that of a line
    offsets = [offset for word in arguments for offset in word.offsets[:-1]]
    variables = _whole_uris(_variables(arguments, source))
    if not variables:
        raise FormatError("the format has no variable", source, offsets[0])
    ends = [*(variable.start for variable in variables[1:]), len(text)]
    parts = []
    for variable, end, following in zip_longest(variables, ends, variables[1:]):
        after, is_before_uri = text[variable.end : end], False
        if following is not None and not after:
            is_before_uri = variable.name in _BEFORE_URIS and following.name in _URIS
            if not is_before_uri:
                raise FormatError(
                    f"nothing stands between ${variable.name} and ${following.name}: it cannot be "
                    "told where the one ends and the other begins. Log a character between them; "
                    "for lines that are there already write one name of your own for both, such "
                    f"as ${variable.name}_and_{following.name}: their text is then in extra",
                    source,
                    offsets[following.start],
                )
        parts.append(Part(variable.name, after, is_before_uri, variable.is_whole_uri))
    return Template(text[: variables[0].start], tuple(parts))


def _variables(arguments: Sequence[Word], source: str) -> list[_Variable]:
    found = []
    before = 0  # how long the arguments before this one are
    for text, offsets in arguments:
        at = text.find("$")
        while at >= 0:
            variable = _VARIABLE.match(text, at)
            if variable is None:
                raise FormatError("this $ begins no variable", source, offsets[at])
            name = (variable[1] or variable[2]).lower()
            found.append(_Variable(name, before + at, before + variable.end()))
            at = text.find("$", variable.end())
        before += len(text)
    return found


def _whole_uris(variables: list[_Variable]) -> list[_Variable]:
    """Return the variables with `$request_uri` for each three that are the same as it."""
    found: list[_Variable] = []
    for variable in variables:
        found.append(variable)
        if tuple(last.name for last in found[-3:]) in _WHOLE_URIS:
            uri, is_args, args = found[-3:]
            if uri.end == is_args.start and is_args.end == args.start:
                found[-3:] = [_Variable("request_uri", uri.start, args.end, is_whole_uri=True)]
    return found
