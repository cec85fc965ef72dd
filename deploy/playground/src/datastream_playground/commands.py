"""The commands that this package adds to `datastream`."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from datastream_playground import demo, sample

#: By name: the function that declares a command's arguments and its default `run`, a function of
#: the parsed arguments that returns the exit code.
COMMANDS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "sample": sample.add_arguments,
    "demo": demo.add_arguments,
    "follow": demo.add_follow_arguments,
}
