"""Settings from the environment, `.env` and files."""

from __future__ import annotations

from pathlib import Path

import pytest

from datastream.config import (
    ConfigError,
    Environment,
    MysqlSettings,
    RabbitSettings,
    Secret,
    ServiceSettings,
    read_source,
)
from datastream.errors import Unavailable

ACCOUNTS = {
    "MYSQL_DATABASE": "db",
    "MYSQL_USER": "common",
    "MYSQL_PASSWORD": "secret-1",
    "RABBIT_USER": "common",
    "RABBIT_PASSWORD": "secret-2",
}


def test_the_environment_goes_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`.env` holds what the environment does not; quotes are not part of a value."""
    dotenv = tmp_path / ".env"
    dotenv.write_text('# a comment\nSOURCE="from file"\nFORMAT=common\nEMPTY=\n')
    monkeypatch.setenv("FORMAT", "proxy")
    env = Environment.load(dotenv)

    assert env.text("SOURCE") == "from file"
    assert env.text("FORMAT") == "proxy"
    assert env.find("EMPTY") is None


def test_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`.env` need not be there."""
    monkeypatch.setenv("SOURCE", "web")

    assert Environment.load(tmp_path / ".env").text("SOURCE") == "web"


def test_a_value_in_a_file(tmp_path: Path) -> None:
    """NAME_FILE names a file that holds the value; the newline at its end is not part of it."""
    secret = tmp_path / "password"
    secret.write_text("p a s s \n")

    assert Environment({"X_PASSWORD_FILE": str(secret)}).text("X_PASSWORD") == "p a s s "


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """The variable that names it is named."""
    with pytest.raises(ConfigError, match=r"X_FILE names a file .*No such file"):
        Environment({"X_FILE": str(tmp_path / "none")}).find("X")


def test_both_a_value_and_a_file() -> None:
    """Which one holds would be a guess."""
    with pytest.raises(ConfigError, match="both X and X_FILE are set"):
        Environment({"X": "1", "X_FILE": "/tmp/x"}).find("X")  # noqa: S108 - not opened


def test_what_is_missing_is_named() -> None:
    """Empty counts as missing."""
    for values in ({}, {"X": ""}):
        with pytest.raises(ConfigError, match="X is not set"):
            Environment(values).text("X")


def test_a_log_without_a_name() -> None:
    """What it is, and what it must be where there are rows already."""
    with pytest.raises(ConfigError, match=r"SOURCE is not set; .*permanent name .*SELECT DISTINCT"):
        read_source(Environment({"SOURCE": ""}))


@pytest.mark.parametrize("value", ["", "x", "1.5", "0", "65536", "-1"])
def test_numbers(value: str) -> None:
    """A number outside its range, or none, is named with the range; empty is the default."""
    env = Environment({"PORT": value})

    if not value:
        assert env.number("PORT", 7, 1, 65535) == 7
        return
    with pytest.raises(ConfigError, match=r"PORT is .*1 to 65535"):
        env.number("PORT", 7, 1, 65535)


@pytest.mark.parametrize(
    ("value", "meaning"), [("yes", True), ("TRUE", True), ("1", True), ("no", False), ("0", False)]
)
def test_flags(value: str, meaning: bool) -> None:
    """The usual words, in any case."""
    assert Environment({"X": value}).flag("X") is meaning


def test_a_service_uses_its_own_account_or_the_common_one() -> None:
    """Each kind of server for itself."""
    env = Environment(ACCOUNTS | {"LAKE_MYSQL_USER": "lake", "LAKE_MYSQL_PASSWORD": "own"})

    lake, clean = MysqlSettings.read(env, "LAKE"), MysqlSettings.read(env, "CLEAN")

    assert (lake.user, lake.password.read()) == ("lake", "own")
    assert (clean.user, clean.password.read()) == ("common", "secret-1")
    assert RabbitSettings.read(env, "LAKE").user == "common"


@pytest.mark.parametrize(
    ("env", "missing"),
    [
        ({"LAKE_MYSQL_USER": "lake"}, "LAKE_MYSQL_PASSWORD is not set"),
        ({"LAKE_MYSQL_PASSWORD": "x"}, "LAKE_MYSQL_USER is not set"),
        ({"MYSQL_PASSWORD": ""}, "MYSQL_PASSWORD is not set"),
        ({"MYSQL_USER": "", "MYSQL_PASSWORD": ""}, "MYSQL_USER and MYSQL_PASSWORD are not set"),
        ({"MYSQL_DATABASE": ""}, "MYSQL_DATABASE is not set"),
    ],
)
def test_half_an_account(env: dict[str, str], missing: str) -> None:
    """The half that is missing is named; the other is never shown."""
    with pytest.raises(ConfigError, match=missing) as raised:
        MysqlSettings.read(Environment(ACCOUNTS | env), "LAKE")

    assert "secret" not in str(raised.value)


