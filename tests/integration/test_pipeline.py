"""The main job on real servers: from a file to both tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datastream.slices import MOST_BYTES, MOST_LINES
from datastream_playground import sample
from deployment import Deployment, Service, eventually, lines_of

ACCESS = b'192.0.2.7 - - [10/Oct/2026:13:55:36 +0200] "GET /%s HTTP/1.1" 200 512 "-" "example/1.0"'


def test_every_line_arrives_raw_and_parsed(deployment: Deployment, tmp_path: Path) -> None:
    """A whole log is in raw_log byte for byte and, one to one, in clean_log or rejected_log."""
    log = tmp_path / "access.log"
    summary = sample.write(log, 20_000, "combined", seed=1)
    deployment.start_consumers()

    deployment.publish_once(log)

    deployment.assert_settled(20_000)
    assert deployment.raw_lines() == list(lines_of(log))
    assert deployment.count("rejected_log") == summary.junk


ODD_LINES = [
    b"nul \x00 bytes \x00\x00",
    b"broken utf-8 \xff\xfe\xc3",
    "emoji 🦀 and Ünïcödé".encode(),
    b"""quotes ' " ` and \\ backslashes \\' \\" \\0 %s %% %(x)s""",
    ACCESS % b"?q='; DROP TABLE raw_log; --",
    ACCESS % b"\xf0\x9f\xa6\x80",
    b"",
    b"\r",
    b"\t\x1a\x08",
    bytes(byte for byte in range(256) if byte != 10),
    b"one MiB " + b"x" * (1024**2 - 8),
    b"one MiB of all bytes " + bytes(b if b != 10 else 11 for b in range(256)) * 4095,
    ACCESS % b"same",
    ACCESS % b"same",
    b"the last line, without a newline",
]


def test_odd_bytes_come_back_as_written(deployment: Deployment, tmp_path: Path) -> None:
    """NULs, broken UTF-8, SQL, a line of 1 MiB and the rest of it are stored as they are."""
    log = tmp_path / "odd.log"
    log.write_bytes(b"\n".join(ODD_LINES))
    deployment.start_consumers()

    deployment.publish_once(log)

    deployment.assert_settled(len(ODD_LINES))
    assert deployment.raw_lines() == ODD_LINES
    flags = deployment.query("SELECT flags FROM raw_log ORDER BY line_offset DESC")
    assert [flag for (flag,) in flags] == [1] + [0] * (len(ODD_LINES) - 1)
    urls = deployment.query("SELECT url FROM clean_log ORDER BY line_offset")
    assert urls == [("/?q='; DROP TABLE raw_log; --",), ("/🦀",), ("/same",), ("/same",)]


@pytest.mark.parametrize(
    ("content", "lines"),
    [(b"", 0), (b"\n", 1), (b"one line, no newline", 1), (b"\n\n\n", 3)],
    ids=["empty", "empty line", "no newline", "empty lines"],
)
def test_small_files(deployment: Deployment, tmp_path: Path, content: bytes, lines: int) -> None:
    """A file with nothing or next to nothing in it is no error."""
    log = tmp_path / "small.log"
    log.write_bytes(content)
    deployment.start_consumers()

    deployment.publish_once(log)

    deployment.assert_settled(lines)


def test_a_second_reading_adds_no_row(deployment: Deployment, tmp_path: Path) -> None:
    """With its checkpoint or without, a log that is read again stores nothing twice."""
    log = tmp_path / "access.log"
    sample.write(log, 3_000, "combined", seed=2)
    lake, clean = deployment.start_consumers()
    deployment.publish_once(log)
    deployment.assert_settled(3_000)

    deployment.publish_once(log)
    deployment.publish_once(log, STATE_DIR=str(tmp_path / "another"))

    def seen() -> None:
        assert lake.metric("datastream_lines_duplicate_total") == 3_000
        assert clean.metric("datastream_lines_duplicate_total") == 3_000

    eventually(seen)
    deployment.assert_settled(3_000)


def test_a_partial_line_waits_for_its_newline(deployment: Deployment, tmp_path: Path) -> None:
    """A line that is still being written is stored once, whole."""
    log = tmp_path / "access.log"
    log.write_bytes(ACCESS % b"whole" + b"\n192.0.2.7 - - [10/Oct")
    deployment.start_consumers()
    deployment.start("producer", str(log))
    deployment.assert_settled(1)

    with log.open("ab") as file:
        file.write(b'/2026:13:55:36 +0200] "GET / HTTP/1.1" 200 1 "-" "-"\n')

    deployment.assert_settled(2)
    assert deployment.raw_lines() == list(lines_of(log))
    assert deployment.count("rejected_log") == 0


