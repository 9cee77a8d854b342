"""A progress bar of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

RowProgress = Callable[[int], None]
"""Called with a number of further rows that are done."""


@contextmanager
def row_progress(title: str, *, total: int, done: int = 0, shown: bool) -> Iterator[RowProgress]:
    """Show a bar on standard error while the block runs.

    Args:
        title: What is being done.
        total: Rows in all.
        done: Rows that were done before.
        shown: False shows nothing.
    """
    if not shown:
        yield lambda rows: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

    columns: list[ProgressColumn] = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total, completed=done)
        yield lambda rows: progress.advance(task, rows)
