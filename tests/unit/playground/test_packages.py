"""Where the programs of the private servers come from, and what an installation may change."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from datastream_playground.local import install, packages
from datastream_playground.local.errors import CannotServe
from datastream_playground.local.packages import System
from datastream_playground.local.units import Services, enabled, in_files, to_disable

BOTH = ["rabbitmq-server", "mariadb-server-core"]
PLAIN_USER = System(linux=True, apt=True, root=False, sudo=True, sudo_silent=False, terminal=False)


def services(*units: str, scripts: tuple[str, ...] = ()) -> Services:
    """Return these."""
    return Services(frozenset(units), frozenset(scripts))


# --- who may install


@pytest.mark.parametrize(
    ("facts", "prefix"),
    [
        ({"root": True}, []),
        ({"root": True, "sudo": False}, []),
        ({"sudo_silent": True}, ["sudo", "-n"]),
        ({"sudo_silent": True, "terminal": True}, ["sudo", "-n"]),
        ({"terminal": True}, ["sudo"]),
        ({}, None),
        ({"sudo": False, "terminal": True}, None),
    ],
)
def test_sudo_asks_only_somebody_who_can_answer(
    facts: dict[str, bool], prefix: list[str] | None
) -> None:
    """Root needs nothing, a silent sudo is used, one that asks only at a terminal."""
    assert packages.as_root(dataclasses.replace(PLAIN_USER, **facts)) == prefix


# --- what is said where we may not


def test_the_advice_is_the_command_to_type() -> None:
    """A user who may not install reads what is missing and what to type, and the other way."""
    text = packages.advice(BOTH, PLAIN_USER)
    command = "sudo apt-get install --no-install-recommends rabbitmq-server mariadb-server-core"
    assert f"    {command}\n" in text
    assert "RabbitMQ" in text
    assert "mariadbd or mysqld" in text
    assert "make deploy" in text


def test_the_advice_names_only_what_is_missing() -> None:
    """With a MySQL there already, no MariaDB is asked for."""
    text = packages.advice(["rabbitmq-server"], PLAIN_USER)
    assert "--no-install-recommends rabbitmq-server\n" in text
    assert "MariaDB" not in text


def test_without_sudo_the_command_is_for_root() -> None:
    """No sudo on the machine, none in the advice."""
    text = packages.advice(BOTH, dataclasses.replace(PLAIN_USER, sudo=False))
    assert "As root, type" in text
    assert "sudo" not in text


@pytest.mark.parametrize("facts", [{"apt": False}, {"linux": False, "apt": False}])
def test_where_there_is_no_apt_it_is_not_advised(facts: dict[str, bool]) -> None:
    """Other systems learn what is missing and of Docker, not of a command they have not."""
    system = dataclasses.replace(PLAIN_USER, **facts)
    text = packages.advice(BOTH, system)
    assert "RabbitMQ" in text
    assert "make deploy" in text
    assert "apt-get" not in text


@pytest.mark.parametrize("facts", [{}, {"apt": False, "root": True}, {"linux": False}])
def test_ensure_refuses_where_it_may_not_install(
    monkeypatch: pytest.MonkeyPatch, facts: dict[str, bool]
) -> None:
    """Nothing is run and nothing is announced; the error says what to do."""
    system = dataclasses.replace(PLAIN_USER, **facts)
    said: list[str] = []
    monkeypatch.setattr(packages, "find", lambda: (None, BOTH))
    monkeypatch.setattr(packages, "this_system", lambda: system)
    with pytest.raises(CannotServe, match="make deploy"):
        packages.ensure(said.append)
    assert said == []


# --- what an installation may turn off


def test_what_new_packages_enabled_is_turned_off() -> None:
    """The four units of Debian 12, and the init script."""
    new = services(
        "rabbitmq-server.service", "epmd.service", "epmd.socket", "logrotate.timer",
        "logrotate.service", scripts=("rabbitmq-server",),
    )  # fmt: skip
    before = services("cron.service", scripts=("cron",))
    after = services(
        "cron.service", "rabbitmq-server.service", "epmd.service", "epmd.socket",
        "logrotate.timer", scripts=("cron", "rabbitmq-server"),
    )  # fmt: skip
    assert to_disable(before, after, new) == services(
        "rabbitmq-server.service", "epmd.service", "epmd.socket", "logrotate.timer",
        scripts=("rabbitmq-server",),
    )  # fmt: skip


def test_what_was_enabled_before_stays() -> None:
    """Also when its unit now comes with a new package."""
    was = services("epmd.service", scripts=("epmd",))
    assert to_disable(was, was, was) == services()


def test_what_belongs_to_no_new_package_stays() -> None:
    """Another program may enable a service during the installation."""
    after = services("nginx.service", scripts=("nginx",))
    assert to_disable(services(), after, services("epmd.service")) == services()


def test_an_instance_belongs_to_its_template() -> None:
    """epmd@host.socket is of the package that has epmd@.socket."""
    after = services("epmd@0.0.0.0.socket", "getty@tty1.service")
    new = services("epmd@.socket")
    assert to_disable(services(), after, new) == services("epmd@0.0.0.0.socket")


def test_units_and_scripts_are_known_by_their_place() -> None:
    """Units may lie under /lib or /usr/lib; a user's units and drop-ins are none of ours."""
    files = [
        "/lib/systemd/system/epmd.socket",
        "/usr/lib/systemd/system/rabbitmq-server.service",
        "/usr/lib/systemd/user/epmd.service",
        "/usr/lib/systemd/system/x.service.d/y.conf",
        "/etc/init.d/rabbitmq-server",
        "/usr/sbin/mariadbd",
    ]
    assert in_files(files) == services(
        "epmd.socket", "rabbitmq-server.service", scripts=("rabbitmq-server",)
    )


