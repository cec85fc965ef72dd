"""A bar on a terminal for what takes its time; nothing elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from datastream_operator.text import printable


@contextmanager
def bar(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """Give a function that is told how many of `total` bytes are done."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _done: None
        return
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task(printable(name), total=total)
        yield lambda done: progress.update(task, completed=min(done, total))
