"""A result on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from swift.evaluation.intervals import Estimate
from swift.evaluation.result import Result
from swift.evaluation.task import Task


def show(task: Task, result: Result) -> None:
    """Print the result of a set as a table, and what was left out."""
    console = Console(highlight=False)
    console.print(_table(task, result))
    left_out = [f"{count:,} {task.told[reason]}" for reason, count in result.skipped.items() if count]
    if left_out:
        console.print(f"left out: {', '.join(left_out)}")
    if result.failed:
        console.print(_failed(task, result))
    console.print(f"{task.folder}: samples.jsonl, summary.json")


def _failed(task: Task, result: Result) -> str:
    """What became of turns that have no score, and where it says why."""
    if task.metric.judged:
        alone = all(estimate.count == 0 for estimate in result.scores.values())
        way_out = "; take another judge" if alone else ""
        return f"{result.failed:,} turns without a grade; samples.jsonl says why, with the judge's words{way_out}"
    how = "that count as wrong" if task.metric.failed is not None else "without a prediction"
    return f"{result.failed:,} turns {how}; predictions.jsonl says why"


def _table(task: Task, result: Result) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(task.name, no_wrap=True)
    table.add_column("", justify="right")
    table.add_column("95 %", justify="right")
    table.add_column("of", justify="right")
    for name, measure in task.metric.measures.items():
        table.add_row(measure.title, *cells(result.scores[name]))
    first = next(iter(task.metric.measures))
    for group, scores in result.groups.items():
        table.add_row(f"  {group}", *cells(scores[first]))
    return table


def cells(estimate: Estimate) -> tuple[str, str, str]:
    """A value, its interval and of how many answers it is, as texts."""
    value = "-" if estimate.value is None else f"{estimate.value:.2f}"
    interval = "" if estimate.low is None or estimate.high is None else f"{estimate.low:.1f} to {estimate.high:.1f}"
    return value, interval, f"{estimate.count:,}"