def test_enabled_is_what_the_links_in_etc_say(tmp_path: Path) -> None:
    """A link to a unit that is gone, and one that masks a unit, enable nothing."""
    library = tmp_path / "lib/systemd/system"
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    runlevel = tmp_path / "etc/rc3.d"
    scripts = tmp_path / "etc/init.d"
    for folder in (library, wants, runlevel, scripts):
        folder.mkdir(parents=True)
    for unit in ("cron.service", "timesyncd.service", "epmd@.socket"):
        (library / unit).touch()
    (scripts / "cron").touch()
    (wants / "cron.service").symlink_to("/lib/systemd/system/cron.service")
    (wants / "epmd@lo.socket").symlink_to("/lib/systemd/system/epmd@.socket")
    (wants / "gone.service").symlink_to("/lib/systemd/system/gone.service")
    (wants.parent / "time.service").symlink_to("/lib/systemd/system/timesyncd.service")
    (wants.parent / "masked.service").symlink_to("/dev/null")
    (runlevel / "S01cron").symlink_to("../init.d/cron")
    (runlevel / "K01cron").symlink_to("../init.d/cron")
    assert enabled(tmp_path) == services(
        "cron.service", "epmd@lo.socket", "timesyncd.service", scripts=("cron",)
    )


# --- the policy that refuses starts


@pytest.fixture
def policy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the policy is, in a folder that is not the system's."""
    monkeypatch.setattr(install, "POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(install, "POLICY_ASIDE", tmp_path / "policy-rc.d.before-datastream")
    return install.POLICY


def test_nothing_starts_during_an_installation(policy: Path) -> None:
    """The policy refuses all, and is gone afterwards, also after a Ctrl-C."""

    def interrupted() -> None:
        with install.nothing_starts():
            assert "exit 101" in policy.read_text()
            assert policy.stat().st_mode & 0o111
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(policy.parent.iterdir()) == []


@pytest.mark.parametrize("killed_before", [False, True])
def test_a_policy_that_was_there_comes_back(policy: Path, *, killed_before: bool) -> None:
    """A file or a link; also when a run before was killed and had set it aside."""
    theirs = policy.with_name("theirs")
    theirs.write_text("#!/bin/sh\nexit 0\n")
    policy.symlink_to(theirs)
    if killed_before:
        policy.rename(install.POLICY_ASIDE)
        policy.write_text(install.POLICY_TEXT)
    with install.nothing_starts():
        assert policy.read_text() == install.POLICY_TEXT
    assert policy.readlink() == theirs
    assert theirs.read_text() == "#!/bin/sh\nexit 0\n"
    assert not install.POLICY_ASIDE.is_symlink()


def test_a_policy_left_by_a_killed_run_is_removed(policy: Path) -> None:
    """It is known by its text; nothing would ever start again with it."""
    policy.write_text(install.POLICY_TEXT)
    with install.nothing_starts():
        pass
    assert not policy.exists()
