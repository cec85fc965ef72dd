"""What the doctor makes of what it is told, without any server."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from functools import partial
from pathlib import Path
from threading import Event

import pytest

from datastream.config import Environment, RabbitSettings
from datastream.errors import Unavailable
from datastream.metrics import DoctorMetrics
from datastream.tls import TlsSettings
from datastream_operator.accounts.rights import Right
from datastream_operator.doctor import broker, command, database, encryption, host
from datastream_operator.doctor.grants import beyond, held, missing
from datastream_operator.doctor.management import Management
from datastream_operator.doctor.report import LOW_DISK, Check, Report, State
from datastream_operator.doctor.settings import Settings

OK, ATTENTION, BROKEN, SKIPPED = State.OK, State.ATTENTION, State.BROKEN, State.SKIPPED

# What the servers answer to SHOW GRANTS, of an account with exactly the lake consumer's rights.
MARIADB = [
    "GRANT USAGE ON *.* TO `lake`@`%` IDENTIFIED BY PASSWORD '*894549142A2819BC7952'",
    "GRANT SELECT, INSERT, UPDATE ON `my_logs`.`log_stream` TO `lake`@`%`",
    "GRANT SELECT, INSERT, UPDATE ON `my_logs`.`raw_log` TO `lake`@`%`",
    "GRANT EXECUTE ON PROCEDURE `my_logs`.`complete_line` TO `lake`@`%`",
]
MYSQL = [
    "GRANT USAGE ON *.* TO `lake`@`%`",
    "GRANT `reader`@`%` TO `lake`@`%`",
    "GRANT SELECT, INSERT, UPDATE (`stream_id`) ON `my_logs`.`log_stream` TO `lake`@`%`",
    "GRANT SELECT, INSERT, UPDATE (`line_offset`) ON `my_logs`.`raw_log` TO `lake`@`%`",
    "GRANT EXECUTE ON PROCEDURE `my_logs`.`complete_line` TO `lake`@`%`",
]
OWNER = "GRANT ALL PRIVILEGES ON `my\\_logs`.* TO `owner`@`%`"
EVERY_SERVICE = ["OPERATOR", "MIGRATOR", "LAKE", "CLEAN"]


@pytest.mark.parametrize(
    ("lines", "is_mariadb"), [(MARIADB, True), (MYSQL, False)], ids=["MariaDB", "MySQL"]
)
def test_an_account_with_what_it_needs(lines: list[str], is_mariadb: bool) -> None:
    """Nothing is missing and nothing is too much; each line less is a right less."""
    lake = partial(missing, ["LAKE"], "my_logs", is_mariadb=is_mariadb)

    assert lake(held(lines)) == []
    assert beyond(["LAKE"], "my_logs", held(lines), is_mariadb=is_mariadb) == []
    without = [right.told("my_logs") for right in lake(held(lines[:-1]))]
    assert without == ["EXECUTE on PROCEDURE complete_line"]


def test_mariadb_needs_the_right_to_update_the_whole_row() -> None:
    """What is enough for MySQL is not for MariaDB; what is enough there is too much for MySQL."""
    lacking = missing(["LAKE"], "my_logs", held(MYSQL), is_mariadb=True)
    too_much = beyond(["LAKE"], "my_logs", held(MARIADB), is_mariadb=False)

    wanted = ["UPDATE on log_stream", "UPDATE on raw_log"]
    assert [right.told("my_logs") for right in lacking] == wanted
    assert [right.told("my_logs") for right in too_much] == wanted


@pytest.mark.parametrize(
    "line",
    [
        OWNER,
        "GRANT ALL PRIVILEGES ON `my_logs`.* TO `owner`@`%`",
        "GRANT ALL PRIVILEGES ON `my%`.* TO `owner`@`%`",
        "GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION",
        "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, REFERENCES, INDEX, ALTER,"
        " LOCK TABLES, EXECUTE, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, TRIGGER"
        " ON *.* TO `root`@`localhost` WITH GRANT OPTION",
    ],
)
def test_a_wider_right_is_enough(line: str) -> None:
    """A whole schema, by its name or a pattern, or the whole server."""
    assert missing(EVERY_SERVICE, "my_logs", held([line]), is_mariadb=True) == []


def test_the_right_to_another_schema_is_not_enough() -> None:
    """Though its name is alike, as a pattern without a backslash would have it."""
    others = held(["GRANT ALL PRIVILEGES ON `my\\_logs`.* TO `owner`@`%`"])

    assert missing(["LAKE"], "my-logs", others, is_mariadb=False)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("GRANT DELETE ON `my_logs`.`raw_log` TO `lake`@`%`", ["DELETE on raw_log"]),
        ("GRANT UPDATE ON `my_logs`.`raw_log` TO `lake`@`%`", ["UPDATE on raw_log"]),
        (OWNER, ["ALL PRIVILEGES on *"]),
        ("GRANT SELECT ON `shop`.* TO `lake`@`%`", ["SELECT on shop.*"]),
        (
            "GRANT SYSTEM_VARIABLES_ADMIN,SELECT ON *.* TO `lake`@`%` WITH GRANT OPTION",
            ["GRANT OPTION on *.*"],
        ),
    ],
)
def test_what_a_service_does_not_need(line: str, told: list[str]) -> None:
    """It is told where it reaches to."""
    has = held([*MYSQL, line])
    found = [r.told("my_logs") for r in beyond(["LAKE"], "my_logs", has, is_mariadb=False)]

    assert set(told) <= set(found)


def test_an_account_of_several_services_has_the_schema_for_its_own() -> None:
    """One account for everything is a choice; what reaches beyond the schema is told."""
    too_much = partial(beyond, schema="my_logs", is_mariadb=False)

    assert too_much(EVERY_SERVICE, has=held([OWNER])) == []
    assert too_much(["LAKE", "CLEAN"], has=held([OWNER])) == []
    assert too_much(EVERY_SERVICE, has=held(["GRANT FILE ON *.* TO `owner`@`%`"]))


@pytest.mark.parametrize(
    ("right", "statement"),
    [
        (Right("SELECT", "my_logs", "*"), "GRANT SELECT ON `my\\_logs`.* TO `a`@`%`"),
        (
            Right("UPDATE", "my_logs", "user_agent", "system"),
            "GRANT UPDATE (`system`) ON `my_logs`.`user_agent` TO `a`@`%`",
        ),
        (
            Right("EXECUTE", "my_logs", "PROCEDURE p"),
            "GRANT EXECUTE ON PROCEDURE `my_logs`.`p` TO `a`@`%`",
        ),
    ],
)
def test_the_statement_that_gives_a_right(right: Right, statement: str) -> None:
    """As it can be pasted."""
    assert right.granted_to("`a`@`%`") == statement


@pytest.mark.parametrize(
    ("theirs", "state", "words"),
    [
        (1000.0, OK, "0.000 s"),
        (1000.9, OK, "0.900 s"),
        (1060.0, ATTENTION, "60.0 s ahead of"),
        (940.0, ATTENTION, "60.0 s behind"),
    ],
)
def test_the_clocks(theirs: float, state: State, words: str) -> None:
    """A second apart is nothing; which of the two is ahead is said."""
    check = database.check_clock(theirs, 1000.0, 1000.0)

    assert check.state is state
    assert words in check.words[0]


def test_a_slow_answer_is_no_difference_of_clocks() -> None:
    """The moment of it may be any while it was waited for."""
    assert database.check_clock(1000.0, 1000.0, 1010.0).state is OK


@pytest.mark.parametrize(
    ("noted", "state", "words"),
    [
        ({"0001_a", "0002_b"}, OK, "0002_b, the newest of 2"),
        ({"0001_a"}, BROKEN, "1 of 2 migrations are missing, the first is 0002_b"),
        ({"0001_a", "0002_b", "0003_c"}, ATTENTION, "it has 0003_c"),
        ({"0003_c"}, BROKEN, "2 of 2"),
    ],
)
def test_the_version_of_the_schema(noted: set[str], state: State, words: str) -> None:
    """Older than the code it breaks, newer than the code a person should know of."""
    check = database.check_version(["0001_a", "0002_b"], noted)

    assert check.state is state
    assert words in check.words[0]


@pytest.mark.parametrize(
    ("node", "state"),
    [
        ({"disk_free": 5 * LOW_DISK, "disk_free_alarm": False, "mem_alarm": False}, OK),
        ({"disk_free": LOW_DISK - 1, "disk_free_alarm": False, "mem_alarm": False}, ATTENTION),
        ({"disk_free": 5 * LOW_DISK, "disk_free_alarm": True, "mem_alarm": False}, BROKEN),
        ({"disk_free": 5 * LOW_DISK, "disk_free_alarm": False, "mem_alarm": True}, BROKEN),
        ({"disk_free": "disk_free_monitoring_disabled"}, SKIPPED),
        ({}, SKIPPED),
    ],
)
def test_the_nodes_of_the_broker(node: dict[str, object], state: State) -> None:
    """An alarm stops every producer; of a node that is down nothing is known."""
    assert broker.check_nodes("broker disk", [{"name": "rabbit@one", **node}]).state is state


def valid_for(days: float) -> str:
    """Return the end of a certificate as OpenSSL writes it."""
    _, day, month, year, clock, zone = formatdate(time.time() + days * 86_400, usegmt=True).split()
    return f"{month} {day} {clock} {year} {zone}"


@pytest.mark.parametrize(
    ("verify", "days", "state", "words"),
    [
        (True, 90.5, OK, "verified, 90 days left"),
        (True, 5.5, ATTENTION, "5 days left"),
        (False, 90.5, ATTENTION, "not verified"),
        (False, -3, ATTENTION, "not verified, expired"),
    ],
)
def test_a_certificate(verify: bool, days: float, state: State, words: str) -> None:
    """Its end is told three weeks before, and that it is not verified always."""
    agreed = encryption.Encryption("TLSv1.3", "TLS_AES_256_GCM_SHA384", valid_for(days))
    check = encryption.check("broker TLS", TlsSettings("RABBIT", verify=verify), agreed)

    assert check.state is state
    assert words in check.words[0]


def test_encryption_that_nobody_asked_for() -> None:
    """It is said to be no promise; none at all is off."""
    offered = encryption.Encryption("TLSv1.3", "TLS_AES_256_GCM_SHA384", "")
    none = encryption.Encryption("", "", "")

    assert "not verified" in encryption.check("database TLS", None, offered).words[0]
    assert encryption.check("database TLS", None, none).words == ("off",)


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ([OK, SKIPPED], 0),
        ([OK, ATTENTION, SKIPPED], 3),
        ([ATTENTION, BROKEN], 1),
    ],
)
def test_the_exit_code_is_that_of_the_worst(states: list[State], code: int) -> None:
    """What is not looked at counts for nothing."""
    report = Report([Check(f"check {n}", state, ("words",)) for n, state in enumerate(states)])

    assert report.exit_code == code


def test_a_setting_that_is_wrong_has_a_code_of_its_own() -> None:
    """As with every other command."""
    checks = [Check("settings", BROKEN, ("words",)), Check("broker", BROKEN, ("words",))]

    assert Report(checks).exit_code == 78


def test_a_row_fits_the_screen_whatever_it_says() -> None:
    """What is long is broken between words, what is many is counted, no escape gets through."""
    many = tuple(f"number {n} \x1b[31m " + "word " * 30 for n in range(9))
    lines = Check("queues", BROKEN, many, "Do this.").lines()

    assert all(len(line) <= 80 for line in lines)
    assert lines[0].startswith("queues        BROKEN        number 0 \\x1b[31m word")
    assert lines[-2:] == [" " * 28 + "and 4 more", " " * 28 + "-> Do this."]


def test_the_common_account_is_that_of_every_service() -> None:
    """And a service's own account goes before it; a half account is a fault, told once."""
    common = {"RABBIT_USER": "u", "RABBIT_PASSWORD": "p", "LAKE_RABBIT_USER": "lake"}
    settings = Settings.read(Environment(common))

    assert set(settings.rabbit) == {"OPERATOR", "PRODUCER", "CLEAN"}
    assert len(settings.faults) == 1
    assert "LAKE_RABBIT_PASSWORD is not set" in settings.faults[0]


