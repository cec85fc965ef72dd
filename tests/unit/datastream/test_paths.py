from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datastream.paths import is_rotation_of, log_path, logs_rotated_to

stems = st.from_regex(r"[a-z][a-z0-9_.-]{0,12}[a-z]", fullmatch=True)
extensions = st.sampled_from(["", ".log", ".txt", ".json", ".access"])
moments = st.datetimes(datetime(2002, 1, 1), datetime(2037, 12, 31)).map(  # noqa: DTZ001
    lambda moment: moment.replace(tzinfo=UTC)
)
#: What logrotate allows in dateformat, in orders that people use, and what others write.
dateformats = st.sampled_from(
    [
        "%Y%m%d",
        "%Y-%m-%d",
        "%Y.%m.%d",
        "%d.%m.%Y",
        "%d-%m-%Y",
        "%m-%d-%Y",
        "%d%b%Y",
        "%d-%b-%Y",
        "%Y-%b-%d",
        "%Y%m",
        "%Y-%m",
        "%Y-%V",
        "%Y-W%V",
        "%Y%m%d-%H",
        "%Y%m%d%H%M%S",
        "%Y-%m-%d-%s",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%dT%H:%M:%SZ",
        "%Y-%m-%d_%H.%M",
        "%s",
    ]
)
separators = st.sampled_from("-._~@+:")
packings = st.sampled_from(["", ".gz", ".xz", ".bz2", ".zst", ".lz4", ".Z", ".zip", ".lzo", ".br"])


@st.composite
def rotations(draw: st.DrawFn) -> tuple[str, str]:
    """Draw the name of a log and the name that rotation gives it."""
    stem, extension = draw(stems), draw(extensions)
    is_before = extension and draw(st.booleans())
    if draw(st.booleans()):
        number = draw(st.integers(0, 999 if is_before else 9999))
        stamp = f".{number}"
    else:
        moment = draw(moments)
        form = draw(dateformats).replace("%s", str(int(moment.timestamp())))
        stamp = draw(separators) + moment.strftime(form)
    packing = draw(packings)
    # A log that the server packs itself has its suffix before.
    before = draw(st.sampled_from(["", ".gz"])) if not is_before else ""
    parts = (stem, stamp, extension) if is_before else (stem, extension, before, stamp)
    return stem + extension, "".join(parts) + packing


@given(rotation=rotations())
def test_whatever_logrotate_calls_a_rotated_file_it_is_one(rotation: tuple[str, str]) -> None:
    """A number or a date behind the name or before the extension, packed or not: a rotated file."""
    log_name, name = rotation
    assert is_rotation_of(name, log_name)
    assert log_name in logs_rotated_to(name)
    assert not is_rotation_of(log_name, log_name)


@given(rotation=rotations(), other=stems)
def test_it_is_none_of_another_log(rotation: tuple[str, str], other: str) -> None:
    """It is no rotated file of a log whose name ends or begins alike."""
    log_name, name = rotation
    assert not is_rotation_of(name, other + log_name)
    assert not is_rotation_of(other + name, log_name) or (other + name).startswith(log_name)
    assert not is_rotation_of(name, log_name + "x")


@given(rotation=rotations())
def test_the_logs_of_a_name_are_those_that_it_is_a_rotated_one_of(
    rotation: tuple[str, str],
) -> None:
    """Each candidate but the name itself is a log that the file is a rotated one of."""
    _, name = rotation
    candidates = logs_rotated_to(name)
    assert candidates[0] == log_path(name)
    assert len(candidates) == len(set(candidates))
    assert all(is_rotation_of(name, log) for log in candidates if log != name)


