"""The command `datastream sql`: a shell on the tables, or one statement."""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from datastream.errors import Unavailable
from datastream.how_many import how_many
from datastream_operator.place import add_folder, place_of
from datastream_operator.reading import Answer, Column, Failed, Reader
from datastream_operator.refused import Refused
from datastream_operator.text import printable

DESCRIPTION = """\
A shell on the tables, or the answer to a statement that is given or piped in. It needs no client
program of MySQL, and it only reads: every transaction is READ ONLY, whatever the account may do.

It takes the account READER_MYSQL_* (or OPERATOR_MYSQL_*, or MYSQL_*). On a terminal an answer is a
table, or where that would be too wide a line for each column; elsewhere its fields are separated by
tabs, after a line with the columns' names. Of a query without a LIMIT a terminal shows the first
1,000 rows. Binary columns that hold an address or an id are shown as SQL takes them, 0x…, others as
text. Times are UTC. In the shell a statement ends with ; or, for a line for each column, with \\G.
"""

EXIT_CODES = """\
exit codes: 0 done; 1 a statement is refused, and the message has the server's number and words; 66
there are no tables in FOLDER; 69 the database is away; 78 a setting is wrong; 130 interrupted; 141
what reads the answer has ended
"""

#: Rows that a terminal shows of a query without a LIMIT.
MOST_ROWS = 1_000
#: Columns of a terminal that each column of a table needs, to be worth showing as one.
NARROWEST = 8
NULL = "NULL"

HISTORY = Path("~/.datastream_history")
HISTORY_LINES = 1_000
PROMPT, MORE = "datastream> ", "        ... "

#: What may hold a semicolon that ends nothing, to its end or that of the text, and what ends a
#: statement.
_TOKEN = re.compile(
    r"""'(?:[^'\\]|\\.)*(?:'|\Z) | "(?:[^"\\]|\\.)*(?:"|\Z) | `[^`]*(?:`|\Z)
    | (?P<comment>--(?=\s|\Z)[^\n]* | \#[^\n]* | /\*(?![!+M]).*?(?:\*/|\Z))
    | (?P<end>; | \\G)""",
    re.DOTALL | re.VERBOSE,
)

#: Prints an answer.
Show = Callable[[Answer], None]


class Statement(NamedTuple):
    """One statement, without what ends it."""

    text: str
    #: Whether it ends with \\G.
    is_vertical: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `datastream sql`."""
    parser.description = DESCRIPTION
    parser.epilog = EXIT_CODES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(run=run)
    parser.add_argument(
        "statement",
        nargs="?",
        metavar="STATEMENT",
        help="what to ask; several are separated by semicolons (default: a shell, or what is piped "
        "in)",
    )
    shapes = parser.add_mutually_exclusive_group()
    shapes.add_argument(
        "--json",
        dest="shape",
        action="store_const",
        const=show_json,
        help="a JSON array of objects for each query",
    )
    shapes.add_argument(
        "--tsv",
        dest="shape",
        action="store_const",
        const=show_tsv,
        help="tabs between fields; \\t, \\n and \\\\ in one are a tab, a newline, a backslash",
    )
    shapes.add_argument(
        "--vertical",
        dest="shape",
        action="store_const",
        const=show_vertical,
        help="a line for each column of each row",
    )
    add_folder(parser)


def run(arguments: argparse.Namespace) -> int:
    """Answer what is asked; return the exit code. Raises Refused, ConfigError and Unavailable."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    is_shell = arguments.statement is None and sys.stdin.isatty()
    text = arguments.statement
    if text is None and not is_shell:
        text = sys.stdin.read()
    show = arguments.shape or (show_table if sys.stdout.isatty() else show_tsv)
    with (
        place_of(arguments, "READER") as place,
        closing(Reader(place.mysql, "datastream sql")) as reader,
    ):
        if is_shell:
            _Shell(reader, show).run()
            return 0
        try:
            for statement in _all(text):
                _answer(reader, statement, show)
        except Failed as error:
            raise Refused(str(error)) from error
    return 0


# --- statements


def statements(text: str) -> tuple[list[Statement], str]:
    """Return the statements of a text that have an end, and what follows the last of them.

    A semicolon in a quoted text, a name or a comment ends none; comments are left out.
    """
    found: list[Statement] = []
    parts: list[str] = []
    at = 0
    for token in _TOKEN.finditer(text):
        if token["end"] is None and token["comment"] is None:
            continue
        parts.append(text[at : token.start()])
        at = token.end()
        if token["end"] is None:
            if not token["comment"].startswith("/*") or token["comment"].endswith("*/"):
                parts.append(" ")
            else:
                parts.append(token["comment"])  # it goes on in the next line
            continue
        if whole := "".join(parts).strip():
            found.append(Statement(whole, token["end"] == r"\G"))
        parts = []
    return found, "".join([*parts, text[at:]]).strip()


def _all(text: str) -> list[Statement]:
    found, rest = statements(text)
    if rest:
        found.append(Statement(rest))
    if not found:
        raise Refused("there is no statement")
    return found


