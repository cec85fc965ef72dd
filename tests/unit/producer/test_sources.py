"""Several logs, each with a format and a source of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from datastream import parsing
from datastream.config import ConfigError, Environment
from datastream.parsing.detect import Detected
from datastream.slices import Slice
from producer.checkpoint import Checkpoint, RaiseOnFailure
from producer.detecting import Pace
from producer.settings import ProducerSettings, SliceLimits, Source
from producer.state import State
from producer.tailer import NoInput, Tailer

FOLLOW = Source("web", "combined", SliceLimits(1_000, 65_536, 65_536))
LINE = b'192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 512\n'


def slices_of(tailer: Tailer) -> list[Slice]:
    """Return and confirm what there is to read now."""
    tailer._expanded_at = float("-inf")  # a second has passed
    tailer._pace = Pace()  # and what the search for a format rests
    found = []
    for slice_ in tailer.slices():
        if slice_ is None:
            break
        found.append(slice_)
        tailer.confirm()
    return found


def tailer_of(own: Mapping[str, Source], state: State | None = None) -> Tailer:
    """Return the tailer of several logs."""
    return Tailer(list(own), FOLLOW, state or State(), own)


def saved(state: State, folder: Path) -> State:
    """Return a state as the next process finds it."""
    for is_written in (False, True):
        with closing(Checkpoint(folder, "web", RaiseOnFailure())) as checkpoint:
            if is_written:
                return checkpoint.found
            checkpoint.save(state)
    raise AssertionError


def test_each_log_has_its_format_and_its_source(tmp_path: Path) -> None:
    """The slices carry both, and the identity is that of the source."""
    for name in ("shop.access.log", "blog.access.log", "shop.error.log"):
        (tmp_path / name).write_bytes(LINE)
    own = {
        f"{tmp_path}/*.access.log": replace(FOLLOW, format="common"),
        f"{tmp_path}/shop.error.log": replace(FOLLOW, name="shop", format="error"),
    }
    tailer = tailer_of(own)

    found = {
        (Path(slice_.stream.path).name, slice_.stream.format, slice_.stream.source)
        for slice_ in slices_of(tailer)
    }

    assert found == {
        ("shop.access.log", "common", "web"),
        ("blog.access.log", "common", "web"),
        ("shop.error.log", "error", "shop"),
    }
    assert not slices_of(tailer_of(own, saved(tailer.state(), tmp_path / "state")))


def test_from_one_setting_to_several_tables_nothing_is_read_again(tmp_path: Path) -> None:
    """A log is known by its SOURCE and path, whatever names it."""
    log = tmp_path / "access.log"
    log.write_bytes(LINE)
    tailer = Tailer([str(log)], FOLLOW, State())
    [before] = slices_of(tailer)
    log.write_bytes(LINE * 2)
    own = {f"{tmp_path}/*.log": replace(FOLLOW, format="common")}

    [after] = slices_of(tailer_of(own, saved(tailer.state(), tmp_path / "state")))

    assert (after.stream.stream_id, after.position) == (before.stream.stream_id, len(LINE))
    assert after.stream.format == "common"


def test_a_log_that_two_tables_match_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Both are named, once; the others are read, when it appears and after the next start alike."""
    own = {f"{tmp_path}/*.log": FOLLOW, f"{tmp_path}/a.*": replace(FOLLOW, format="error")}
    words = f"log 1 ({tmp_path}/*.log) and log 2 ({tmp_path}/a.*) match {tmp_path}/a.log: "
    tailer = tailer_of(own)
    (tmp_path / "a.log").write_bytes(LINE)
    (tmp_path / "b.log").write_bytes(LINE)

    assert [slice_.stream.path for slice_ in slices_of(tailer)] == [f"{tmp_path}/b.log"]
    slices_of(tailer)
    [told] = [vars(record) for record in caplog.records if record.levelname == "ERROR"]
    assert told["error"].startswith(words)
    assert tailer.passed_over == 1

    again = tailer_of(own)
    assert [slice_.stream.path for slice_ in slices_of(again)] == [f"{tmp_path}/b.log"]
    assert again.passed_over == 1
    (tmp_path / "a.log").unlink()
    slices_of(again)
    assert again.passed_over == 0


def test_the_source_of_a_log_is_permanent(tmp_path: Path) -> None:
    """Its lines would have other keys from there on, in the middle of a stream."""
    log = tmp_path / "shop.log"
    log.write_bytes(LINE)
    own = {str(log): replace(FOLLOW, name="shop")}
    tailer = tailer_of(own)
    slices_of(tailer)
    state = saved(tailer.state(), tmp_path / "state")

    with pytest.raises(ConfigError, match=r"shop\.log is of source shop, and cannot be of web"):
        Tailer([str(log)], FOLLOW, state)
    assert not slices_of(tailer_of(own, state))
    of_others = tailer_of({str(log): FOLLOW, f"{tmp_path}/*.none": FOLLOW}, state)
    assert (of_others.passed_over, slices_of(of_others)) == (1, [])


