"""The modules that `make mutants` breaks, and the tests that must notice."""

from __future__ import annotations

from typing import NamedTuple

PARSING = "shared/src/datastream/parsing"
UNIT = "tests/unit"

#: What reads a format and the lines of one.
READING = (
    *("__init__", "access_log", "event", "fields", "formats", "json_lines", "log_format"),
    *("pattern", "proxies", "remembered", "request", "values", "variables"),
)
READING_TESTS = (
    *("access_lines", "log_formats", "request_lines", "line_values", "lines_of_other_origin"),
    "any_format",
)
#: What makes rows of a slice, and what stores them.
ROWS = ("rows", "store", "dimension", "enrichment")


class Subject(NamedTuple):
    """Modules that the same tests are about."""

    #: Files, or folders of them, in the checkout.
    modules: tuple[str, ...]
    #: Files of tests, or folders of them: the fewest that are about these modules.
    tests: tuple[str, ...]


SUBJECTS = (
    Subject((f"{PARSING}/error_log.py",), (f"{UNIT}/parsing/test_error_log.py",)),
    Subject((f"{PARSING}/detect.py",), (f"{UNIT}/parsing/test_detect.py",)),
    Subject((f"{PARSING}/fast.py",), (f"{UNIT}/parsing/test_fast.py",)),
    Subject(
        tuple(f"{PARSING}/{name}.py" for name in READING),
        tuple(f"{UNIT}/parsing/test_{name}.py" for name in READING_TESTS),
    ),
    Subject(("shared/src/datastream/slices.py",), (f"{UNIT}/datastream/test_slices.py",)),
    Subject(("shared/src/datastream/streams.py",), (f"{UNIT}/datastream/test_streams.py",)),
    Subject(("shared/src/datastream/consuming.py",), (f"{UNIT}/datastream/test_consuming.py",)),
    Subject(
        ("services/clean_consumer/src/clean_consumer/rows.py",),
        tuple(f"{UNIT}/clean_consumer/test_{name}.py" for name in ROWS),
    ),
    Subject(
        ("services/producer/src/producer/checkpoint.py",),
        (f"{UNIT}/producer/test_checkpoint.py",),
    ),
    Subject(
        ("services/producer/src/producer/history.py",),
        (f"{UNIT}/producer/test_history.py", f"{UNIT}/producer/test_any_history.py"),
    ),
)
