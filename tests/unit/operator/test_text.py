"""Text from logs and from the system, made safe to show."""

from __future__ import annotations

from datastream_operator.text import printable, printable_bytes, size, with_counts


def test_printable_text() -> None:
    """Only what a terminal might obey is written as an escape."""
    assert printable("plain é ✓") == "plain é ✓"
    assert printable("a\x1b\n\u202e\udcff") == r"a\x1b\n\u202e\udcff"
    assert printable_bytes(b"\xc3\xa9\xff\\") == "é\\xff\\"
    assert printable_bytes(b"x" * 999, longest=3) == "xxx"


def test_sizes_and_counts() -> None:
    """In words that a person reads."""
    assert [size(n) for n in (0, 999, 1000, 2_500_000, 1e12)] == [
        *("0 B", "999 B", "1.0 kB", "2.5 MB", "1,000.0 GB"),
    ]
    counts = {"time": 1, "empty": 1, "format": 1234, "refused": 0}
    assert with_counts(counts) == "format 1,234, empty 1, time 1"
