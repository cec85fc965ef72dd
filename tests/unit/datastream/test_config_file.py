"""The file of several logs, which DATASTREAM_CONFIG names."""

from __future__ import annotations

from pathlib import Path

import pytest

from datastream.config import ConfigError, Environment
from datastream.log_settings import LogSettings, read_logs

TWO_LOGS = r"""
source = "web-1"
format = "common"
rabbit_port = 5671
once = true

[[log]]
path = "/var/log/nginx/*.error.log"
format = "error"

[[log]]
path = "/var/log/nginx/shop.log"
source = "shop"
"""


def written(folder: Path, text: str) -> Path:
    """Return a file with this text."""
    path = folder / "logs.toml"
    path.write_text(text, encoding="utf-8")
    return path


def loaded(folder: Path, text: str, dotenv: str = "") -> Environment:
    """Return the settings of a file and of `.env`."""
    (folder / ".env").write_text(dotenv)
    return Environment.load(folder / ".env", written(folder, text))


def test_every_log_has_a_format_and_a_source(tmp_path: Path) -> None:
    """Its own, or those that the file, `.env` or the environment has for all."""
    text = "\ufeff" + TWO_LOGS.replace("\n", "\r\n")
    env = loaded(tmp_path, text, 'RABBIT_HOST=mq.example.com\nSOURCE=web-1\nFORMAT=""\n')

    assert (env.text("RABBIT_HOST"), env.number("RABBIT_PORT", 0, 1, 9999)) == (
        "mq.example.com",
        5671,
    )
    assert env.flag("ONCE")
    file = tmp_path / "logs.toml"
    assert read_logs(env) == [
        LogSettings("/var/log/nginx/*.error.log", "error", "web-1", f"{file}: log 1"),
        LogSettings("/var/log/nginx/shop.log", "common", "shop", f"{file}: log 2"),
    ]


def test_the_environment_goes_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the file, too; `.env` may as well, and an empty variable means no file."""
    (tmp_path / ".env").write_text(f"DATASTREAM_CONFIG={written(tmp_path, TWO_LOGS)}\n")
    monkeypatch.setenv("SOURCE", "web-2")

    assert Environment.load(tmp_path / ".env").text("SOURCE") == "web-2"

    monkeypatch.setenv("DATASTREAM_CONFIG", "")
    assert not Environment.load(tmp_path / ".env").logs

    monkeypatch.setenv("DATASTREAM_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read: .*No such file"):
        Environment.load(tmp_path / ".env")


def test_what_two_files_say_otherwise_is_refused(tmp_path: Path) -> None:
    """Nobody should guess which of two sources is meant."""
    with pytest.raises(ConfigError, match=r"SOURCE is in .*\.env and, otherwise, in .*logs\.toml"):
        loaded(tmp_path, TWO_LOGS, "SOURCE=other\n")


def test_logs_are_named_in_one_place(tmp_path: Path) -> None:
    """LOG_PATH and arguments say nothing of a format."""
    for env, paths in (
        (loaded(tmp_path, TWO_LOGS), ["/a.log"]),
        (loaded(tmp_path, TWO_LOGS, "LOG_PATH=/a.log"), []),
    ):
        with pytest.raises(ConfigError, match=r"names logs, and so does .*logs\.toml: keep one"):
            read_logs(env, paths)


def test_without_tables_the_logs_are_those_of_log_path(tmp_path: Path) -> None:
    """The file is then another `.env`."""
    env = loaded(tmp_path, 'source = "web"\nlog_path = "/a.log, /b.log"\nformat = "main"\n')

    assert [(log.pattern, log.source, log.place) for log in read_logs(env)] == [
        ("/a.log", "web", "LOG_PATH"),
        ("/b.log", "web", "LOG_PATH"),
    ]


LOG = '[[log]]\npath = "/a.log"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("source = web-1", "(at line 1, column 10)"),
        ('sourc = "x"', "sourc is no setting; did you mean source?"),
        ('[[logs]]\npath = "/a.log"', "logs is no setting; did you mean log?"),
        ('SOURCE = "x"', "SOURCE is no setting; did you mean source?"),
        ("max_slice_lines = 1.5", "max_slice_lines must be a text in quotes, a whole number"),
        ('source = "a\\u0000"', "source: no setting holds a NUL"),
        ("[log]\npath = '/a'", "each log is a table of its own, under [[log]]"),
        (LOG + '[[log]]\nformat = "main"', "log 2: path is missing"),
        (LOG + LOG, "log 2: path is that of log 1, /a.log: keep one"),
        (LOG + 'formt = "main"', "log 1: formt is no key of a log; did you mean format?"),
        (LOG + 'zzz = "main"', "log 1: zzz is no key of a log: it has path, format, source"),
        (LOG + 'log_level = "INFO"', "log_level is no key of a log: a setting stands above"),
        ('[[log]]\npath = "\\u0000"', "log 1: path: no setting holds a NUL"),
        (LOG + "format = 1", "log 1: format must be a text in quotes"),
        ('source = "a"\n' + LOG + 'format = "combind"', "log 1: format: 'combind' is no format"),
        ('source = "a"\n' + LOG + 'source = "a#b"', "log 1: source must be up to 100 bytes"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, words: str) -> None:
    """The file, and the line or the key, in one line."""
    with pytest.raises(ConfigError) as raised:
        read_logs(loaded(tmp_path, text))

    assert words in str(raised.value)
    assert str(raised.value).startswith(f"{tmp_path}/logs.toml")
