"""A summary on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from swift.evaluation.metrics import Metric, Summary
from swift.evaluation.turns import BAD


def show(metric: Metric, summary: Summary, skipped: Mapping[str, int], failed: int, folder: Path) -> None:
    """Print the summary as a table, and what was left out."""
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False)
    for title in metric.titles.values():
        table.add_column(title, justify="right")
    values = asdict(summary)
    table.add_row(*(_shown(values[name]) for name in metric.titles))
    console.print(table)
    told = {BAD: "bad rows", **metric.filter.told}
    left_out = [f"{count:,} {told[reason]}" for reason, count in skipped.items() if count]
    if left_out:
        console.print(f"left out: {', '.join(left_out)}")
    if failed:
        console.print(f"{failed:,} turns without a prediction; predictions.jsonl says why")
    console.print(f"{folder}: predictions.jsonl, summary.json")


def _shown(value: float | int | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.2f}"
