"""The producer: from web server logs to the topic exchange."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from functools import partial
from threading import Event
from typing import Any

from datastream import logs, metrics
from datastream.arguments import (
    SETTINGS,
    add_config,
    moment,
    parser_of,
    stream_number,
    whole_number,
)
from datastream.config import Environment, RabbitSettings, ServiceSettings
from datastream.errors import Unavailable
from datastream.format_setting import format_of
from datastream.how_many import how_many
from datastream.parsing import AUTO
from datastream.privacy import LineDisguise
from datastream.rabbitmq import Locks, Publisher
from datastream.service import start
from datastream.shutdown import stop_on_signals
from datastream.slices import TRUNCATED, Slice
from producer import pipeline, publishing
from producer.checkpoint import (
    Checkpoint,
    NotThere,
    RaiseOnFailure,
    StateError,
    StateInUse,
    Wanted,
    rewind,
)
from producer.files import allow_many_files
from producer.publishing import PatientPublisher
from producer.settings import ProducerSettings
from producer.state import FORMER_FORMAT, State
from producer.tailer import NoInput, Tailer

NAME = "producer"
DESCRIPTION = "Tails web server logs and publishes them to RabbitMQ in slices."
EPILOG = f"""\
{SETTINGS}

exit codes: 0 asked to stop, and what was in hand is safe, or --once has read all; 65 the checkpoint
is damaged or belongs to another source; 66 --once: a log cannot be read; --rewind: no such stream,
or no line begins there; 75 another producer uses the same STATE_DIR; 77 --once: RabbitMQ has
refused the account, its virtual host or a right of it for 30 s; 78 a setting is wrong;
130, 143 --once: SIGINT or SIGTERM came before everything was read and confirmed
"""
DEFAULT_METRICS_PORT = 9101

#: Exit codes of sysexits.h: a malformed checkpoint, no log for --once, a state folder in use, an
#: account that is refused.
EX_DATAERR, EX_NOINPUT, EX_TEMPFAIL, EX_NOPERM = 65, 66, 75, 77
#: Seconds between two log lines about the progress.
TELL_EVERY = 10.0

logger = logging.getLogger(__name__)


def run(arguments: argparse.Namespace, env: Environment) -> int:
    """Publish until the end of the logs, or until asked to stop; return the exit code."""
    allow_many_files()
    settings = ProducerSettings.read(env, arguments.paths, once=arguments.once)
    rabbit = RabbitSettings.read(env, "PRODUCER")
    service = ServiceSettings.read(env, DEFAULT_METRICS_PORT)
    logs.configure(NAME, service.log_level)
    counts = metrics.ProducerMetrics()
    locks = Locks(settings.source.name, settings.patterns)
    open_session = partial(Publisher.open, rabbit, locks=locks)
    is_complete = False
    try:
        with (
            closing(Checkpoint(settings.state_dir, settings.source.name, counts)) as checkpoint,
            metrics.serve(counts, service.metrics_host, service.metrics_port),
            stop_on_signals(has_end=settings.source.once) as stop,
            closing(tailer_of(settings, checkpoint)) as tailer,
        ):
            counts.watch(tailer)
            counts.tailing(is_tailing=tailer.is_tailing)
            is_complete = publish(tailer, open_session, checkpoint, counts, stop, settings.disguise)
    except Unavailable as error:
        logger.error(  # noqa: TRY400 - the message says everything
            "Gave up: RabbitMQ refuses the account; the next start reads on where this one ended",
            extra={"error": str(error)},
        )
        return EX_NOPERM
    except (StateError, StateInUse, NoInput) as error:
        logger.error(str(error))  # noqa: TRY400 - the message says everything
        return {StateError: EX_DATAERR, StateInUse: EX_TEMPFAIL, NoInput: EX_NOINPUT}[type(error)]
    return stop.code if settings.source.once and not is_complete else 0


def set_back(arguments: argparse.Namespace, env: Environment) -> int:
    """Set the checkpoint back and print what will be read again; return the exit code."""
    settings = ProducerSettings.read(env, [], once=False)
    since = arguments.since.timestamp() if arguments.since else 0.0
    wanted = Wanted(arguments.stream, arguments.position, since, as_new=arguments.as_new_stream)
    folder, source = settings.state_dir, settings.source
    try:
        with closing(Checkpoint(folder, source.name, RaiseOnFailure())) as checkpoint:
            rewound = rewind(checkpoint.found, wanted, source.rotated_dir)
            checkpoint.save(rewound.state)
    except StateInUse:
        sys.stderr.write(
            f"{NAME}: the producer runs, with STATE_DIR {folder}: stop it, then type this again\n"
        )
        return EX_TEMPFAIL
    except (StateError, NotThere) as error:
        sys.stderr.write(f"{NAME}: {error}\n")
        return EX_DATAERR if isinstance(error, StateError) else EX_NOINPUT
    sys.stdout.writelines(f"{words}\n" for words in rewound.words)
    sys.stdout.write("Start the producer to read them: rows that are there stay as they are\n")
    return 0


def tailer_of(settings: ProducerSettings, checkpoint: Checkpoint) -> Tailer:
    """Return the tailer for the settings. Raises ConfigError if the checkpoint's format is none.

    With FORMAT=auto and no format in the checkpoint the tailer finds it; of several logs it finds
    that of each.
    """
    if settings.own:
        return Tailer(settings.patterns, settings.source, checkpoint.found, settings.own)
    source, state = settings.source, checkpoint.found
    is_named = source.format != AUTO
    if not is_named:
        source = replace(source, format=_known_format(settings, state) or AUTO)
    if is_named or (state.format and source.format == AUTO):
        # What is noted is not of these logs: nor is it after a stop before theirs is found.
        state = replace(state, format="")
    return Tailer(settings.patterns, source, state)


def _known_format(settings: ProducerSettings, state: State) -> str:
    """Return the format that the state notes, or that no FORMAT meant before; empty if none.

    Raises ConfigError.
    """
    if state.format is None and not settings.has_format:
        logger.info(
            "FORMAT is not set, and stays %s, as it was before this version; FORMAT=auto finds out",
            FORMER_FORMAT,
        )
        return FORMER_FORMAT
    if not state.format or state.patterns.isdisjoint(settings.patterns):
        return ""  # what is noted is of other logs
    logger.info("FORMAT=auto is %s, as was found before; FORMAT names another", state.format)
    return format_of(state.format, f"the format in STATE_DIR {settings.state_dir}")


def publish(
    tailer: Tailer,
    open_session: Callable[[], AbstractContextManager[Publisher]],
    checkpoint: Checkpoint,
    counts: metrics.ProducerMetrics,
    stop: Event,
    disguise: LineDisguise | None = None,
) -> bool:
    """Publish what the tailer reads, through outages, with metrics and progress.

    Returns whether everything was read and confirmed. Raises Unavailable where a tailer that reads
    once meets an account that stays refused.
    """
    is_complete = False
    refused_for = publishing.REFUSED_FOR if tailer.once else float("inf")
    with (
        closing(
            PatientPublisher(open_session, counts, stop, tailer.look, refused_for)
        ) as publisher,
        progress_of(tailer) as progress,
    ):

        def published(slice_: Slice | None) -> None:
            counts.alive()
            counts.tailing(is_tailing=tailer.is_tailing)
            if slice_ is not None:
                truncated = slice_.flags == TRUNCATED
                counts.published(slice_.lines, len(slice_.body), truncated=truncated)
                progress.add(slice_)

        try:
            is_complete = pipeline.run(tailer, publisher, checkpoint, published, stop, disguise)
        except Unavailable:
            if not stop.is_set():
                raise
            # Stopped during an outage: the slice in hand is read again at the next start.
            logger.info("Stopped while RabbitMQ was unavailable")
    if is_complete:
        logger.info("Read to the end, every line is confirmed", extra={"lines": counts.lines})
    else:
        logger.info("Stopped; the next start reads on where this one ended")
    return is_complete


class Progress:
    """Shows how much is published: on a bar, or without one in a log line now and then."""

    def __init__(self, bar: Any = None) -> None:  # noqa: ANN401 - tqdm ships no types
        self._bar = bar
        self._lines = 0
        self._told_at = time.monotonic()

    def add(self, slice_: Slice) -> None:
        """Count a slice."""
        self._lines += slice_.lines
        now = time.monotonic()
        if self._bar is not None:
            self._bar.set_postfix_str(how_many(self._lines, "line"), refresh=False)
            self._bar.update(slice_.end - slice_.position + (not slice_.flags))
        elif now - self._told_at >= TELL_EVERY:
            self._told_at = now
            logger.info("Publishing", extra={"lines": self._lines})


@contextmanager
def progress_of(tailer: Tailer) -> Iterator[Progress]:
    """Give a progress: with a bar when reading once, on a terminal."""
    if not (tailer.once and sys.stderr.isatty()):
        yield Progress()
        return
    from tqdm import tqdm  # few starts show a bar, and the others need not load it

    with tqdm(
        total=tailer.behind_bytes or None,
        unit="B",
        unit_scale=True,
        desc="Publishing",
        dynamic_ncols=True,
    ) as bar:
        yield Progress(bar)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command `producer`."""
    parser = parser_of(NAME, DESCRIPTION, EPILOG)
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="LOG",
        help="a log file or a pattern; default: LOG_PATH, else web-server-nginx.log",
    )
    parser.add_argument(
        "--once", action="store_true", help="read to the end, wait for every confirm, and exit"
    )
    add_config(parser)
    again = parser.add_argument_group("reading again, while no producer runs")
    again.add_argument(
        "--rewind", action="store_true", help="set the checkpoint back to the beginning, and exit"
    )
    again.add_argument(
        "--since", type=moment, metavar="TIME", help="only of files that have changed since"
    )
    again.add_argument("--stream", type=stream_number, metavar="ID", help="only of this stream")
    again.add_argument(
        "--position",
        type=whole_number(0),
        default=0,
        metavar="BYTE",
        help="of that stream from there on (default: 0)",
    )
    again.add_argument(
        "--as-new-stream", action="store_true", help="the file of that stream is another log"
    )
    return parser


def main() -> int:
    """Run the service on this process's settings and command line."""
    command = parser()
    arguments = command.parse_args()
    if arguments.stream is None and (arguments.position or arguments.as_new_stream):
        command.error("--position and --as-new-stream are of a --stream")
    if not arguments.rewind and (arguments.since or arguments.stream is not None):
        command.error("--since and --stream belong to --rewind")
    work = partial(set_back if arguments.rewind else run, arguments)
    return start(NAME, work, arguments.config)


if __name__ == "__main__":
    sys.exit(main())
