"""Follows a log with a live view, until Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from rich.console import Console
from rich.live import Live

from datastream.how_many import how_many
from datastream_operator.text import printable, size
from datastream_playground.demo.report import sql_command
from datastream_playground.demo.running import Pipeline
from datastream_playground.demo.services import Service
from datastream_playground.demo.subject import Subject
from datastream_playground.demo.view import View, Viewer, counted, drawn, misfit_in

#: Seconds between two views, and between two lines without a terminal.
VIEW_EVERY = 1.0
TELL_EVERY = 5.0
#: Seconds before a service that ended is restarted, and how many restarts each one gets.
RESTART_AFTER = 1.0
RESTARTS = 5
#: Exit codes after which a restart cannot help: a checkpoint or a setting is wrong.
HOPELESS = frozenset({65, 78})


def follow(pipeline: Pipeline, console: Console) -> None:
    """Follow the log until Ctrl-C, then print the totals.

    A service that ends is restarted. Raises ServiceFailed when restarts do not help.
    """
    log = pipeline.subject.log
    _say_where(pipeline, console)
    services = _Supervisor(pipeline, console)
    view = View()
    with closing(Viewer(pipeline)) as viewer:
        try:
            pipeline.producer.start([str(log)])
            with _shown(pipeline, console) as show:
                while True:
                    time.sleep(max(0.0, view.at + VIEW_EVERY - time.monotonic()))
                    services.restart_what_ended()
                    before, view = view, viewer.view()
                    show(view, before)
        except KeyboardInterrupt:
            # The viewer may have been interrupted in the middle of an answer.
            view = counted(pipeline)
    console.print(f"Stopped. In this run: {view}. The next one reads on from here.")


def _say_where(pipeline: Pipeline, console: Console) -> None:
    broker, subject = pipeline.broker, pipeline.subject
    console.print(f"Tables, in another terminal: {sql_command(pipeline.folder)}")
    console.print(
        f"Queues: {broker.management_url} (user {broker.user}, "
        f"password in {broker.folder / 'password'})"
    )
    console.print(f"Following {printable(str(subject.log))} as {subject.format}. Ctrl-C ends it.")


class _Supervisor:
    """Restarts services that ended by themselves."""

    def __init__(self, pipeline: Pipeline, console: Console) -> None:
        self._pipeline = pipeline
        self._console = console
        self._restarts = dict.fromkeys(pipeline.services, 0)
        self._ended_at: dict[Service, float] = {}

    def restart_what_ended(self) -> None:
        """Restart what has ended. Raises ServiceFailed for a service that restarts do not help."""
        for service in self._pipeline.services:
            if service.exit_code is None:
                continue
            now = time.monotonic()
            if service not in self._ended_at:
                self._ended_at[service] = now
                restarts = self._restarts[service]
                if restarts == RESTARTS or service.exit_code in HOPELESS:
                    raise service.failed(
                        f"ended, after {how_many(restarts, 'restart')}" if restarts else "ended"
                    )
                self._console.print(
                    f"{service.name} ended (exit code {service.exit_code}), starting it again; "
                    f"its log is {service.log}",
                    style="yellow",
                )
            elif now - self._ended_at[service] >= RESTART_AFTER:
                del self._ended_at[service]
                self._restarts[service] += 1
                is_producer = service is self._pipeline.producer
                service.start([str(self._pipeline.subject.log)] if is_producer else [])


@contextmanager
def _shown(pipeline: Pipeline, console: Console) -> Iterator[Callable[[View, View], None]]:
    """Give a function of a view and the one before: redraws a terminal, else prints a line."""
    if not console.is_terminal:
        yield _Telling(console, pipeline.subject)
        return
    hint = f"tables: {sql_command(pipeline.folder)}; queues: {pipeline.broker.management_url}"
    with Live(console=console, auto_refresh=False) as live:
        yield lambda view, before: live.update(
            drawn(view, before, pipeline.subject, hint), refresh=True
        )


class _Telling:
    def __init__(self, console: Console, subject: Subject) -> None:
        self._console = console
        self._subject = subject
        self._told = View()

    def __call__(self, view: View, _before: View) -> None:
        told, elapsed = self._told, view.at - self._told.at
        if told.at and elapsed < TELL_EVERY:
            return
        self._told = view
        # The first line has no rates.
        seconds = elapsed if told.at else float("inf")
        self._console.print(
            f"{view}; per second {(view.published - told.published) / seconds:,.0f} published, "
            f"{(view.raw - told.raw) / seconds:,.0f} kept raw, "
            f"{(view.parsed - told.parsed) / seconds:,.0f} parsed; "
            f"{size(view.behind_bytes)} behind"
        )
        if misfit := misfit_in(view, self._subject):
            self._console.print(printable(misfit), style="bold yellow")