def test_who_makes_the_tables() -> None:
    """An account for it, else root, else the common one."""
    root = {"MYSQL_ROOT_PASSWORD": "r"}
    own = {"MIGRATOR_MYSQL_USER": "m", "MIGRATOR_MYSQL_PASSWORD": "x"}

    users = [
        MysqlSettings.read(Environment(ACCOUNTS | more), "MIGRATOR").user
        for more in ({}, root, root | own)
    ]

    assert users == ["common", "root", "m"]
    assert MysqlSettings.read(Environment(ACCOUNTS | root), "LAKE").user == "common"


def test_passwords_are_not_shown() -> None:
    """Not even in a traceback that shows the settings."""
    env = Environment(ACCOUNTS)

    shown = f"{MysqlSettings.read(env, 'LAKE')!r} {RabbitSettings.read(env, 'LAKE')!r}"

    assert "secret" not in shown


def test_a_password_in_a_file_is_read_anew(tmp_path: Path) -> None:
    """Whatever was rotated meanwhile is what it is; the newline at the end is not part of it."""
    file = tmp_path / "password"
    file.write_text("old\n")
    without = {name: text for name, text in ACCOUNTS.items() if name != "RABBIT_PASSWORD"}
    env = Environment(without | {"RABBIT_PASSWORD_FILE": str(file)})
    password = RabbitSettings.read(env, "LAKE").password

    assert password.read() == "old"
    file.write_text("new\r\n")
    assert password.read() == "new"


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff"])
def test_a_password_whose_file_is_lost(tmp_path: Path, content: bytes | None) -> None:
    """It may be replaced right now: that is waited for, and the setting is named."""
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(Unavailable, match=r"^LAKE_MYSQL_PASSWORD_FILE names a file that") as raised:
        Secret(file, "LAKE_MYSQL_PASSWORD_FILE").read()

    assert raised.value.reason == "password"


def test_a_password_whose_file_is_lost_at_the_start(tmp_path: Path) -> None:
    """It stops the service, as any other setting that is wrong."""
    env = {"LAKE_MYSQL_USER": "lake", "LAKE_MYSQL_PASSWORD_FILE": str(tmp_path / "none")}

    with pytest.raises(ConfigError, match="LAKE_MYSQL_PASSWORD_FILE names a file that cannot"):
        MysqlSettings.read(Environment(ACCOUNTS | env), "LAKE")


def test_a_choice_is_named_in_any_case() -> None:
    """LOG_LEVEL may be in the environment for other programs, most of which write it small."""
    assert ServiceSettings.read(Environment({"LOG_LEVEL": "debug"}), 9101).log_level == "DEBUG"


def test_a_word_that_is_none_of_the_choices() -> None:
    """The choices are named."""
    with pytest.raises(ConfigError, match=r"LOG_LEVEL is 'LOUD'; it must be one of DEBUG, INFO"):
        ServiceSettings.read(Environment({"LOG_LEVEL": "LOUD"}), 9101)


@pytest.mark.parametrize(("value", "number"), [("1", 1), ("65535", 65535)])
def test_both_ends_of_a_range(value: str, number: int) -> None:
    """They belong to it."""
    assert Environment({"PORT": value}).number("PORT", 7, 1, 65535) == number


@pytest.mark.parametrize("value", ["maybe", "2", "on", "y"])
def test_a_flag_that_is_neither(value: str) -> None:
    """It is named, not guessed at."""
    with pytest.raises(ConfigError, match=f"X is '{value}'; it must be yes or no"):
        Environment({"X": value}).flag("X")


def test_a_flag_that_is_not_set() -> None:
    """It is what the service says it is by default; empty is not set."""
    assert not Environment({}).flag("X")
    assert Environment({"X": ""}).flag("X", default=True)


@pytest.mark.parametrize("content", ["", "\n"])
def test_an_empty_file_is_not_a_value(tmp_path: Path, content: str) -> None:
    """As an empty variable is none."""
    secret = tmp_path / "password"
    secret.write_text(content)

    with pytest.raises(ConfigError, match="X is not set"):
        Environment({"X_FILE": str(secret)}).text("X")


