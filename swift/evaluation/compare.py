"""`swift eval --compare`: finished runs, question by question."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import combinations, groupby
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from swift.config.runs import EvalConfig
from swift.errors import DataError
from swift.evaluation.intervals import Estimate
from swift.evaluation.judging.pairs import judge_pairs
from swift.evaluation.matching import matched
from swift.evaluation.metric import FOREIGN, Metric, shares
from swift.evaluation.metrics import CHANCE, METRICS
from swift.evaluation.page import bars, rendered
from swift.evaluation.paired import Comparison, compared
from swift.evaluation.result import REPORT, SAMPLES, Line, Result, read_lines, read_summary, set_folders, values_of

FILE = "comparison.json"
_JUDGED = "judged better"


@dataclass(frozen=True, slots=True)
class Run:
    """A set of a finished run.

    Attributes:
        label: What the run is called in the table.
        result: Its summary.
        lines: Its answers.
    """

    label: str
    result: Result
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the comparison.

    Attributes:
        set: Name of the set.
        title: Of the measure.
        first: A run.
        second: Another.
        found: How they compare.
    """

    set: str
    title: str
    first: str
    second: str
    found: Comparison


def compare(config: EvalConfig) -> tuple[Row, ...]:
    """Compare runs by every measure of the sets that they have in common; with a judge, also their answers directly.

    The output folder gets `comparison.json` and `report.html`.

    Raises:
        DataError: A folder is of no finished run, or runs have no set, or no question, in common.
        SwiftError: The judge cannot be loaded.
    """
    runs = {label: _sets(Path(folder), label) for label, folder in _labels(config.compare).items()}
    names = [name for name in next(iter(runs.values())) if all(name in sets for sets in runs.values())]
    if not names:
        there = "; ".join(f"{label}: {', '.join(sets)}" for label, sets in runs.items())
        raise DataError(f"the runs have no set in common ({there})", hint="evaluate them with the same --eval_dataset")
    rows: list[Row] = []
    folder = Path(config.output_dir)
    judged = config.judge.model is not None or config.judge.url is not None
    for name in names:
        for one, other in map(partial(_same, name), combinations([sets[name] for sets in runs.values()], 2)):
            pair = _rows(name, one, other)
            if judged and _has_answers(one) and _has_answers(other):
                place = folder / f"judged-{name}-{one.label}-{other.label}"
                found = judge_pairs(config, one.lines, other.lines, place)
                pair.append(Row(name, _JUDGED, one.label, other.label, found))
            if not pair:
                raise _nothing(name, one, other)
            rows += pair
    if judged and not any(row.title == _JUDGED for row in rows):
        raise DataError("--judge: the runs have no generated answers", hint="compare without it")
    _write(folder, rows, runs, names)
    _show(rows, folder)
    return tuple(rows)


def _has_answers(run: Run) -> bool:
    return any("response" in line for line in run.lines)


def _labels(folders: Sequence[str]) -> dict[str, str]:
    """The shortest ends of the paths by which they differ."""
    for length in range(1, 1 + max(len(Path(folder).parts) for folder in folders)):
        labels = {"-".join(Path(folder).parts[-length:]): folder for folder in folders}
        if len(labels) == len(folders):
            return labels
    return {folder: folder for folder in folders}


def _sets(folder: Path, label: str) -> dict[str, Run]:
    found = {}
    for place in set_folders(folder):
        result = read_summary(place)
        found[result.name] = Run(label, result, tuple(read_lines(place / SAMPLES)))
    return found


def metric_of(result: Result) -> Metric:
    """The metric by which a set was judged.

    Raises:
        DataError: There is none of that name any more.
    """
    if result.metric == "code":
        from swift.evaluation.code.passing import measures

        ks = [int(name.removeprefix("pass@")) for name in result.scores]
        return Metric(measures(ks))
    if result.metric in ("bfcl", "ifeval"):
        from swift.evaluation.benchmarks.metrics import OWN

        return Metric(OWN[result.metric])
    if result.metric == "json" and "fits" in result.scores:
        from swift.evaluation.metrics import json_metric

        return json_metric(lambda value: True)
    if result.metric not in METRICS:
        raise DataError(f"the set {result.name} was judged by {result.metric!r}, which is not known", hint="judge anew")
    return METRICS[result.metric]