def test_a_checkpoint_that_is_not_there_yet(tmp_path: Path) -> None:
    """Its folder will be made; without a setting for it, and without it, it is elsewhere."""
    new = str(tmp_path / "new" / "state")

    assert host.check_checkpoint(Environment({"STATE_DIR": new})).state is OK
    assert not Path(new).exists()


def test_without_a_setting_there_is_no_checkpoint_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the folder is there that the producer makes by default."""
    monkeypatch.chdir(tmp_path)
    assert host.check_checkpoint(Environment({})).state is SKIPPED

    (tmp_path / "state").mkdir()
    assert host.check_checkpoint(Environment({})).state is OK


def test_an_account_that_is_let_in_and_then_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its fault is told; what no account was asked any more is not looked at."""
    answers: list[list[tuple[str, ...]]] = [[("lake@%", "8.4.0")], [(line,) for line in MYSQL]]

    class Lost:
        """A session whose first transaction succeeds, and no other."""

        def __init__(self, *_: object) -> None:
            pass

        def close(self) -> None:
            pass

        @contextmanager
        def transaction(self) -> Iterator[Lost]:
            if not answers:
                raise Unavailable("the server has gone away")
            yield self

        def select(self, _statement: str) -> list[tuple[str, ...]]:
            return answers.pop(0)

    monkeypatch.setattr(database, "Session", Lost)
    env = {"LAKE_MYSQL_USER": "lake", "LAKE_MYSQL_PASSWORD": "p", "MYSQL_DATABASE": "my_logs"}
    checks = {c.name: c for c in database.examine(Settings.read(Environment(env)).mysql)}

    assert checks["database"].state is BROKEN
    assert "the server has gone away" in checks["database"].words[0]
    assert checks["grants"].state is OK
    assert (checks["database TLS"].state, checks["clock"].state) == (SKIPPED, SKIPPED)


