"""The command `datastream rewind`: runs the producer, to which the checkpoint belongs."""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib.util import find_spec

from datastream.arguments import add_config, moment, stream_number, whole_number
from datastream_operator.refused import EX_UNAVAILABLE, Refused

DESCRIPTION = """\
Make the producer read its logs again from the beginning: after the exchange, a queue or rows were
lost. It sets the checkpoint in STATE_DIR back, so it runs where the producer does, while that is
stopped, and is the same as `producer --rewind`. Stored rows stay as they are.
"""

EXIT_CODES = """\
exit codes: 0 done; 65 the checkpoint is damaged or of another source; 66 no such stream, or no
line begins there; 69 there is no producer here; 75 the producer runs; 78 a setting is wrong
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `datastream rewind`."""
    parser.description = DESCRIPTION
    parser.epilog = EXIT_CODES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(run=run)
    parser.add_argument(
        "--since", type=moment, metavar="TIME", help="only files that have changed since"
    )
    parser.add_argument("--stream", type=stream_number, metavar="ID", help="only this stream")
    parser.add_argument(
        "--position", type=whole_number(0), metavar="BYTE", help="of that stream from there on"
    )
    parser.add_argument(
        "--as-new-stream",
        action="store_true",
        help="the file of that stream is another log, in conflict with it: the next generation",
    )
    add_config(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run `producer --rewind` and return its exit code. Raises Refused where there is none."""
    if find_spec("producer") is None:
        raise Refused(
            "there is no producer here: stop it, and run `producer --rewind` where it runs",
            EX_UNAVAILABLE,
        )
    command = [sys.executable, "-m", "producer", "--rewind"]
    if arguments.config is not None:
        command += ["--config", str(arguments.config)]
    if arguments.since is not None:
        command += ["--since", arguments.since.isoformat()]
    if arguments.stream is not None:
        command += ["--stream", f"0x{arguments.stream:016x}"]
    if arguments.position is not None:
        command += ["--position", str(arguments.position)]
    if arguments.as_new_stream:
        command.append("--as-new-stream")
    return subprocess.run(command, check=False).returncode  # noqa: S603 - numbers and a time