@pytest.mark.parametrize(
    ("name", "log_name"),
    [
        ("access.log", "access.log"),
        ("server-8080.log", "server.log"),
        ("server.8080.log", "server.log"),
        ("app-10.0.0.12.log", "app.log"),
        ("app-192.168.100.101.log", "app.log"),
        ("app-100231.log", "app.log"),
        ("app-v1.2.3.log", "app.log"),
        ("access.log.bak", "access.log"),
        ("access.log.old", "access.log"),
        ("access.log.swp", "access.log"),
        (".access.log.swp", "access.log"),
        ("access.log~", "access.log"),
        ("access.log.1~", "access.log"),
        ("access.log.1.swp", "access.log"),
        ("access.log.1.gz.tmp", "access.log"),
        ("access.log2", "access.log"),
        ("access.log-8080", "access.log"),
        ("access.log.10.0.0.12", "access.log"),
        ("access.log.20261", "access.log"),
        ("error.log", "access.log"),
        ("error.log.1", "access.log"),
        ("error.1.log", "access.log"),
        ("other_access.log", "access.log"),
        ("other_access.log.1", "access.log"),
        ("access.log.1", "access.lo"),
        ("access.log", "access"),
        ("access.1.txt", "access.log"),
        ("access.1.log", "access"),
        ("www.example.com.br", "www.example.com"),
        ("access.log.1", ""),
        ("", "access.log"),
    ],
)
def test_other_files_are_no_rotated_ones(name: str, log_name: str) -> None:
    """A log of its own, a backup or an editor's file is not taken for a rotated one."""
    assert not is_rotation_of(name, log_name)


@pytest.mark.parametrize(
    ("name", "logs"),
    [
        ("access.log", ["access.log"]),
        ("access.log.1", ["access.log"]),
        ("access.log.2.gz", ["access.log"]),
        ("access.log.gz", ["access.log"]),
        ("access.log.2.xz", ["access.log"]),
        ("access.log-20261126.zst", ["access.log"]),
        ("access.log-20261126.1", ["access.log", "access.log-20261126"]),
        ("access.1.log", ["access.1.log", "access.log"]),
        ("access-20261126.log.xz", ["access-20261126.log", "access.log"]),
        ("access-2026-11-26.log", ["access-2026-11-26.log", "access.log"]),
        ("access.log_2026-11-26", ["access.log_2026-11-26", "access.log"]),
        ("access.log.1764115200", ["access.log"]),
        ("access.log@1764115200", ["access.log@1764115200", "access.log"]),
        ("access.log.3.lz4", ["access.log.3.lz4", "access.log"]),
        ("access.log.gz.1", ["access.log.gz", "access.log"]),
        ("server-8080.log", ["server-8080.log"]),
    ],
)
def test_the_logs_of_a_name_surest_first(name: str, logs: list[str]) -> None:
    """The log whose streams bear its path comes first, then those that settings may mean."""
    assert logs_rotated_to(name)[: len(logs)] == logs


@pytest.mark.parametrize(
    ("path", "log"),
    [
        ("/var/log/access.log", "/var/log/access.log"),
        ("/var/log/access.log.1", "/var/log/access.log"),
        ("/var/log/access.log.12.gz", "/var/log/access.log"),
        ("/var/log/access.log.gz", "/var/log/access.log"),
        ("/var/log/access.log.gz.1", "/var/log/access.log.gz"),
        ("/var/log/access.log-20261126", "/var/log/access.log"),
        ("/var/log/access.log-2026-11-26.gz", "/var/log/access.log"),
        ("/var/log/access.log-20261126-1764115200.gz", "/var/log/access.log"),
        ("/var/log/access.log-20261126.1.gz", "/var/log/access.log"),
        ("/var/log/access.log.12345", "/var/log/access.log.12345"),
        ("/var/log/access.log_20261126", "/var/log/access.log_20261126"),
        ("/var/log/access.log.1764115200", "/var/log/access.log"),
        ("/var/log/access.1.log", "/var/log/access.1.log"),
        ("/var/log/.1", "/var/log/.1"),
        ("/var/log/a.20261126", "/var/log/a"),
    ],
)
def test_streams_keep_the_names_of_their_logs(path: str, log: str) -> None:
    """Streams are named by a log's path: what that is for a file never changes."""
    assert log_path(path) == log


@given(digits=st.text("0123456789-", min_size=40, max_size=250))
@example("2026" + "1" * 240)
def test_long_names_take_no_longer(digits: str) -> None:
    """A name of many digits that ends in something else is told apart as well as any."""
    name = f"access.log.{digits}x"
    assert log_path(name) == name
    assert not is_rotation_of(name, "access.log")
    assert logs_rotated_to(name) == [name]