def test_the_format_of_each_log_is_found_out_when_it_has_lines(tmp_path: Path) -> None:
    """It then stays, and holds up no other log; nothing is lost meanwhile, even by a rotation."""
    young, old = tmp_path / "young.log", tmp_path / "old.log"
    site = b"www.example.com:443 " + LINE.replace(b"512", b'512 "-" "-"')
    young.write_bytes(site)
    old.write_bytes(LINE * 10)
    own = {f"{tmp_path}/*.log": replace(FOLLOW, format="auto")}
    tailer = tailer_of(own)

    assert [slice_.stream.path for slice_ in slices_of(tailer)] == [str(old)]
    young.rename(tmp_path / "young.log.1")
    young.write_bytes(site * 9)
    found = slices_of(tailer) + slices_of(tailer)

    assert [(slice_.stream.path, slice_.lines) for slice_ in found] == [
        (str(young), 1),
        (str(young), 9),
    ]
    assert {slice_.stream.format for slice_ in found} == {"vhost_combined"}
    with young.open("ab") as file:
        file.write(b"no such line\n")
    [after] = slices_of(tailer_of(own, saved(tailer.state(), tmp_path / "state")))
    assert (after.stream.format, after.body) == ("vhost_combined", b"no such line")


def test_a_log_that_appears_once_the_format_of_all_is_found(tmp_path: Path) -> None:
    """It is read by that format, as the others are."""
    (tmp_path / "a.log").write_bytes(LINE)
    tailer = Tailer([f"{tmp_path}/*.log"], replace(FOLLOW, format="auto"), State())
    assert [slice_.stream.format for slice_ in slices_of(tailer)] == ["common"]

    (tmp_path / "b.log").write_bytes(LINE)

    assert [(s.stream.path, s.stream.format) for s in slices_of(tailer)] == [
        (f"{tmp_path}/b.log", "common")
    ]