def test_a_missing_log_is_waited_for(deployment: Deployment, tmp_path: Path) -> None:
    """The producer says that it waits, and reads the log once it is there."""
    log = tmp_path / "later.log"
    deployment.start_consumers()
    producer = deployment.start("producer", str(log))

    def told() -> None:
        assert "waiting for it" in producer.text()

    def only_the_log_is_missing() -> None:
        assert producer.get("/readyz") == (503, "waiting for log\n")

    eventually(told)
    eventually(only_the_log_is_missing)
    log.write_bytes(ACCESS % b"there" + b"\n")

    deployment.assert_settled(1)
    assert producer.get("/readyz") == (200, "ready\n")


def test_sigterm_finishes_what_is_in_hand(deployment: Deployment, tmp_path: Path) -> None:
    """In the middle of work each service ends with 0, and nothing it did has to be done again."""
    log = tmp_path / "access.log"
    sample.write(log, 100_000, "combined", seed=3)
    lake, clean = deployment.start_consumers()
    producer = deployment.start("producer", str(log), MAX_SLICE_LINES="100")

    def busy() -> None:
        assert deployment.count("raw_log") > 0
        assert deployment.count("clean_log") > 0

    eventually(busy)
    codes = [service.terminate() for service in (producer, lake, clean)]
    assert codes == [0, 0, 0]
    assert deployment.count("raw_log") < 100_000

    lake, clean = deployment.start_consumers()
    deployment.publish_once(log)

    deployment.assert_settled(100_000)
    assert deployment.raw_lines() == list(lines_of(log))
    for consumer in (lake, clean):
        assert consumer.metric("datastream_lines_duplicate_total") == 0


def test_metrics_tell_what_happened(deployment: Deployment, tmp_path: Path) -> None:
    """The counters of all services agree with the log and the tables."""
    log = tmp_path / "access.log"
    summary = sample.write(log, 5_000, "combined", seed=4)
    lake, clean = deployment.start_consumers()
    producer = deployment.start("producer", str(log))
    deployment.assert_settled(5_000)

    def caught_up() -> None:
        assert producer.metric("datastream_behind_bytes") == 0

    eventually(caught_up)
    assert producer.metric("datastream_lines_published_total") == 5_000
    assert producer.metric("datastream_open_files") == 1
    assert lake.metric("datastream_lines_stored_total", table="raw_log") == 5_000
    rejected = clean.metric("datastream_lines_stored_total", table="rejected_log")
    assert rejected == summary.junk
    assert clean.metric("datastream_lines_stored_total", table="clean_log") == 5_000 - rejected
    for reason, lines in summary.reasons.items():
        assert clean.metric("datastream_lines_rejected_total", reason=reason) == lines
    for service in (producer, lake, clean):
        assert service.get("/healthz") == (200, "alive\n")
        assert service.get("/readyz") == (200, "ready\n")
        assert service.get("/nothing")[0] == 404


def test_scrapes_answer_while_the_servers_are_away(deployment: Deployment, tmp_path: Path) -> None:
    """A service that waits for its dependencies says which, and lives."""
    log = tmp_path / "access.log"
    log.write_bytes(ACCESS % b"x" + b"\n")
    nowhere = {"RABBIT_PORT": "1", "MYSQL_PORT": "1"}
    waiting = [
        deployment.start("producer", str(log), **nowhere),
        deployment.start("lake_consumer", **nowhere),
        deployment.start("clean_consumer", **nowhere),
    ]

    def tried(service: Service) -> None:
        assert service.metric("datastream_retries_total") > 0, service.text()

    for service in waiting:
        eventually(lambda service=service: tried(service))  # type: ignore[misc]
    assert [service.get("/healthz")[0] for service in waiting] == [200, 200, 200]
    assert [service.get("/readyz") for service in waiting] == [
        (503, "waiting for rabbitmq\n"),
        (503, "waiting for rabbitmq, mysql\n"),
        (503, "waiting for rabbitmq, mysql\n"),
    ]
    assert [service.terminate() for service in waiting] == [0, 0, 0]
    for service in waiting:
        assert service.text().count("WARNING") <= 2, service.text()
        assert "Traceback" not in service.text()


@pytest.mark.parametrize("module", Deployment.MODULES)
def test_wrong_settings_are_one_line_and_exit_code_78(deployment: Deployment, module: str) -> None:
    """A setting that is missing or malformed is named in one line."""
    missing = deployment.start(module, RABBIT_PASSWORD="")
    malformed = deployment.start(module, RABBIT_PORT="many")

    assert (missing.wait(), malformed.wait()) == (78, 78)
    assert missing.text() == (
        f"{module}: RABBIT_PASSWORD is not set, but RABBIT_USER is; an account needs both\n"
    )
    assert malformed.text() == (
        f"{module}: RABBIT_PORT is 'many'; it must be a whole number from 1 to 65535\n"
    )


FORMAT = """\
log_format timed escape=json '{"time":"$msec","client":"$remote_addr","request":"$request",'
                             '"status":$status,"took":$request_time,"agent":"$http_user_agent",'
                             '"upstream":["$upstream_addr","$upstream_response_time"]}';"""
