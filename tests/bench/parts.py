"""The parts of a line's way: the services' own code on one thread, each part on the clock."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from ipaddress import IPv4Address
from threading import Event
from typing import Any

from bench.clock import Clock, WatchedSession
from bench.corpus import SEED, Log
from bench.guarded import BATCH_SLICES, slices
from bench.servers import Servers
from bench.usage import Meter, of_processes
from clean_consumer.enrichment import Enrichment, enrichment
from clean_consumer.rows import parse
from clean_consumer.settings import EnrichmentSettings
from clean_consumer.store import Warehouse
from datastream.config import Environment, RabbitSettings
from datastream.consuming import Preparation
from datastream.parsing import Unparseable, parser_for
from datastream.rabbitmq import Publisher, Queue
from datastream.slices import Slice, decode
from datastream.topology import CLEAN_KEY, CLEAN_QUEUE, LAKE_KEY, LAKE_QUEUE, routing_key
from deployment import Deployment
from lake_consumer.store import Lake
from producer.settings import ProducerSettings
from producer.state import State
from producer.tailer import Tailer

READING = "reading, comparing what was read before, cutting"
PUBLISHING = "making messages, publishing on both keys, confirms"
RECEIVING = "receiving through pika, acknowledging"
DECODING = "decoding messages"
LAKE_ROWS = "splitting the lines, rows of them"
LINE = "a line to an event"
ROW = "an event to a row with its keys"
ENRICHMENT = "enrichment"
BETWEEN = "these three between two stored batches, more by"
BATCH = "batches in order, what became of them"
ENSURE = "streams, referrers, user agents: are they known?"
OWN_ADDRESSES = "parsing and enrichment, each line of another address"

#: Microseconds of CPU time a line, by part.
Costs = dict[str, float]


class Parts:
    """The code of the three services on one deployment; warm after a first round."""

    def __init__(self, deployment: Deployment, servers: Servers, log: Log) -> None:
        """Each round reads and stores all of the log, every time as another stream."""
        self._rabbit = deployment.rabbit
        self._log = log
        self._readers = {
            "broker": of_processes(lambda: servers.broker.pids),
            "database": servers.database.usage,
        }
        env = Environment(deployment.env())
        self._settings = ProducerSettings.read(env, [str(log.path)], once=True)
        self._enrichment = enrichment(EnrichmentSettings.read(env))
        self._sessions = {
            name: WatchedSession(deployment.mysql, "profile") for name in ("lake", "clean")
        }
        self._lake = Lake(self._sessions["lake"])
        self._warehouse = Warehouse(self._sessions["clean"], self._enrichment)
        _watch(self._sessions["lake"], self._lake._streams)
        for keeper in ("_streams", "_referrers", "_agents"):
            _watch(self._sessions["clean"], getattr(self._warehouse, keeper))

    def close(self) -> None:
        """End the sessions with the database."""
        for session in self._sessions.values():
            session.close()

    def round(self, turn: int) -> dict[str, Costs]:
        """Return what each part costs, by process."""
        # A session that has been idle for long is opened anew: not within what is counted.
        self._lake.check()
        self._warehouse.check()
        sent = [decode(*message) for message in slices(self._log.path, turn)]
        clocks = {name: Clock() for name in ("producer", "lake", "clean")}
        for name, session in self._sessions.items():
            session.clock = clocks[name]
        servers: dict[str, Costs] = {"broker": {}, "database": {}}
        read(self._settings, clocks["producer"])
        with self._used(servers, "broker", "a line into both queues"):
            publish(self._rabbit, sent, clocks["producer"])
        with self._used(servers, "broker", "a line out of both queues"):
            for queue, name in ((LAKE_QUEUE, "lake"), (CLEAN_QUEUE, "clean")):
                take(self._rabbit, queue, len(sent), clocks[name])
        with self._used(servers, "database", "a raw row by INSERT"):
            for batch in _batches(sent):
                with clocks["lake"].part(LAKE_ROWS):
                    self._lake.store(batch)
        parse_alone(sent, self._enrichment, clocks["clean"])
        with self._used(servers, "database", "a parsed row by INSERT"):
            for batch in _batches(sent):
                with clocks["clean"].part(BETWEEN):
                    parsed = [parse(slice_, self._enrichment) for slice_ in batch]
                with clocks["clean"].part(BATCH):
                    self._warehouse.store(parsed)
        return {
            name: {part: seconds / self._log.lines * 1e6 for part, seconds in clock.seconds.items()}
            for name, clock in clocks.items()
        } | servers

    @contextmanager
    def _used(self, servers: dict[str, Costs], server: str, part: str) -> Iterator[None]:
        """Count what a server uses during the block."""
        meter = Meter({server: self._readers[server]})
        yield
        servers[server][part] = meter.cpu_us(self._log.lines)[server]


def _watch(session: WatchedSession, keeper: Any) -> None:  # noqa: ANN401 - any that has ensure()
    """Make what a keeper of texts or streams does a part, its statements included."""
    ensure = keeper.ensure

    def watched(new: Any) -> None:  # noqa: ANN401 - what the keeper takes
        with session.clock.part(ENSURE, whole=True):
            ensure(new)

    keeper.ensure = watched


def _batches(slices: Sequence[Slice]) -> Iterator[list[Slice]]:
    for start in range(0, len(slices), BATCH_SLICES):
        yield list(slices[start : start + BATCH_SLICES])


def read(settings: ProducerSettings, clock: Clock) -> None:
    """Read a log to its end, as the producer does, as if each slice were confirmed at once."""
    tailing = closing(Tailer(settings.patterns, settings.source, State()))
    with tailing as tailer, clock.part(READING):
        for _ in tailer.slices():
            tailer.confirm()


def publish(rabbit: RabbitSettings, slices: Iterable[Slice], clock: Clock) -> None:
    """Publish slices on both keys, each with its confirm."""
    with Publisher.open(rabbit) as publisher, clock.part(PUBLISHING):
        for slice_ in slices:
            for side in (LAKE_KEY, CLEAN_KEY):
                publisher.publish(routing_key(side, slice_.stream.source), slice_)


AS_IT_IS: Preparation[Slice] = Preparation(lambda slice_: slice_)


def take(rabbit: RabbitSettings, queue: str, count: int, clock: Clock) -> None:
    """Take so many messages out of a queue and acknowledge them, a batch's at once."""
    with Queue.open(rabbit, queue, AS_IT_IS) as session, clock.part(RECEIVING):
        taken, held = [], []
        for arrived in session.batches(Event()):
            taken += arrived
            held += arrived
            if len(held) >= BATCH_SLICES or len(taken) == count:
                session.ack(held)
                held = []
            if len(taken) == count:
                break
    # What decode() takes of it, alone and once more.
    with clock.part(DECODING):
        for delivery in taken:
            decode(delivery.message.headers, delivery.message.body)


