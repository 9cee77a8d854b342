"""`swift eval`: predict turns of a data set, compare with what it says, and sum up."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from swift.config.runs import EvalConfig
from swift.data.plugins import load_plugins
from swift.data.progress import RowProgress, row_progress
from swift.engines.base import Engine
from swift.engines.folders import Plan
from swift.engines.open import opened, plan_of
from swift.evaluation.metrics import METRICS, Metric, Scores, Summary
from swift.evaluation.report import show
from swift.evaluation.turns import BAD, Turn, selected, turns_of
from swift.inference.answerers import sampling_of
from swift.inference.batch import answers_identity
from swift.inference.results import Results, open_results

PREDICTIONS, SUMMARY = "predictions.jsonl", "summary.json"
_WINDOW = 2
"""Turns generated together, in full batches: enough to sort by length, few enough to lose when killed."""


def evaluate(config: EvalConfig) -> Summary:
    """Judge a model by the assistant's turns of a data set, each predicted behind the true history.

    The output folder gets `predictions.jsonl`, a line a turn, and `summary.json`. A run that was stopped goes on
    where it was.

    Returns:
        The summary.

    Raises:
        SwiftError: A model, adapter, data set or option cannot be used.
    """
    load_plugins(config.plugins)
    plan = plan_of(config)
    selection = selected(config.data)
    metric = METRICS[config.metric]
    skipped = dict.fromkeys((BAD, *metric.filter.told), 0)
    turns = list(turns_of(selection, config.data, metric.filter, skipped))
    folder = Path(config.output_dir)
    path = folder / PREDICTIONS
    speed: dict[str, float] = {}
    with open_results(path, {**answers_identity(config, plan, selection), "metric": config.metric}) as results:
        if results.done:
            sys.stderr.write(f"{results.done} of {len(turns)} turns are predicted already\n")
        if results.done < len(turns):
            with _engine(config, plan) as engine:
                begun = time.monotonic()
                with row_progress("evaluating", total=len(turns), done=results.done, shown=True) as progress:
                    _predict(islice(turns, results.done, None), config, metric, engine, results, progress)
                speed = {"new_tokens": results.tokens, "seconds": time.monotonic() - begun}
    scores, failed = _scores(path)
    summary = metric.summarize(scores)
    values = {**asdict(summary), "failed": failed, "skipped": skipped, "metric": config.metric, **speed}
    (folder / SUMMARY).write_bytes(orjson.dumps(values, option=orjson.OPT_INDENT_2))
    show(metric, summary, skipped, failed, folder)
    return summary


@contextmanager
def _engine(config: EvalConfig, plan: Plan) -> Iterator[Engine]:
    with opened(config, plan) as engine:
        beside = f" + {', '.join(plan.adapters)}" if plan.adapters else ""
        sys.stderr.write(f"{plan.model.id or 'a model'}{beside}: {engine.description}\n")
        for note in engine.codec.notes:
            sys.stderr.write(f"note: {note}\n")
        yield engine


def _predict(
    turns: Iterator[Turn],
    config: EvalConfig,
    metric: Metric,
    engine: Engine,
    results: Results,
    progress: RowProgress,
) -> None:
    rules = sampling_of(config.generation, config.seed)
    while window := list(islice(turns, _WINDOW * config.max_batch_size)):
        for line in metric.predict(engine, window, rules, progress):
            results.write(line)


def _scores(path: Path) -> tuple[list[Scores], int]:
    """What the file of predictions says of each turn, and how many turns have no prediction."""
    lines: list[dict[str, Any]] = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    return [line["scores"] for line in lines if "scores" in line], sum("error" in line for line in lines)