def _answer(reader: Reader, statement: Statement, show: Show) -> None:
    """Ask a statement and print its answer. Raises Failed, Refused and Unavailable."""
    if statement.is_vertical:
        show = show_vertical
    if show in (show_table, show_vertical) and sys.stdout.isatty():
        reader.limit(MOST_ROWS)
    answer = reader.ask(statement.text)
    if answer.columns:
        show(answer)
    else:
        _remark("done")


# --- the shell


class _Shell:
    """Asks for statements until the end of the input."""

    def __init__(self, reader: Reader, show: Show) -> None:
        self._reader = reader
        self._show = show

    def run(self) -> None:
        """Take statements until Ctrl-D or `exit`. Raises Unavailable at the start alone."""
        server = self._reader.connect()
        _remark(
            f"{server.get_server_info()} at {server.host}:{server.port}, only to read. A statement "
            "ends with ; or \\G.\nSHOW TABLES; lists what there is. Ctrl-C ends a statement, "
            "Ctrl-D the shell."
        )
        # It ends a statement and not this program.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with _history():
                self._take_lines()
        finally:
            signal.signal(signal.SIGINT, before)

    def _take_lines(self) -> None:
        text = ""
        while True:
            try:
                line = input(MORE if text else PROMPT)
            except EOFError:
                sys.stdout.write("\n")
                return
            except KeyboardInterrupt:
                sys.stdout.write("\n")
                text = ""
                continue
            if not text and line.strip().rstrip(";").lower() in ("exit", "quit"):
                return
            found, text = statements(f"{text}\n{line}" if text else line)
            for statement in found:
                self._answer(statement)

    def _answer(self, statement: Statement) -> None:
        try:
            _answer(self._reader, statement, self._show)
        except KeyboardInterrupt:
            self._reader.kill()
            _remark("\ninterrupted")
        except (Failed, Refused) as error:
            _remark(str(error))
        except Unavailable as error:
            _remark(f"{error}; the next statement opens another one")


@contextmanager
def _history() -> Iterator[None]:
    """Bring back the lines of earlier shells by the arrow keys; keep these, for this user alone.

    Where Python was built without readline, lines are typed without.
    """
    try:
        import readline  # not above: it looks at the terminal
    except ImportError:
        yield
        return
    path = HISTORY.expanduser()
    readline.set_history_length(HISTORY_LINES)
    with suppress(OSError):
        readline.read_history_file(path)
    try:
        yield
    finally:
        with suppress(OSError):
            path.touch(mode=0o600)
            readline.write_history_file(path)


def _remark(text: str) -> None:
    sys.stderr.write(f"{printable_lines(text)}\n")


def printable_lines(text: str) -> str:
    """Return a text of several lines that is safe on a terminal."""
    return "\n".join(map(printable, text.split("\n")))


# --- the shapes of an answer


def show_table(answer: Answer) -> None:
    """Print a table; where the terminal is too narrow for one, a line for each column."""
    console = Console(file=sys.stdout, markup=False, highlight=False, emoji=False)
    if len(answer.columns) * NARROWEST > console.width:
        show_vertical(answer)
        return
    rows = list(answer.rows)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in answer.columns:
        table.add_column(
            Text(printable(column.name)),
            justify="right" if column.is_number else "left",
            overflow="fold",
            no_wrap=column.is_number,
        )
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console.print(table)
    _tell_rows(len(rows))


def _cell(value: str | None) -> Text:
    return Text(NULL, style="dim") if value is None else Text(printable(value))


def show_vertical(answer: Answer) -> None:
    """Print each row as a line for each column."""
    names = [printable(column.name) for column in answer.columns]
    width = max(map(len, names))
    number = 0
    for number, row in enumerate(answer.rows, 1):
        sys.stdout.write(f"--- row {number:,}\n")
        for name, value in zip(names, row, strict=True):
            text = NULL if value is None else printable(value)
            sys.stdout.write(f"{name:>{width}}: {text}\n")
    _tell_rows(number)


def _tell_rows(rows: int) -> None:
    if not sys.stdout.isatty():
        return
    said = how_many(rows, "row")
    if rows == MOST_ROWS:
        said += ", there may be more: a LIMIT, or --tsv or --json, gives all"
    _remark(said)


def show_tsv(answer: Answer) -> None:
    """Print the columns' names and each row, fields separated by tabs."""
    names = tuple(column.name for column in answer.columns)
    for row in chain([names], answer.rows):
        sys.stdout.write("\t".join(NULL if v is None else _escaped(v) for v in row) + "\n")


def _escaped(value: str) -> str:
    text = value.replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n")
    return printable(text) if sys.stdout.isatty() else text


def show_json(answer: Answer) -> None:
    """Print an array with an object for each row. Raises Refused where columns share a name."""
    names = [column.name for column in answer.columns]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Refused(f"two columns have the name {printable(twice)}: name one of them with AS")
    objects = (
        json.dumps(dict(zip(names, map(_json, row, answer.columns), strict=True)))
        for row in answer.rows
    )
    sys.stdout.write("[" + "".join(islice(objects, 1)))
    sys.stdout.writelines(f",\n {text}" for text in objects)
    sys.stdout.write("]\n")


def _json(value: str | None, column: Column) -> str | float | None:
    if value is None:
        return None
    if column.is_integer:
        return int(value)
    return float(value) if column.is_fraction else value