def test_a_setting_in_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """It is told in its rows, and the rest is looked at."""
    absent = str(tmp_path / "absent")
    env = Environment({"LOG_PATH_FILE": absent, "STATE_DIR_FILE": absent})
    checks = {check.name: check for check in command.examine(env).checks}

    assert "LOG_PATH_FILE names a file that cannot be read" in checks["settings"].words[-1]
    for name, setting in (("log", "LOG_PATH"), ("checkpoint", "STATE_DIR")):
        assert checks[name].state is BROKEN
        assert f"{setting}_FILE names a file that cannot be read" in checks[name].words[0]


def test_a_check_that_is_not_looked_at_has_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor has it the one of before."""
    rabbit = RabbitSettings.read(Environment({"RABBIT_USER": "u", "RABBIT_PASSWORD": "p"}), "LAKE")
    states, shown, stop = [OK, BROKEN, SKIPPED], [], Event()

    class Shown(DoctorMetrics):
        def examined(
            self, checks: Mapping[str, bool], breaches: Mapping[tuple[str, str], int]
        ) -> None:
            super().examined(checks, breaches)
            shown.append(self.registry.get_sample_value("datastream_check_ok", {"check": "queues"}))

    def examine(*_: object) -> Report:
        if len(states) == 1:
            stop.set()
        return Report([Check("queues", states.pop(0), ("words",))])

    monkeypatch.setattr(broker, "examine", examine)
    monkeypatch.setattr(command, "EVERY", 0)
    command.watch(rabbit, Management("http://rabbit.example.com", rabbit), Shown(), stop)

    assert shown == [1, 0, None]
