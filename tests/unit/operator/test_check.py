"""`datastream check`: what it counts, shows and returns."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from datastream_operator import __main__ as command

LINE = '192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET /{} HTTP/1.1" 200 512 "-" "é"'
BROKEN = LINE.format("broken").replace(" 200 512", "")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with two lines that do not fit, one of them without a time."""
    path = tmp_path / "access.log"
    no_time = LINE.format("x").replace("Oct", "Okt")
    path.write_text("\n".join([LINE.format("a"), BROKEN, LINE.format("b"), no_time]) + "\n")
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command; return its exit code."""
    monkeypatch.setattr("sys.argv", ["datastream", "check", *arguments])
    return command.main()


def as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, dict[str, Any]]:
    """Return the exit code and what was found."""
    code = run(monkeypatch, "--json", *arguments)
    return code, json.loads(capsys.readouterr().out)


def test_everything_is_in_the_json(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Counts, reasons, fields, and of each line that does not fit the place."""
    code, found = as_json(monkeypatch, capsys, "--format", "combined", str(log))

    assert code == 1
    assert (found["lines"], found["parsed"], found["rejected"]) == (4, 2, 2)
    assert found["reasons"] == {"format": 1, "time": 1}
    assert found["lines_per_second"] > 0
    assert (found["format"], found["detected"]) == ("combined", None)
    fields = {field["variable"]: field["columns"] for field in found["fields"]}
    assert fields["$status"] == ["status"]
    assert fields["$request"][:2] == ["method", "url"]
    first, second = found["first_rejected"]
    assert (first["line"], first["offset"]) == (2, len(LINE.format("a").encode()) + 1)
    assert first["text"] == BROKEN
    assert BROKEN[: first["place"]].endswith('HTTP/1.1" ')
    assert first["expected"] == "' ' after $status"
    assert second["text"][second["place"] :].startswith("10/Okt")


def test_the_place_is_marked_under_the_line(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person sees the counts, where each field goes, and carets."""
    code = run(monkeypatch, "--format", "combined", str(log))
    said = capsys.readouterr().out

    assert code == 1
    assert "50.00 %" in said
    assert "format 1, time 1" in said
    assert "$body_bytes_sent" in said
    lines = said.splitlines()
    caret = next(at for at, line in enumerate(lines) if line.strip() == "^")
    assert lines[caret - 1][lines[caret].index("^") :].startswith('"-"')


def test_a_format_of_ones_own(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The text of a log_format does, and a gzip file as well."""
    packed = log.with_suffix(".gz")
    packed.write_bytes(gzip.compress(log.read_bytes().split(b"\n")[0] + b"\n"))
    form = '$remote_addr - $remote_user [$time_local] "$request" $status $bytes_sent "$a" "$b"'
    code, found = as_json(monkeypatch, capsys, "--format", form, str(packed))

    assert (code, found["lines"], found["parsed"]) == (0, 1, 1)
    assert found["fields"][-1]["columns"] == ["extra.b"]


def run_piped(monkeypatch: pytest.MonkeyPatch, content: bytes, *arguments: str) -> int:
    """Run the command with bytes in a pipe, which cannot go back; return its exit code."""
    reading, writing = os.pipe()
    writer = Thread(target=_fill, args=(writing, content))
    writer.start()
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        code = run(monkeypatch, *arguments, "-")
    writer.join()
    return code


def _fill(descriptor: int, content: bytes) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


@pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["plain", "packed"])
@pytest.mark.parametrize("form", ["auto", "combined"])
def test_a_log_that_is_piped_in(
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    packed: Callable[[bytes], bytes],
    form: str,
) -> None:
    """It is told as the file is, whole, whatever its first bytes say and its format is."""
    content = log.read_bytes() * 700
    log.write_bytes(content)
    code, expected = as_json(monkeypatch, capsys, "--format", form, str(log))

    assert run_piped(monkeypatch, packed(content), "--json", "--format", form) == code
    found = json.loads(capsys.readouterr().out)

    assert found["lines"] == 2_800
    for volatile in ("log", "seconds", "lines_per_second"):
        del found[volatile], expected[volatile]
    assert found == expected


def test_what_is_piped_in_has_a_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both where it can be read and where it cannot: its packing, its damage."""
    assert run_piped(monkeypatch, LINE.encode() + b"\n", "--format", "combined") == 0
    assert capsys.readouterr().out.startswith("standard input as combined")

    other = b"7z\xbc\xaf\x27\x1c" + b"x" * 600
    assert run_piped(monkeypatch, other, "--format", "combined") == 66
    assert "standard input is packed by 7z" in capsys.readouterr().err

    cut = gzip.compress(LINE.encode())[:-9]
    assert run_piped(monkeypatch, cut, "--format", "combined") == 66
    assert "standard input cannot be read: Cut short" in capsys.readouterr().err


def test_the_format_is_found_out(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said which, and how sure that is."""
    code, found = as_json(monkeypatch, capsys, "--format", "auto", str(log))

    assert (code, found["format"]) == (1, "combined")
    assert (found["detected"]["fit"], found["detected"]["lines"]) == (2, 4)
    assert found["detected"]["is_sure"] is False


def test_the_error_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has fields, and places, of its own."""
    log = tmp_path / "error.log"
    log.write_text("2000/10/10 13:55:36 [error] 1#1: x\n2000/10/10 13:55:36 [error] x\n")
    code, found = as_json(monkeypatch, capsys, "--format", "error", str(log))

    assert (code, found["parsed"], found["first_rejected"][0]["place"]) == (1, 1, 27)
    assert ["message"] in [field["columns"] for field in found["fields"]]


@pytest.mark.parametrize(
    ("form", "path", "said"),
    [
        ("log_format x '$msec $a$b';", "access.log", (78, "nothing stands between $a and $b")),
        ("unheard-of", "access.log", (78, "this is no format")),
        ("combined", "none.log", (66, "none.log")),
    ],
)
def test_what_cannot_be_done(
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    form: str,
    path: str,
    said: tuple[int, str],
) -> None:
    """Each has an exit code of its own, and words."""
    assert run(monkeypatch, "--format", form, str(log.with_name(path))) == said[0]
    assert said[1] in capsys.readouterr().err


@pytest.mark.parametrize("packed", [bytes, gzip.compress, lzma.compress], ids=["no", "gz", "xz"])
def test_what_is_piped_in_may_come_a_byte_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    packed: Callable[[bytes], bytes],
) -> None:
    """Whether it is packed is decided once enough has come."""

    class Dripping(io.BytesIO):
        """Gives what comes first a byte at a time."""

        def read1(self, _size: int | None = -1) -> bytes:
            return self.read(1)

        def peek(self, _size: int = 0) -> bytes:
            return self.getvalue()[self.tell() : self.tell() + 1]

    monkeypatch.setattr(
        sys, "stdin", SimpleNamespace(buffer=Dripping(packed(LINE.encode() + b"\n")))
    )

    assert run(monkeypatch, "--json", "--format", "combined", "-") == 0
    assert json.loads(capsys.readouterr().out)["parsed"] == 1


def test_standard_input_that_is_closed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`<&-` leaves nothing to read: it is refused as a log that cannot be read."""
    monkeypatch.setattr(sys, "stdin", None)

    assert run(monkeypatch, "--format", "combined", "-") == 66
    assert "standard input cannot be read: it is closed" in capsys.readouterr().err
