"""`datastream check`: what it counts, shows and returns."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
import re
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
    content = log.read_bytes() * 250  # more than a pipe holds
    assert len(content) > 65_536
    log.write_bytes(content)
    code, expected = as_json(monkeypatch, capsys, "--format", form, str(log))

    assert run_piped(monkeypatch, packed(content), "--json", "--format", form) == code
    found = json.loads(capsys.readouterr().out)

    assert found["lines"] == 1_000
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
    log.write_text(f"{LINE}\n" * 9 + f"{BROKEN}\n")
    code, found = as_json(monkeypatch, capsys, "--format", "auto", str(log))

    assert (code, found["format"]) == (1, "combined")
    assert (found["detected"]["fit"], found["detected"]["lines"]) == (9, 10)
    assert (found["detected"]["is_sure"], found["detected"]["sureness"]) == (True, "likely")


def test_a_guess_is_no_success(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not even where every line fits: a person compares the line shown with its columns."""
    line = f"web1 {LINE} 0.042"
    log.write_text(f"{line}\n" * 20)
    code, found = as_json(monkeypatch, capsys, "--format", "auto", str(log))

    assert (code, found["parsed"], found["detected"]["sureness"]) == (78, 20, "a guess")
    assert run(monkeypatch, "--format", "auto", str(log)) == 78
    said = capsys.readouterr().out
    assert "Do not rely on it: the format is a guess: " in said
    assert re.search(r"^ +session +192\.0\.2\.7 +$", said, re.MULTILINE)
    assert run(monkeypatch, "--format", found["format"], str(log)) == 0


