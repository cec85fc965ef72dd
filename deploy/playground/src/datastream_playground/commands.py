"""The commands that the command `datastream` has where this package is installed."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from datastream_playground import demo, sample

#: Of each: what declares its arguments, and which function runs it and returns the exit code.
COMMANDS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "sample": sample.add_arguments,
    "demo": demo.add_arguments,
    "follow": demo.add_follow_arguments,
}
