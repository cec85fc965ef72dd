"""What the doctor found: a row for each check, and what they come to together."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from datastream.config import EX_CONFIG
from datastream_operator.policies import Applied
from datastream_operator.text import printable

EX_OK, EX_BROKEN, EX_ATTENTION = 0, 1, 3

#: The row whose faults have an exit code of their own.
SETTINGS = "settings"

#: Bytes: less room than this on a disk is told.
LOW_DISK = 1_000_000_000

#: Characters of a row, and of its first two columns.
WIDTH, NAME_WIDTH, STATE_WIDTH = 80, 14, 14
#: Faults of one check that are shown.
SHOWN = 5


class State(Enum):
    """What a check came to; the value is its word in the report."""

    OK = "ok"
    #: All works, but a person should know of it.
    ATTENTION = "ATTENTION"
    BROKEN = "BROKEN"
    #: There is no setting for it, no right to see it, or a row above says what is in the way.
    SKIPPED = "not looked at"


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the report."""

    name: str
    state: State
    #: What was found, a sentence each; of what is wrong in the server's words where it has any.
    words: tuple[str, ...]
    #: What to do, where the words do not say so themselves.
    advice: str = ""

    @classmethod
    def of(
        cls,
        name: str,
        faults: Iterable[str],
        well: str,
        advice: str = "",
        state: State | None = None,
    ) -> Check:
        """Return a check that is well where it has no faults; else broken, or the state given."""
        found = tuple(faults)
        if not found:
            return cls(name, State.OK, (well,))
        return cls(name, state or State.BROKEN, found, advice)

    def lines(self) -> list[str]:
        """Return the row, in as many lines as it takes."""
        words = [*self.words[:SHOWN]]
        if len(self.words) > SHOWN:
            words.append(f"and {len(self.words) - SHOWN} more")
        if self.advice:
            words.append(f"-> {self.advice}")
        indent = " " * (NAME_WIDTH + STATE_WIDTH)
        wrapper = textwrap.TextWrapper(
            WIDTH,
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines = [line for each in words for line in wrapper.wrap(printable(each))]
        head = f"{self.name:<{NAME_WIDTH}}{self.state.value:<{STATE_WIDTH}}"
        return [head + lines[0].removeprefix(indent), *lines[1:]]


@dataclass(slots=True)
class Report:
    """Everything that was looked at."""

    checks: list[Check] = field(default_factory=list)
    #: What applies to each exchange and queue; empty when that is not known.
    policies: list[Applied] = field(default_factory=list)
    #: Why each that was asked (rabbitmq, management) has not answered; empty where it has.
    failures: dict[str, str] = field(default_factory=dict)

    def skip(self, names: Iterable[str], why: str) -> None:
        """Add checks that are not made."""
        self.checks += [Check(name, State.SKIPPED, (why,)) for name in names]

    @property
    def exit_code(self) -> int:
        """What the process ends with: that of the worst; a setting that is wrong goes first."""
        if any(c.state is State.BROKEN and c.name == SETTINGS for c in self.checks):
            return EX_CONFIG
        states = {check.state for check in self.checks}
        if State.BROKEN in states:
            return EX_BROKEN
        return EX_ATTENTION if State.ATTENTION in states else EX_OK