def test_a_log_whose_lines_tell_no_format_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The others go on, when it appears and after the next start alike."""
    own = {f"{tmp_path}/*.log": replace(FOLLOW, format="auto")}
    tailer = tailer_of(own)
    (tmp_path / "odd.log").write_bytes(b"no such line\n" * 10)
    (tmp_path / "a.log").write_bytes(LINE * 10)

    assert [slice_.stream.path for slice_ in slices_of(tailer)] == [f"{tmp_path}/a.log"]
    assert f"{tmp_path}/odd.log" in str(vars(caplog.records[-1]))

    # It is noted that they are there: what is rotated before a format is named is read then.
    again = tailer_of(own)
    assert again.state().logs == {f"{tmp_path}/a.log", f"{tmp_path}/odd.log"}
    assert [slice_.stream.path for slice_ in slices_of(again)] == [f"{tmp_path}/a.log"]
    assert f"{tmp_path}/odd.log" in str(vars(caplog.records[-1]))
    assert (again.passed_over, again.is_tailing, again.behind_bytes) == (1, True, 0)

    (tmp_path / "a.log").unlink()
    alone = tailer_of(own)
    assert (slices_of(alone), alone.passed_over, alone.is_tailing) == ([], 1, False)


def test_a_log_that_is_passed_over_holds_no_deleted_file(tmp_path: Path) -> None:
    """It is rotated for as long as nobody looks; once all of it is gone, it may begin anew."""
    own = {f"{tmp_path}/*.log": replace(FOLLOW, format="auto")}
    tailer = tailer_of(own)
    log, rotated = tmp_path / "odd.log", tmp_path / "odd.log.1"
    for number in range(10):
        log.write_bytes(b"no such line %d\n" % number * 10)
        slices_of(tailer)
        slices_of(tailer)
        assert tailer.passed_over == 1
        assert tailer.open_files <= 2
        log.rename(rotated)
    rotated.unlink()
    for _ in range(3):
        slices_of(tailer)
    assert (tailer.open_files, tailer.passed_over) == (0, 0)

    log.write_bytes(LINE * 10)
    assert [slice_.stream.path for slice_ in slices_of(tailer)] == [str(log)]


def test_reading_once_says_at_the_end_which_log_was_passed_over(tmp_path: Path) -> None:
    """The others were read by then."""
    (tmp_path / "odd.log").write_bytes(b"no such line\n" * 10)
    (tmp_path / "a.log").write_bytes(LINE * 10)
    once = replace(FOLLOW, format="auto", once=True)
    tailer = Tailer([f"{tmp_path}/*.log"], once, State(), {f"{tmp_path}/*.log": once})
    read = []

    with pytest.raises(NoInput, match=r"^\S*odd\.log: FORMAT=auto cannot tell the format"):
        for slice_ in tailer.slices():
            if slice_ is not None:
                read.append(slice_.stream.path)
                tailer.confirm()

    assert read == [f"{tmp_path}/a.log"]


def test_what_is_known_of_a_log_is_forgotten_with_it(tmp_path: Path) -> None:
    """A log of each day must not be in the checkpoint for ever."""
    old, new = tmp_path / "2026-11-29.log", tmp_path / "2026-11-30.log"
    for log in (old, new):
        log.write_bytes(LINE * 10)
    tailer = tailer_of({f"{tmp_path}/*.log": replace(FOLLOW, name="days", format="auto")})
    slices_of(tailer)
    assert tailer.state().formats == dict.fromkeys([str(old), str(new)], "common")
    assert tailer.state().sources == dict.fromkeys([str(old), str(new)], "days")

    old.unlink()
    # Its file is closed because it is deleted and quiet, and a minute later it is forgotten.
    tailer._logs[str(old)].files.close()
    tailer._logs[str(old)].files.readers.clear()
    slices_of(tailer)
    tailer._forgot_at = float("-inf")
    slices_of(tailer)

    assert tailer.state().formats == {str(new): "common"}
    assert tailer.state().sources == {str(new): "days"}


def test_a_format_that_cannot_be_disguised_is_named(tmp_path: Path) -> None:
    """With the table that has it."""
    path = tmp_path / "logs.toml"
    path.write_text(
        'source = "web"\nprivacy_before = "lake"\nprivacy_queries = "drop"\n'
        '[[log]]\npath = "/a.log"\nformat = "main"\n'
        """[[log]]\npath = "/b.log"\nformat = '$remote_addr $msec $status $args'\n"""
    )

    with pytest.raises(ConfigError, match=r"log 2: format has \$args"):
        ProducerSettings.read(Environment.load(tmp_path / ".env", path), [], once=True)


def test_settings_of_several_logs(tmp_path: Path) -> None:
    """All but format and source are those of all; a path that no table can hold is named."""
    path = tmp_path / "logs.toml"
    path.write_text(
        'source = "web"\nmax_slice_lines = 7\n[[log]]\npath = "/a.log"\nsource = "a"\n'
        '[[log]]\npath = "/b.log"\nformat = "error"\n'
    )
    settings = ProducerSettings.read(Environment.load(tmp_path / ".env", path), [], once=True)

    assert [(p, s.name, s.format) for p, s in settings.own.items()] == [
        ("/a.log", "a", settings.source.format),
        ("/b.log", "web", "error"),
    ]
    assert all(s.once and s.limits.slice_lines == 7 for s in settings.own.values())

    with path.open("a") as file:
        file.write(f'[[log]]\npath = "/{"x" * 1_100}"\n')
    with pytest.raises(ConfigError, match="log 3 has a path of more than 1024 characters"):
        ProducerSettings.read(Environment.load(tmp_path / ".env", path), [], once=True)


def test_a_secret_stays_one_where_each_log_has_its_format(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No part of a line is logged, and what was found before must be one that can be disguised."""
    log = tmp_path / "shop.log"
    log.write_bytes(LINE.replace(b"512", b"512 0.042 ana@example.com") * 10)
    source = replace(FOLLOW, format="auto", is_disguised=True)

    found = slices_of(Tailer([str(log)], source, State(), {str(log): source}))
    assert [slice_.stream.format for slice_ in found] == ["common_plus"]
    assert "ana@example.com" not in caplog.text

    before = State(formats={str(log): "$remote_addr $msec $status $args"})
    unread = Tailer([str(log)], source, before, {str(log): source})
    assert (unread.passed_over, slices_of(unread)) == (1, [])
    assert "shop.log: the format has $args" in str(vars(caplog.records[-1]))


def test_many_logs_are_told_by_fewer_lines_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a producer of a thousand would read none of them for minutes."""
    looked_at = []
    detect = parsing.detect

    def counted(lines: Sequence[bytes]) -> Detected:
        looked_at.append(len(lines))
        return detect(lines)

    monkeypatch.setattr(parsing, "detect", counted)
    for number in range(100):
        (tmp_path / f"{number}.log").write_bytes(LINE * 20)
    own = {f"{tmp_path}/*.log": replace(FOLLOW, format="auto")}

    assert len(slices_of(tailer_of(own))) == 100
    assert looked_at == [10] * 100
