"""Text from logs and from the system, made safe to show."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return a text that is safe on a terminal: what is not printable becomes an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def printable_bytes(data: bytes, longest: int = 300) -> str:
    """Return the first `longest` bytes as text that is safe on a terminal."""
    return printable(data[:longest].decode(errors="backslashreplace"))


def size(count: float) -> str:
    """Return a number of bytes with its unit: `999 B`, `2.5 MB`."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"


def with_counts(counts: dict[str, int]) -> str:
    """Return names with their counts, the greatest first, none of 0: `format 371, empty 69`."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count:,}" for name, count in ordered if count)
