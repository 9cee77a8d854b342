"""The benchmarks that there are, on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from swift.evaluation.benchmarks.base import Benchmark, Hub, Package
from swift.evaluation.benchmarks.registry import benchmarks


def show_benchmarks() -> None:
    """Print a table of them."""
    table = Table(box=None, pad_edge=False)
    for title in ("name", "what", "from", "metric", "shots", "licence"):
        table.add_column(title, overflow="fold", no_wrap=title == "name")
    for name in benchmarks.names():
        found = benchmarks.get(name)
        table.add_row(name, found.about, _origin(found), found.metric, str(found.shots), found.licence)
    console = Console(highlight=False, markup=False)
    console.print(table)
    console.print("NAME:SUBSET,... asks parts of a set; NAME=FILE takes rows of yours in the same form.")


def _origin(benchmark: Benchmark) -> str:
    if isinstance(benchmark.origin, Package):
        return f"pypi:{benchmark.origin.requirement}"
    return f"hf:{benchmark.origin.id}" if isinstance(benchmark.origin, Hub) else "your file"
