"""`.env`, read as Docker Compose reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from datastream.config import ConfigError, Environment
from datastream.env_file import Malformed, parse
from env_files import ENVIRONMENT, READ, REFUSED


@pytest.mark.parametrize("name", READ)
def test_a_value_is_what_compose_makes_of_it(name: str) -> None:
    """Quotes, escapes, comments, lines and variables mean what they mean to Docker Compose."""
    text, *values = READ[name]

    settings = parse(text, ENVIRONMENT)

    assert [settings.get("A"), settings.get("B")] == values


@pytest.mark.parametrize("name", REFUSED)
def test_what_compose_cannot_read_is_refused(name: str) -> None:
    """The line and the reason are said, and no secret; so is a variable that is not set."""
    text, line, reason = REFUSED[name]

    with pytest.raises(Malformed) as refused:
        parse(text, ENVIRONMENT)

    assert str(refused.value).startswith(f"line {line}: ")
    assert reason in str(refused.value)
    assert "secret" not in str(refused.value).removesuffix(": secret…")  # as a name


def test_a_file_that_is_malformed_stops_the_service(tmp_path: Path) -> None:
    """Its name is in the message, beside the line."""
    path = tmp_path / ".env"
    path.write_text("A='\n")

    with pytest.raises(ConfigError, match=r"\.env cannot be read: line 1: a quote"):
        Environment.load(path)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("SOURCE=web\nLOG PATH=/a\n", "LOG PATH=/a"),
        ("FORMAT=$word\n", "FORMAT=$word"),
        ("MYSQL_PASSWORD=pa$word\n", "MYSQL_PASSWORD…"),
        ("MYSQL_PASSWORD hunter2\n", "MYSQL_PASSWORD…"),
        ("MYSQL_PASSWORD='it's hunter2'\n", "MYSQL_PASSWORD…"),
        ("MYSQL_PASSWORD='a\nhunter2'hunter3 and\n", "…"),
        ("A_TOKEN=x\nhunter2 and more\n", "…"),
        ("RABBIT_MANAGEMENT_URL=http://me:hunter2@example.com/$x\n", "RABBIT_MANAGEMENT_URL…"),
    ],
)
def test_a_line_that_cannot_be_read_is_shown(text: str, shown: str) -> None:
    """But for what may be a password or the rest of one."""
    with pytest.raises(Malformed) as refused:
        parse(text, {})

    assert str(refused.value).endswith(f": {shown}")
    assert "hunter" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "FORMAT=log_format main '$remote_addr [$time_local]'\nLOG_PATH=/a\n",
        "FORMAT=cri log_format main '$host'\n  '$request'\nSOURCE=web\n",
        "FORMAT=log_format main '$host'\nSOURCE=web\nOTHER=log_format a '$host';\n",
        "FORMAT=log_format main '$host'",
    ],
)
def test_a_directive_without_its_semicolon(text: str) -> None:
    """It would be a variable that is not set, or take the settings below it for its own."""
    with pytest.raises(Malformed, match="line 1: the log_format directive does not end: a semicol"):
        parse(text, {})


def test_a_value_without_a_name_is_refused() -> None:
    """Some releases of Compose refuse it, others pass over it."""
    with pytest.raises(Malformed, match="line 2: there is no name before the ="):
        parse("A=1\n=secret\n", {})


def test_a_nul_is_refused() -> None:
    """No variable of a process can hold one."""
    with pytest.raises(Malformed, match="line 1: no setting holds a NUL"):
        parse(r'A="\0000"', {})


def test_another_file_is_named_by_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENV_FILE stands for `.env`."""
    (tmp_path / "producer.env").write_text("A=1\n")
    monkeypatch.setenv("ENV_FILE", str(tmp_path / "producer.env"))

    assert Environment.load().text("A") == "1"