def _metric(run: Run) -> Metric:
    """The metric of a set; of another evaluator's, those of its scores that are shares.

    Raises:
        DataError: There is none.
    """
    if run.result.metric not in FOREIGN:
        return metric_of(run.result)
    found = shares(run.lines, list(run.result.scores))
    if not found.measures:
        why = f"{run.result.name} of {run.label} has no score of answers from 0 to 1"
        raise DataError(why, hint="compare sets that have one, such as accuracy")
    return found


def _rows(name: str, first: Run, second: Run) -> list[Row]:
    if first.result.metric != second.result.metric:
        raise DataError(
            f"{name} was judged by {first.result.metric} in {first.label}, by {second.result.metric} in {second.label}",
            hint="judge both by the same",
        )
    rows = []
    for measure in _metric(first).measures.values():
        if measure is CHANCE:
            continue
        found = compared(values_of(first.lines, measure), values_of(second.lines, measure), measure)
        if found is not None:
            rows.append(Row(name, measure.title, first.label, second.label, found))
    return rows


def _same(name: str, pair: tuple[Run, Run]) -> tuple[Run, Run]:
    """Two runs with lines of the same questions only, where their ids are the same; says how many are not.

    Raises:
        DataError: No question is the same, though ids are.
    """
    one, other = pair
    found = matched(one.lines, other.lines)
    if not found.others:
        return pair
    if not found.same:
        raise DataError(
            f"{one.label} and {other.label}: none of {found.others} questions of {name} with the same id is the same",
            hint="evaluate them with the same rows",
        )
    what = f"{found.others} questions of {name} have the same id and are not the same: they are left out"
    sys.stderr.write(f"note: {one.label} and {other.label}: {what}\n")
    return replace(one, lines=found.first), replace(other, lines=found.second)


def _nothing(name: str, first: Run, second: Run) -> DataError:
    """Why two runs have nothing to compare."""
    if {line["id"] for line in first.lines} & {line["id"] for line in second.lines}:
        return DataError(
            f"{first.label} and {second.label} have no score of the same question of {name}",
            hint="samples.jsonl says why they have none; --judge compares the answers themselves",
        )
    return DataError(
        f"{first.label} and {second.label} have no question of {name} in common",
        hint="evaluate them with the same rows and seed",
    )


def _write(folder: Path, rows: Sequence[Row], runs: Mapping[str, Mapping[str, Run]], names: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(orjson.dumps([asdict(row) for row in rows], option=orjson.OPT_INDENT_2))
    pictures = [(name, bars([(label, _first(sets[name])) for label, sets in runs.items()])) for name in names]
    page = rendered("comparison.html.j2", rows=[(row, _cells(row.found)) for row in rows], pictures=pictures)
    (folder / REPORT).write_text(page, encoding="utf-8")


def _first(run: Run) -> Estimate:
    return run.result.scores[next(iter(_metric(run).measures))]


def _cells(found: Comparison) -> tuple[str, ...]:
    interval = "" if found.low is None or found.high is None else f"{found.low:+.1f} to {found.high:+.1f}"
    p = "-" if found.p is None else ("< 0.001" if found.p < 0.001 else f"{found.p:.3f}")
    return (
        f"{found.first:.2f}", f"{found.second:.2f}", f"{found.difference:+.2f}", interval, p, found.test,
        f"{found.better} / {found.worse}", f"{found.count:,}",
    )  # fmt: skip


def _show(rows: Sequence[Row], folder: Path) -> None:
    console = Console(highlight=False)
    for (name, first, second), some in groupby(rows, key=lambda row: (row.set, row.first, row.second)):
        table = Table(box=None, pad_edge=False)
        table.add_column("", no_wrap=True)
        for title in ("A", "B", "B - A", "95 %", "p", "test", "+ / -", "of"):
            table.add_column(title, justify="right")
        for row in some:
            table.add_row(row.title, *_cells(row.found))
        console.print(f"{name}: A is {first}, B is {second}", markup=False)
        console.print(table)
    console.print(f"{folder}: {FILE}, {REPORT}", markup=False)
