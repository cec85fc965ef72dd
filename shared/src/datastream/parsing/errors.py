"""A format that is none, and the place where it stops being one."""

from __future__ import annotations

#: How much of a format is shown around the place, in characters.
_SHOWN = 60


class FormatError(ValueError):
    """The text is no format that lines can be read by.

    `str()` is one sentence; `marked` shows the text below it, with a caret under the place.
    """

    def __init__(self, message: str, text: str = "", place: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.text = text
        self.place = place

    @property
    def marked(self) -> str:
        """The message, and where the place is known the line that holds it and a caret below."""
        if self.place is None:
            return self.message
        return f"{self.message}\n{marked(self.text, self.place)}"


def marked(text: str, place: int, shown: int = _SHOWN) -> str:
    """Return what surrounds a place in a text, on one line, and below it a caret.

    `place` is a character offset; `shown` is how many characters before and after it are shown.
    """
    line_start = text.rfind("\n", 0, place) + 1
    line_end = text.find("\n", place)
    line_end = len(text) if line_end < 0 else line_end
    start = max(line_start, place - shown)
    end = min(line_end, place + shown)
    before = _shown(text[start:place])
    left = "…" if start > line_start else ""
    right = "…" if end < line_end else ""
    line = f"    {left}{before}{_shown(text[place:end])}{right}"
    return f"{line}\n    {' ' * (len(left) + len(before))}^"


def _shown(text: str) -> str:
    """Return the text with each character that has no width of one written as an escape."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
