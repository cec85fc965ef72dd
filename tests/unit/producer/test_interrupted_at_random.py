"""Several rotations in a row, their steps between any calls of the producer, drawn at random.

What packs the file before last and renames it at once moves a file twice in a rotation: two
listings in a row may miss it, and a third rotation may come before the next look. Orders of one
interruption are driven one by one in test_interleavings.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest
from hypothesis import settings

from producer.files import LogFile
from unit.producer.test_interleavings import KINDS, Rotated, Step, step, store

#: Histories of each kind.
DRAWN = settings().max_examples * 3 // 5
ROTATIONS = 3


class AtRandom(Rotated):
    """A log whose rotations go on while the producer looks."""

    def draw(self, seed: int) -> None:
        """Rotate a few times; now and then the producer stands still, reads, or is interrupted."""
        self.random = random.Random(seed)  # noqa: S311 - no secret: the seed repeats a run
        self.pending: list[Step] = []
        self.is_inside = True
        self.tick()
        with pytest.MonkeyPatch.context() as patch:
            for owner, name in ((os, "stat"), (os, "scandir"), (os, "fstat"), (os, "pread")):
                patch.setattr(owner, name, self._interrupted(getattr(owner, name)))
            patch.setattr(LogFile, "__init__", self._interrupted(LogFile.__init__))
            for _ in range(ROTATIONS):
                self.rotate_somehow()
        self.is_inside = True

    def rotate_somehow(self) -> None:
        """Some steps while the producer stands still, some while it looks, and the others."""
        self.pending = self.steps()
        self.advance(self.random.choice((0, 1, 3, len(self.pending))))
        self.probability = self.random.choice((0.02, 0.1, 0.3))
        for _ in range(self.random.randint(0, 6)):
            self.is_inside = False
            handed = self.log.next()  # undecided for as long as a file is being packed
            self.is_inside = True
            if handed is not None:
                store(self, handed)
        self.advance(len(self.pending))
        self.now += self.random.choice((0.1, 1.5, 5.0))
        self.read(self.random.choice((0, 1, 9)))

    def advance(self, steps: int) -> None:
        """Let logrotate take some steps."""
        for _ in range(min(steps, len(self.pending))):
            step(self, self.pending.pop(0), len(self.pending))

    def _interrupted(self, call: Callable[..., object]) -> Callable[..., object]:
        """Return a call before which logrotate takes steps, perhaps."""

        def interrupted(*arguments: object, **options: object) -> object:
            if not self.is_inside and self.random.random() < self.probability:
                self.is_inside = True
                self.advance(self.random.randint(1, 3))
                self.is_inside = False
            return call(*arguments, **options)

        return interrupted


@pytest.mark.parametrize("kind", KINDS)
def test_rotations_that_interrupt_at_random(kind: str) -> None:
    """Each generation is one stream, each line once."""
    for seed in range(DRAWN):
        machine = AtRandom()
        machine.begin_as(kind)
        try:
            machine.draw(seed)
            machine.now += 1
            machine.end()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}") from error
        finally:
            machine.close()
