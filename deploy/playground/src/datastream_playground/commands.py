"""The commands that the command `datastream` has where this package is installed."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from datastream_playground import demo, sample

#: Of each: what declares its arguments, and what runs it and returns the exit code.
COMMANDS: dict[
    str,
    tuple[Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]],
] = {
    "sample": (sample.add_arguments, sample.run),
    "demo": (demo.add_arguments, demo.demo),
    "follow": (demo.add_follow_arguments, demo.follow),
}
