"""The table of all experiments, as CSV, Markdown and a page with plots."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from swift.comparing.plots import draw
from swift.comparing.result import Result
from swift.train.atomic import write_atomic


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        title: Its head.
        value: Its number in a row; None where it was not measured.
        form: How the number is shown.
    """

    title: str
    value: Callable[[Result], float | None]
    form: str


def columns(tasks: Sequence[str]) -> list[Column]:
    """All columns behind the name, in the order of showing."""
    fixed = [
        Column("trained, M", lambda row: None if row.trained is None else row.trained / 1e6, ",.3f"),
        Column("memory, GiB", lambda row: row.memory_gib, ".2f"),
        Column("train samples/s", lambda row: row.samples_per_second, ",.2f"),
        Column("train tokens/s", lambda row: row.tokens_per_second, ",.0f"),
        Column("infer tokens/s", lambda row: row.infer_tokens_per_second, ",.0f"),
        Column("train loss", lambda row: row.train_loss, ".4f"),
        Column("eval loss", lambda row: row.eval_loss, ".4f"),
    ]
    judged = [Column(f"{task}, %", lambda row, task=task: row.tasks.get(task), ".1f") for task in tasks]  # type: ignore[misc]
    return [*fixed, *judged, Column("time, s", lambda row: row.seconds, ",.0f")]


def write_tables(title: str, results: Sequence[Result], tasks: Sequence[str], folder: Path) -> None:
    """Write `table.csv`, `table.md`, `report.html` and the plots into `folder`."""
    shown = columns(tasks)
    plots = draw(results, tasks, folder / "plots")
    write_atomic(folder / "table.csv", _csv(results, shown).encode())
    write_atomic(folder / "table.md", markdown(results, shown).encode())
    write_atomic(folder / "report.html", _page(title, results, shown, plots).encode())


def _cells(row: Result, shown: Sequence[Column]) -> list[str]:
    values = [(column, column.value(row)) for column in shown]
    return [row.name, *("-" if value is None else format(value, column.form) for column, value in values)]


def _csv(results: Sequence[Result], shown: Sequence[Column]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["experiment", *(column.title for column in shown), "error"])
    for row in results:
        numbers = [column.value(row) for column in shown]
        writer.writerow([row.name, *("" if number is None else repr(number) for number in numbers), row.error])
    return out.getvalue()


def markdown(results: Sequence[Result], shown: Sequence[Column]) -> str:
    """The table; rows that failed say why below it."""
    lines = ["| experiment | " + " | ".join(column.title for column in shown) + " |"]
    lines.append("|---|" + "---:|" * len(shown))
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(row, shown)) + " |" for row in results]
    failed = [f"- {row.name} failed: {row.error}" for row in results if row.error]
    return "\n".join([*lines, *(["", *failed] if failed else [])]) + "\n"


_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;color:#1f2933;max-width:76rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "th,td{padding:.3rem .7rem;border-bottom:1px solid #e4e7eb;text-align:right}"
    "th:first-child,td:first-child{text-align:left}th{color:#52606d;font-weight:600}"
    ".failed{color:#b42318;text-align:left}svg{max-width:100%;height:auto}.scroll{overflow-x:auto}"
)


def _page(title: str, results: Sequence[Result], shown: Sequence[Column], plots: Sequence[Path]) -> str:
    head = "".join(f"<th>{html.escape(text)}</th>" for text in ["experiment", *(column.title for column in shown)])
    body = []
    for row in results:
        name, *cells = (html.escape(cell) for cell in _cells(row, shown))
        tail = "".join(f"<td>{cell}</td>" for cell in cells)
        if row.error:
            tail = f'<td class="failed" colspan="{len(shown)}">failed: {html.escape(row.error)}</td>'
        body.append(f"<tr><td>{name}</td>{tail}</tr>")
    # Without the XML declaration, which has no place in a page.
    pictures = "".join(f"<figure>{text[text.index('<svg') :]}</figure>" for text in (p.read_text() for p in plots))
    heading = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{heading}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{heading}</h1>"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'
        f"{pictures}</body></html>\n"
    )
