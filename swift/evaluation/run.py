"""`swift eval`: ask, compare answers with what is right, and sum up."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from swift.config.engine import engine_identity
from swift.config.runs import EvalConfig
from swift.data.plugins import load_plugins
from swift.data.progress import row_progress
from swift.engines.base import Engine
from swift.engines.folders import Plan
from swift.engines.open import opened, plan_of
from swift.errors import ConfigError
from swift.evaluation.answers import answered
from swift.evaluation.item import Item
from swift.evaluation.judging.grades import graded
from swift.evaluation.page import write_page
from swift.evaluation.report import show
from swift.evaluation.result import PREDICTIONS, Result, read_lines, summed, write_result
from swift.evaluation.task import Task
from swift.evaluation.tasks import tasks_of
from swift.inference.batch import answers_identity
from swift.inference.results import Results, open_results

_WINDOW = 2
"""Questions answered together, in full batches: enough to sort by length, few enough to lose when killed."""


def evaluate(config: EvalConfig) -> tuple[Result, ...]:
    """Judge a model by rows or by benchmarks.

    The output folder gets `predictions.jsonl`, a line an answer, `samples.jsonl` and `summary.json`, with benchmarks in
    a folder for each; and `report.html`. A run that was stopped goes on where it was; answers that are there are used
    again.

    Returns:
        The result of each set.

    Raises:
        SwiftError: A model, adapter, data set or option cannot be used.
    """
    if config.eval_backend == "lm_eval":
        from swift.evaluation.harness.run import evaluate_tasks

        return evaluate_tasks(config)
    if config.eval_backend == "evalscope":
        from swift.evaluation.scope.run import evaluate_sets

        return evaluate_sets(config)
    load_plugins(config.plugins)
    plan = plan_of(config)
    tasks = tasks_of(config)
    asking = _Asking(config, plan)
    with asking:
        speeds = [asking.predict(task) for task in tasks]
    results, samples = [], []
    for task, speed in zip(tasks, speeds, strict=True):
        lines = graded(config, task, _lines(task)) if task.metric.judged else _lines(task)
        facts = {**task.facts, "model": model_name(plan), "engine": engine_identity(config.engine), **speed}
        result = summed(task.name, task.metric_name, task.metric, lines, task.skipped, facts)
        write_result(result, lines, task.folder)
        show(task, result)
        results.append(result)
        samples.append(lines)
    write_page(tasks, results, samples, Path(config.output_dir))
    return tuple(results)


def model_name(plan: Plan) -> str:
    """What answers, in words."""
    return " + ".join([plan.model.id or "a model", *map(str, plan.adapters.values())])


class _Asking:
    """The model, opened when the first question needs it, and closed at the end."""

    def __init__(self, config: EvalConfig, plan: Plan) -> None:
        self._config, self._plan = config, plan
        self._stack = ExitStack()
        self._engine: Engine | None = None

    def __enter__(self) -> None:
        self._stack.__enter__()

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(None, None, None)

    def predict(self, task: Task) -> dict[str, Any]:
        """Answer what has no answer yet; returns new tokens and seconds, where any were spent."""
        with _opened(task, self._config, self._plan) as (results, missing):
            if len(missing) < len(task.items):
                known = len(task.items) - len(missing)
                sys.stderr.write(f"{task.name}: {known} of {len(task.items)} answers are there already\n")
            if not missing:
                return {}
            engine = self._open()
            begun = time.monotonic()
            with row_progress(task.name, total=len(task.items), done=len(task.items) - len(missing), shown=True) as on:
                left = iter(missing)
                while window := list(islice(left, _WINDOW * self._config.max_batch_size)):
                    for line in answered(engine, window, task.metric, task.rules, on):
                        results.write(line)
            return {"new_tokens": results.tokens, "seconds": time.monotonic() - begun}

    def _open(self) -> Engine:
        if self._engine is None:
            plan = self._plan
            self._engine = self._stack.enter_context(opened(self._config, plan))
            beside = f" + {', '.join(plan.adapters)}" if plan.adapters else ""
            sys.stderr.write(f"{plan.model.id or 'a model'}{beside}: {self._engine.description}\n")
            for note in self._engine.codec.notes:
                sys.stderr.write(f"note: {note}\n")
        return self._engine


@contextmanager
def _opened(task: Task, config: EvalConfig, plan: Plan) -> Iterator[tuple[Results, list[Item]]]:
    """The set's file of predictions, and the questions that have no answer in it."""
    path = task.folder / PREDICTIONS
    identity = {**answers_identity(config, plan), **task.identity, "metric": task.metric_name}
    try:
        task.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--output_dir {task.folder}: {error.strerror}", hint="name another folder") from error
    with open_results(path, identity, "output_dir") as results:
        known = {line["key"] for line in read_lines(path)}
        yield results, [item for item in task.items if item.key() not in known]


def _lines(task: Task) -> list[dict[str, Any]]:
    """The predictions of the set's questions, in their order."""
    known = {line["key"]: line for line in read_lines(task.folder / PREDICTIONS)}
    return [known[item.key()] for item in task.items]
