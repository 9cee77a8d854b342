"""A summary on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from swift.evaluation.toolbench import Summary


def show(summary: Summary, skipped: Mapping[str, int], failed: int, folder: Path) -> None:
    """Print the metrics as a table, and what was left out."""
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False)
    for name in ("Plan.EM", "Act.EM", "Avg.F1", "Hallucination", "Rouge-L", "turns", "calls", "answers"):
        table.add_column(name, justify="right")
    shares = (summary.plan_em, summary.act_em, summary.f1, summary.hallucination, summary.rouge_l)
    counts = (summary.turns, summary.calls, summary.answers)
    table.add_row(*("-" if share is None else f"{share:.2f}" for share in shares), *(f"{count:,}" for count in counts))
    console.print(table)
    told = [
        f"{skipped['bad']:,} bad rows",
        f"{skipped['no tools']:,} rows without tools",
        f"{skipped['unknown reference']:,} turns whose reference calls what is not offered",
    ]
    left_out = [text for text, count in zip(told, skipped.values(), strict=True) if count]
    if left_out:
        console.print(f"left out: {', '.join(left_out)}")
    if failed:
        console.print(f"{failed:,} turns without a prediction; predictions.jsonl says why")
    console.print(f"{folder}: predictions.jsonl, summary.json")