TIMED = (
    b'{"time":"1700000000.250","client":"192.0.2.7","request":"GET /\\"%s\\" HTTP/1.1",'
    b'"status":200,"took":0.123,"agent":"x",'
    b'"upstream":["192.0.2.5:80, 192.0.2.6:80","0.020, 0.100"]}'
)


def test_a_format_travels_with_its_lines(deployment: Deployment, tmp_path: Path) -> None:
    """The consumers are told of no format: a slice says how its lines are read."""
    log = tmp_path / "json.log"
    log.write_bytes(b"\n".join([TIMED % b"a", b"{}", TIMED % b"b"]) + b"\n")
    deployment.start_consumers()

    deployment.publish_once(log, FORMAT=FORMAT)

    deployment.assert_settled(3)
    [(form,)] = deployment.query("SELECT format FROM log_stream")
    assert form.startswith("log_format timed escape=json '{")
    rows = deployment.query(
        "SELECT path, request_time, upstream_time, extra FROM clean_log ORDER BY line_offset"
    )
    assert [(path, float(took), float(total)) for path, took, total, _ in rows] == [
        ('/"a"', 0.123, 0.12),
        ('/"b"', 0.123, 0.12),
    ]
    assert json.loads(rows[0][3]) == {
        "upstream_addr": ["192.0.2.5:80", "192.0.2.6:80"],
        "upstream_response_time": [0.02, 0.1],
    }


def test_an_ambiguous_format_is_refused_at_start(deployment: Deployment) -> None:
    """With exit code 78, before anything is read, and the character marked."""
    producer = deployment.start("producer", FORMAT="log_format x '$msec $host$status';")

    assert producer.wait() == 78
    first, shown, caret = producer.text().splitlines()
    assert first.startswith("producer: FORMAT: nothing stands between $host and $status")
    assert shown[caret.index("^") :].startswith("$status")


def test_auto_takes_the_format_of_the_lines(deployment: Deployment, tmp_path: Path) -> None:
    """It is said which, and the slices carry its name."""
    log = tmp_path / "access.log"
    summary = sample.write(log, 500, "common", seed=4)
    deployment.start_consumers()

    producer = deployment.publish_once(log, FORMAT="auto")

    deployment.assert_settled(500)
    assert "FORMAT=auto is common, which is " in producer.text()
    assert deployment.query("SELECT format FROM log_stream") == [("common",)]
    assert deployment.count("rejected_log") == summary.junk


def test_without_a_format_the_first_line_is_waited_for(
    deployment: Deployment, tmp_path: Path
) -> None:
    """With an empty log the producer is ready; what the line tells is known to the next one."""
    log = tmp_path / "access.log"
    log.touch()
    deployment.start_consumers()
    producer = deployment.start("producer", str(log), FORMAT="")
    producer.wait_ready()
    assert "FORMAT=auto waits for lines to tell by" in producer.text()
    log.write_bytes(ACCESS % b"first" + b"\n")
    deployment.assert_settled(1)
    assert producer.terminate() == 0
    with log.open("ab") as file:
        file.write(b"no line at all\n" * 20)
    deployment.publish_once(log, FORMAT="")
    deployment.assert_settled(21)
    assert deployment.query("SELECT format FROM log_stream") == [("combined",)]
    assert (deployment.count("clean_log"), deployment.count("rejected_log")) == (1, 20)


@pytest.mark.parametrize(
    "limits",
    [{}, {"MAX_SLICE_BYTES": str(MOST_BYTES // 2), "MAX_SLICE_LINES": str(MOST_LINES)}],
    ids=["by default", "at the greatest settings"],
)
def test_memory_stays_bounded(
    deployment: Deployment, tmp_path: Path, limits: dict[str, str]
) -> None:
    """Each service stays under 100 MB, with lines of every size in a log that is larger."""
    log = tmp_path / "large.log"
    line = ACCESS % (b"x" * 1_000)
    with log.open("wb") as file:
        for _ in range(100):
            file.write(b"y" * 1024**2 + b"\n")
        file.write(b"\n" * 30_000)
        for _ in range(60):
            file.write((line + b"\n") * 1_000)
    total = 100 + 30_000 + 60_000
    producer = deployment.start("producer", str(log), **limits)

    def published() -> None:
        assert producer.metric("datastream_lines_published_total") == total

    eventually(published)
    consumers = deployment.start_consumers()  # over full queues
    deployment.assert_settled(total)

    for service in (producer, *consumers):
        peak = peak_memory(service)
        assert peak < 100 * 1000**2, f"{service.log.name}: {peak:,} bytes"


def peak_memory(service: Service) -> int:
    """Return the most memory that a process has had resident, in bytes."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def test_two_producers_do_not_share_a_state_folder(deployment: Deployment, tmp_path: Path) -> None:
    """The second one refuses, in one line and with an exit code of its own."""
    log = tmp_path / "access.log"
    log.touch()
    deployment.start("producer", str(log)).wait_ready()

    second = deployment.start("producer", str(log))

    assert second.wait() == 75
    assert "another producer uses STATE_DIR" in second.text()
