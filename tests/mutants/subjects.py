"""The modules that `make mutants` breaks, and the tests that must notice."""

from __future__ import annotations

from typing import NamedTuple

UNIT = "tests/unit"

#: What makes rows of a slice, and what stores them.
ROWS = ("rows", "store", "dimension", "enrichment")


class Subject(NamedTuple):
    """Modules that the same tests are about."""

    #: Files, or folders of them, in the checkout.
    modules: tuple[str, ...]
    #: Files of tests, or folders of them: the fewest that are about these modules.
    tests: tuple[str, ...]


def parsers(modules: str, tests: str) -> Subject:
    """Return modules of the parsers, with the tests that are about them."""
    return Subject(
        tuple(f"shared/src/datastream/parsing/{name}.py" for name in modules.split()),
        tuple(f"{UNIT}/{name}.py" for name in tests.split()),
    )


SUBJECTS = (
    parsers("error_log", "parsing/test_error_log"),
    parsers("entries", "parsing/test_entries"),
    parsers("request", "parsing/test_request_lines parsing/test_access_lines"),
    parsers("values", "parsing/test_line_values parsing/test_log_formats"),
    parsers("proxies", "parsing/test_proxies"),
    parsers("formats log_format", "parsing/test_log_formats"),
    parsers("nginx_conf", "parsing/test_nginx_conf"),
    parsers(
        "access_log",
        "parsing/test_misfits parsing/test_fast parsing/test_access_lines parsing/test_log_formats "
        "parsing/test_lines_of_other_origin",
    ),
    parsers("fields", "parsing/test_fields parsing/test_log_formats"),
    parsers("json_lines", "parsing/test_json_lines parsing/test_log_formats"),
    parsers("pattern", "parsing/test_pattern parsing/test_linear parsing/test_log_formats"),
    parsers("doubts", "parsing/test_doubts"),
    parsers("remembered", "parsing/test_remembered"),
    parsers("__init__ event variables", "parsing/test_access_lines parsing/test_log_formats"),
    parsers("fast", "parsing/test_fast"),
    parsers("detect", "parsing/test_detect"),
    parsers("advice apache json_keys rest", "parsing/test_detect datastream/test_format_setting"),
    parsers("looks", "parsing/test_looks"),
    parsers("prefix", "parsing/test_prefix"),
    parsers("servers", "parsing/test_other_servers parsing/test_detect"),
    Subject(("shared/src/datastream/slices.py",), (f"{UNIT}/datastream/test_slices.py",)),
    Subject(("shared/src/datastream/streams.py",), (f"{UNIT}/datastream/test_streams.py",)),
    Subject(("shared/src/datastream/consuming.py",), (f"{UNIT}/datastream/test_consuming.py",)),
    Subject(
        ("services/clean_consumer/src/clean_consumer/rows.py",),
        tuple(f"{UNIT}/clean_consumer/test_{name}.py" for name in ROWS),
    ),
    Subject(
        ("services/producer/src/producer/checkpoint.py",),
        tuple(f"{UNIT}/producer/test_{name}.py" for name in ("checkpoint", "rewind")),
    ),
    Subject(
        ("services/producer/src/producer/history.py",),
        (f"{UNIT}/producer/test_history.py", f"{UNIT}/producer/test_any_history.py"),
    ),
)