def test_only_the_end_of_the_last_line_goes(tmp_path: Path) -> None:
    """A value keeps all else, a newline within it too."""
    secret = tmp_path / "password"
    secret.write_bytes(b" one\ntw\xc3\xb6\t\r\n")

    assert Environment({"X_FILE": str(secret)}).text("X") == " one\ntwö\t"


def test_files_that_are_no_text(tmp_path: Path) -> None:
    """Neither a folder nor bytes in another encoding are taken for a value."""
    latin = tmp_path / "latin"
    latin.write_bytes(b"\xff")

    for path in (latin, tmp_path):
        with pytest.raises(ConfigError, match="X_FILE names a file that cannot be read"):
            Environment({"X_FILE": str(path)}).find("X")


def test_a_dotenv_that_is_no_text(tmp_path: Path) -> None:
    """It is named, and not skipped as if it were not there."""
    dotenv = tmp_path / ".env"
    dotenv.write_bytes(b"SOURCE=\xff")

    with pytest.raises(ConfigError, match=r"\.env cannot be read"):
        Environment.load(dotenv)


def test_a_file_named_in_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret may be in a file wherever its variable may be."""
    (tmp_path / "secret").write_text("s3cret\n")
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"X_PASSWORD_FILE={tmp_path / 'secret'}\n")
    monkeypatch.delenv("X_PASSWORD", raising=False)

    assert Environment.load(dotenv).text("X_PASSWORD") == "s3cret"


def test_the_names_that_were_asked_for() -> None:
    """The documentation is tested against them."""
    env = Environment(ACCOUNTS)
    RabbitSettings.read(env, "LAKE")

    assert {"LAKE_RABBIT_USER", "RABBIT_PASSWORD", "RABBIT_HOST", "RABBIT_VHOST"} <= env.asked


def test_each_service_has_an_account_of_its_own_on_the_broker() -> None:
    """And takes no other one's."""
    own = {"LAKE_RABBIT_USER": "lake", "LAKE_RABBIT_PASSWORD": "own"}
    env = Environment(ACCOUNTS | own)

    users = [RabbitSettings.read(env, name).user for name in ("LAKE", "CLEAN", "PRODUCER")]

    assert users == ["lake", "common", "common"]


def test_half_an_account_is_not_completed_from_the_common_one() -> None:
    """A user with another one's password would be a riddle."""
    with pytest.raises(ConfigError, match="CLEAN_RABBIT_PASSWORD is not set, but CLEAN_RABBIT"):
        RabbitSettings.read(Environment(ACCOUNTS | {"CLEAN_RABBIT_USER": "clean"}), "CLEAN")


def test_root_makes_the_account_of_the_migrator() -> None:
    """So a password alone, for the account that is to be made, does not mean to use it yet."""
    env = {"MYSQL_DATABASE": "db", "MYSQL_ROOT_PASSWORD": "r", "MIGRATOR_MYSQL_PASSWORD": "m"}
    settings = MysqlSettings.read(Environment(env), "MIGRATOR")

    assert (settings.user, settings.password.read()) == ("root", "r")


def test_the_defaults() -> None:
    """A machine of one's own, with nothing but accounts to name."""
    env = Environment(ACCOUNTS)
    rabbit, mysql = RabbitSettings.read(env, "LAKE"), MysqlSettings.read(env, "LAKE")

    assert (rabbit.host, rabbit.port, rabbit.vhost) == ("localhost", 5672, "/")
    assert (mysql.host, mysql.port, mysql.database) == ("localhost", 3306, "db")
    assert ServiceSettings.read(env, 9101) == ServiceSettings("127.0.0.1", 9101, "INFO")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"RABBIT_PORT": "0"}, "RABBIT_PORT is 0"),
        ({"RABBIT_PORT": "amqp"}, "RABBIT_PORT is 'amqp'"),
        ({"RABBIT_USER": "", "RABBIT_PASSWORD": ""}, "RABBIT_USER and RABBIT_PASSWORD are not"),
    ],
    ids=str,
)
def test_a_broker_that_cannot_be(change: dict[str, str], named: str) -> None:
    """One line names the setting."""
    with pytest.raises(ConfigError, match=named) as raised:
        RabbitSettings.read(Environment(ACCOUNTS | change), "LAKE")

    assert "\n" not in str(raised.value)