def parse_alone(slices: Sequence[Slice], added: Enrichment, clock: Clock) -> None:
    """Parse lines to events; to rows, nothing added; enriched; and each with another address."""
    parse_line = parser_for(slices[0].stream.format)
    with clock.part(LINE):
        for slice_ in slices:
            for line in slice_.body.split(b"\n"):
                with suppress(Unparseable):
                    parse_line(line)
    for slice_ in slices:
        with clock.part(ROW):
            parse(slice_)
    for slice_ in slices:
        with clock.part(ENRICHMENT):
            parse(slice_, added)
    for slice_ in elsewhere(slices):
        with clock.part(OWN_ADDRESSES):
            parse(slice_, added)


def elsewhere(slices: Iterable[Slice]) -> Iterator[Slice]:
    """Yield the slices with another public address in each line, the same ones in every run."""
    chance = random.Random(SEED)  # noqa: S311 - the same addresses in every run
    for slice_ in slices:
        lines = [line.partition(b" ")[2] for line in slice_.body.split(b"\n")]
        body = b"\n".join(b"%s %s" % (_address(chance), line) for line in lines)
        yield replace(slice_, body=body)


def _address(chance: random.Random) -> bytes:
    while not (address := IPv4Address(chance.getrandbits(32))).is_global or address.is_multicast:
        continue
    return str(address).encode()
