"""The command `datastream dead-letters`: its arguments, output and exit code."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from contextlib import AbstractContextManager, closing
from datetime import datetime

from datastream.config import Environment, MysqlSettings, RabbitSettings
from datastream.how_many import how_many
from datastream.mysql import Session
from datastream.rabbitmq import Box
from datastream.topology import CLEAN_QUEUE, LAKE_QUEUE, dead_letter_queue
from datastream_operator.dead_letters.letters import Letter, as_it_was, letters_in
from datastream_operator.dead_letters.new_stream import send_as_new_streams
from datastream_operator.refused import EX_USAGE, Refused
from datastream_operator.text import printable, printable_bytes

EX_FAILED, EX_NOINPUT = 1, 66

DESCRIPTION = """\
Messages that could not be stored wait on the dead-letter queues, with a reason. Looking changes
nothing. `requeue` puts a message back into the queue that it came from, once the cause is fixed: it
is removed here only once that is confirmed, so it is never lost; lines that are already stored
change nothing. `requeue --as-new-stream` makes a log that was in conflict with another one a
stream of its own. `purge` removes messages permanently.

The account is OPERATOR_RABBIT_* (or RABBIT_*); for --as-new-stream also OPERATOR_MYSQL_*.
"""

EXIT_CODES = """\
exit codes: 0 done; 1 not all could be done, or it was not confirmed; 2 or 64 the command is wrong;
66 no dead letter has this ID; 69 the broker or the database is away; 78 a setting is wrong
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `datastream dead-letters`."""
    parser.description = DESCRIPTION
    parser.epilog = EXIT_CODES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    action = actions.add_parser("list", help="each message, and how many of each reason")
    action.set_defaults(run=show_list)

    action = actions.add_parser("show", help="the headers and the lines of a message")
    action.add_argument("id", metavar="ID", help="as `list` shows it")
    action.set_defaults(run=show)

    action = actions.add_parser("requeue", help="put messages back into the queue they came from")
    _add_choice(action)
    action.add_argument(
        "--as-new-stream",
        action="store_true",
        help="identity conflicts only: store the log that came second as a stream of its own",
    )
    action.set_defaults(run=requeue)

    action = actions.add_parser("purge", help="remove messages permanently")
    _add_choice(action)
    action.add_argument("--yes", action="store_true", help="do not ask")
    action.set_defaults(run=purge)


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ids", nargs="*", metavar="ID", help="as `list` shows it")
    parser.add_argument("--all", action="store_true", help="every message")


def show_list(_arguments: argparse.Namespace) -> int:
    """List every dead letter; return the exit code. Raises ConfigError, Unavailable."""
    with _opened() as box:
        for queue in (LAKE_QUEUE, CLEAN_QUEUE):
            reasons: Counter[str] = Counter()
            oldest: datetime | None = None
            for _, found in letters_in(box, queue):
                if not reasons:
                    _say(f"{'ID':<12}  {'SINCE (UTC)':<19}  {'REASON':<17}  WHAT")
                reasons[found.reason] += 1
                oldest = min(filter(None, (oldest, found.since)), default=None)
                _say(f"{found.id}  {_time(found.since)}  {found.reason:<17}  {_what(found)}")
            words = ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items()))
            since = f"; the oldest since {_time(oldest)}" if oldest else ""
            _say(f"{dead_letter_queue(queue)}: {words or 'empty'}{since}")
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Show one dead letter; return the exit code. Raises ConfigError, Unavailable."""
    with _opened() as box:
        shown = 0
        for _, found in letters_in(box):
            if found.id == arguments.id:
                shown += 1
                if shown == 1:
                    _show(found)
    if not shown:
        raise _unknown({arguments.id})
    if shown > 1:
        _say(f"There are {shown:,} equal messages")
    return 0


def requeue(arguments: argparse.Namespace) -> int:
    """Put dead letters back; return the exit code. Raises ConfigError, Unavailable, Refused."""
    with _opened() as box:
        chosen = _chosen(arguments, box)
        if arguments.as_new_stream:
            settings = MysqlSettings.read(Environment.load(), "OPERATOR")
            with closing(Session(settings, "datastream dead-letters")) as session:
                is_whole = send_as_new_streams(box, session, chosen, _say)
            return 0 if is_whole else EX_FAILED
        done: Counter[str] = Counter()
        for number, found in letters_in(box):
            if found.id in chosen:
                box.put(found.queue, as_it_was(found.message))
                box.remove(number)
                done[found.queue] += 1
    for queue, count in sorted(done.items()):
        _say(f"{count:,} put back into {queue}")
    return 0


def purge(arguments: argparse.Namespace) -> int:
    """Remove dead letters; return the exit code. Raises ConfigError, Unavailable, Refused."""
    with _opened() as box:
        chosen = _chosen(arguments, box)
        if chosen and not arguments.yes:
            sys.stdout.write(
                f"This removes {how_many(sum(chosen.values()), 'message')} permanently."
                " Type yes to go on: "
            )
            sys.stdout.flush()
            if sys.stdin.readline().strip() != "yes":
                raise Refused("nothing was removed", EX_FAILED)
        done = 0
        for number, found in letters_in(box):
            if found.id in chosen:
                box.remove(number)
                done += 1
    _say(f"{done:,} removed")
    return 0


def _opened() -> AbstractContextManager[Box]:
    return Box.open(RabbitSettings.read(Environment.load(), "OPERATOR"), "datastream dead-letters")


def _chosen(arguments: argparse.Namespace, box: Box) -> Counter[str]:
    """Return the IDs that were asked for, and how many messages have each. Raises Refused."""
    if arguments.all == bool(arguments.ids):
        raise Refused("say which messages: IDs, or --all", EX_USAGE)
    present = Counter(found.id for _, found in letters_in(box))
    if arguments.all:
        return present
    wanted = set(arguments.ids)
    if not wanted <= present.keys():
        raise _unknown(wanted - present.keys())
    return Counter({name: present[name] for name in wanted})


def _unknown(ids: set[str]) -> Refused:
    names = ", ".join(sorted(map(printable, ids)))
    return Refused(
        f"no dead letter has the ID {names}: see datastream dead-letters list", EX_NOINPUT
    )


def _time(when: datetime | None) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S}" if when else "unknown".ljust(19)


def _what(found: Letter) -> str:
    slice_ = found.slice
    if slice_ is None:
        return printable(f"{how_many(len(found.message.body), 'byte')}: {found.fault}")
    stream = slice_.stream
    return printable(
        f"stream {stream.stream_id:016x}, position {slice_.position:,}, "
        f"{how_many(slice_.lines, 'line')}, {stream.source} {stream.path}"
    )


def _show(found: Letter) -> None:
    _say(f"{found.id}: {found.reason}, from {found.queue}, since {_time(found.since).strip()}")
    if found.fault:
        _say(f"It is no slice: {printable(found.fault)}")
    for name, value in sorted(found.message.headers.items()):
        _say(f"  {printable(name)}: {printable(str(value))}")
    if found.slice is None:
        _say(
            f"  {how_many(len(found.message.body), 'byte')}: {printable_bytes(found.message.body)}"
        )
        return
    for offset, line in found.slice.numbered():
        _say(f"  byte {offset:,}: {printable_bytes(line)}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