def test_lines_that_do_not_fit_are_told_with_how_they_are_mended(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the command that the consumer's warning and verify name; not where all lines fit."""
    log.write_text(f"{LINE}\n")
    assert run(monkeypatch, "--format", "combined", str(log)) == 0
    assert "datastream replay" not in capsys.readouterr().out

    log.write_text(f"{LINE}\nno line\n")
    assert run(monkeypatch, "--format", "combined", str(log)) == 1
    said = capsys.readouterr().out
    assert "datastream replay --rejected --stream STREAM --format FORMAT" in said


def test_where_nothing_fits_the_directive_is_asked_for(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not a comparison with the columns of a format that no line has."""
    log.write_text("2026-11-29T12:00:00+01:00\t192.0.2.7\t200\n" * 20)

    assert run(monkeypatch, "--format", "auto", str(log)) == 78
    [said] = capsys.readouterr().out.splitlines()
    assert said.startswith(f"no format that has a name fits {log}. FORMAT takes the log_format")


def test_an_empty_log_is_no_error(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its first lines will tell the format; and a format that is empty is not named."""
    log.write_text("")

    assert run(monkeypatch, "--format", "", str(log)) == 0
    assert capsys.readouterr().out == f"{log} has no line yet\n"


def test_what_no_variable_names_is_shown_with_a_log_format_for_it(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the first line; what it guesses is said to be a guess."""
    log.write_text(f'{LINE} 0.042 "-" 192.0.2.9:80, 192.0.2.8:80 [x]\n' * 20)

    assert run(monkeypatch, "--format", "auto", str(log)) == 0
    said = capsys.readouterr().out
    assert 'holds as it is: 0.042 "-" 192.0.2.9:80, 192.0.2.8:80 [x]. The' in said
    [form] = re.findall(r"it may be (log_format .*;), in which", said)
    guesses = '$request_time "$http_x_forwarded_for" $upstream_addr [$field_4]'
    assert form.endswith(f"{guesses}';")
    assert f"in which {', '.join(re.findall(r'[$][a-z_0-9]+', guesses))} are guesses" in said
    assert run(monkeypatch, "--format", form, str(log)) == 0


def test_a_server_without_times_is_refused_by_name(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what to do about it."""
    log.write_text('INFO:     192.0.2.7:51234 - "GET / HTTP/1.1" 200 OK\n' * 20)

    assert run(monkeypatch, "--format", "auto", str(log)) == 78
    assert "uvicorn writes no time" in capsys.readouterr().err


def test_times_without_a_zone_are_said_to_be_taken_for_utc(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unless theirs is named."""
    log.write_text('192.0.2.7:51234 - - [10/Oct/2000:13:55:36] "GET /" 200 5\n' * 20)

    assert run(monkeypatch, "--format", "daphne", str(log)) == 0
    assert "taken for UTC" in capsys.readouterr().out
    assert run(monkeypatch, "--format", "daphne Europe/Paris", str(log)) == 0
    assert "UTC" not in capsys.readouterr().out


def test_the_prefix_is_found_out(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is part of the format that is said."""
    log.write_text(f"<190>Nov  9 17:40:03 web1 nginx: {LINE}\n" * 20)
    code, found = as_json(monkeypatch, capsys, "--format", "auto", str(log))

    assert (code, found["format"], found["detected"]["name"]) == (0, *["rfc3164 combined"] * 2)
    assert run(monkeypatch, "--format", "rfc3164 combined", str(log)) == 0


@pytest.mark.parametrize("form", ["auto", "combined"])
def test_the_first_line_that_fits_is_shown(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    """With what each column of its row holds, an address as text; of no other line."""
    lines = [BROKEN, f"{LINE} \x1b".replace("/{}", "/a?b"), *[LINE] * 20]
    log.write_text("\n".join(lines) + "\n")
    _, found = as_json(monkeypatch, capsys, "--format", form, str(log))

    assert (found["sample"]["line"], found["sample"]["text"]) == (3, LINE)
    columns = found["sample"]["columns"]
    assert (columns["client"], columns["status"], columns["size"]) == ("192.0.2.7", 200, 512)
    assert "user" not in columns

    log.write_text(LINE.replace("/{}", "/\x1b[2J") + "\n")
    run(monkeypatch, "--format", form, str(log))
    said = capsys.readouterr().out
    assert "Line 1, the first that fits, becomes:" in said
    assert re.search(r"^ +client +192\.0\.2\.7 +$", said, re.MULTILINE)
    assert "\x1b" not in said


def test_no_line_that_fits_is_said(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is nothing to show then."""
    log.write_text(f"{BROKEN}\n")
    _, found = as_json(monkeypatch, capsys, "--format", "combined", str(log))

    assert found["sample"] is None
    run(monkeypatch, "--format", "combined", str(log))
    assert "No line fits." in capsys.readouterr().out


def test_what_is_ambiguous_in_the_format_is_said(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Behind a prefix as well; an error log has nothing of that."""
    log.write_text("web-1  | 971211336.5 a b\n")
    form = "compose $msec $http_host $request_uri"
    code, found = as_json(monkeypatch, capsys, "--format", form, str(log))

    assert (code, len(found["doubts"])) == (0, 1)
    assert run(monkeypatch, "--format", form, str(log)) == 0
    assert (
        "In this format it cannot always be told where $http_host ends" in capsys.readouterr().out
    )
    _, found = as_json(monkeypatch, capsys, "--format", "compose error", str(log))
    assert found["doubts"] == []


def test_the_error_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has fields, and places, of its own."""
    log = tmp_path / "error.log"
    log.write_text("2000/10/10 13:55:36 [error] 1#1: x\n2000/10/10 13:55:36 [error] x\n")
    code, found = as_json(monkeypatch, capsys, "--format", "error", str(log))

    assert (code, found["parsed"], found["first_rejected"][0]["place"]) == (1, 1, 27)
    assert ["message"] in [field["columns"] for field in found["fields"]]


def test_a_line_that_goes_on_with_an_entry_of_an_error_log_is_no_reject(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It fits; the lines after it are numbered all the same."""
    log = tmp_path / "error.log"
    entry = "2000/10/10 13:55:36 [error] 1#1: x\nstack traceback:\n\tin y\n"
    log.write_text(entry)
    code, found = as_json(monkeypatch, capsys, "--format", "error", str(log))

    counts = [found[name] for name in ("lines", "parsed", "continued", "rejected")]
    assert (code, counts) == (0, [3, 1, 2, 0])

    log.write_text(f"{entry}2000/10/10 13:55:36 rubbish\n")
    assert run(monkeypatch, "--format", "error", str(log)) == 1
    shown = capsys.readouterr().out
    assert "75.00 % of the lines, with 2 that go on with another" in shown
    assert f"line 4, byte {len(entry)}: format" in shown


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


def test_a_format_without_a_client_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And which variable is the client where there is one."""
    log = tmp_path / "access.log"
    log.write_text('971211336.250 "203.0.113.9, 192.0.2.1"\n')

    code, found = as_json(monkeypatch, capsys, "--format", '$msec "$my_map"', str(log))
    assert (code, len(found["remarks"])) == (0, 1)
    assert found["remarks"][0].startswith("the format has no client")
    run(monkeypatch, "--format", '$msec "$my_map"', str(log))
    assert "Note: the format has no client" in capsys.readouterr().out
    _, found = as_json(monkeypatch, capsys, "--format", '$msec "$http_x_forwarded_for"', str(log))
    assert found["remarks"] == []
    assert found["fields"][1]["columns"] == ["client", "extra.http_x_forwarded_for"]


def test_every_log_of_the_settings(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is tried as its table says, in one line; then comes what does not fit."""
    monkeypatch.chdir(tmp_path)  # whoever runs this has a `.env` beside it, perhaps
    good = tmp_path / "good.log"
    good.write_text(f"{LINE.format('a')}\n" * 10)
    config = tmp_path / "logs.toml"
    table = "[[log]]\npath = '{}'\nformat = '{}'\n".format
    config.write_text("source = 'web'\n" + table(f"{tmp_path}/g*.log", "auto"))
    assert run(monkeypatch, "--config", str(config)) == 0
    assert capsys.readouterr().out == f"{good}: 10 of 10 lines fit combined\n"

    with config.open("a") as file:
        file.write(table(log, "combined") + table(tmp_path / "none.log", "error"))
    code = run(monkeypatch, "--config", str(config))
    first, second, third, _, *details = capsys.readouterr().out.splitlines()

    assert code == 66
    assert first == f"{good}: 10 of 10 lines fit combined"
    assert second == f"{log}: 2 of 4 lines fit combined"
    assert third == f"{tmp_path}/none.log: cannot be read: No such file or directory"
    assert details[0] == f"{log} as combined"
    assert run(monkeypatch, "--json", "--config", str(config)) == 66
    found = json.loads(capsys.readouterr().out)
    assert [one.get("rejected") for one in found] == [0, 2, None]

    with config.open("a") as file:
        file.write(table(f"{tmp_path}/*.log", "error"))
    assert run(monkeypatch, "--config", str(config)) == 78
    assert f"{config}: log 2 ({log}) and log 4 ({tmp_path}/*.log) match" in capsys.readouterr().err
    code, found = as_json(monkeypatch, capsys, "--config", str(config), str(log))
    assert (code, found["format"]) == (1, "combined")


def test_no_log_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither an argument nor the settings name one."""
    monkeypatch.setenv("ENV_FILE", str(tmp_path / "none"))

    assert run(monkeypatch) == 64
