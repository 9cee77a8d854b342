"""Questions at each evaluation: asked of the model that is being trained, by the engine that will answer later."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from swift.chat.codec import Codec
from swift.config.chat import ChatConfig
from swift.config.data import DataConfig
from swift.config.generation import GenerationConfig
from swift.config.runs import EvalConfig
from swift.config.sft import SftConfig
from swift.engines.lanes import Limits
from swift.engines.transformers import TransformersEngine
from swift.errors import ResourceError
from swift.evaluation.answers import answered
from swift.evaluation.result import Result, summed, write_result
from swift.evaluation.task import Task
from swift.evaluation.tasks import tasks_of
from swift.models.isolation import usual_attention
from swift.train.events import Asking
from swift.train.rng import apart
from swift.train.run import Run

FOLDER = "evaluations"
"""Within the run folder: a folder for each step at which was asked."""

_WINDOW = 4
"""Batches of questions that the engine gets at once: enough to sort by length."""


@dataclass(frozen=True, slots=True)
class Questions:
    """What is asked, and of whom.

    Attributes:
        tasks: The sets.
        model: The model in training, its adapter attached.
        attention: Name of the attention that engines use.
        codec: Its text side.
        chat: How inference will render.
        limits: How much is answered at once.
    """

    tasks: Sequence[Task]
    model: PreTrainedModel
    attention: str
    codec: Codec
    chat: ChatConfig
    limits: Limits


def read_questions(config: SftConfig) -> tuple[Task, ...]:
    """The sets that a run asks, in the same way as `swift eval` would.

    Raises:
        SwiftError: A set or a metric cannot be used.
    """
    return tuple(task for asked in _as_eval(config) for task in tasks_of(asked))


def measures_of(tasks: Sequence[Task]) -> dict[str, bool]:
    """What questions will measure, by the name in an evaluation's values, and whether more of it is better."""
    return {
        _name(task, name): not measure.lower
        for task in tasks
        for name, measure in task.metric.measures.items()
        if name != "chance"
    }


def ask(run: Run) -> dict[str, float]:
    """Ask everything, each process its share; what it adds up to is the same in all of them.

    The first process leaves answers with their scores, and what they add up to, in the run folder. Neither the weights
    nor the random numbers of the run change.

    Returns:
        Each measure, in percent, and the seconds that it took.

    Raises:
        ResourceError: There is not enough memory.
    """
    questions = run.questions
    assert questions is not None
    started = time.perf_counter()
    values: dict[str, float] = {}
    with (
        run.optimizer.averaged(),
        apart(run.config.loop.seed, run.state.step),
        usual_attention(questions.model, questions.attention),
    ):
        # A new one each time: what it keeps of prompts was computed with other weights.
        engine = TransformersEngine(questions.model, questions.codec, questions.chat, limits=questions.limits)
        try:
            for task in questions.tasks:
                values |= _values(task, _asked(run, engine, task))
        except ResourceError as error:
            raise ResourceError(str(error), hint="lower --eval_max_batch_tokens or --eval_max_batch_size") from error
        finally:
            run.policy.model.train()
    return {**values, "eval_questions_seconds": time.perf_counter() - started}


def _asked(run: Run, engine: TransformersEngine, task: Task) -> Result:
    mine = range(run.parallel.rank, len(task.items), run.parallel.size)
    done = 0

    def on_done(count: int) -> None:
        nonlocal done
        done += count
        run.notify(Asking(run.state, task.name, done, len(mine)))

    lines = []
    assert run.questions is not None
    for window in _windows([task.items[place] for place in mine], _WINDOW * run.questions.limits.rows):
        lines += answered(engine, window, task.metric, task.rules, on_done)
    by_place = {
        rank + place * run.parallel.size: line
        for rank, theirs in enumerate(run.parallel.gather(lines))
        for place, line in enumerate(theirs)
    }
    ordered = [by_place[place] for place in sorted(by_place)]
    result = summed(task.name, task.metric_name, task.metric, ordered, task.skipped, task.facts)
    if run.parallel.main:
        folder = run.folder / FOLDER / f"step-{run.state.step}" / task.name
        folder.mkdir(parents=True, exist_ok=True)
        write_result(result, ordered, folder)
    return result


def _windows(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    left = iter(items)
    while window := list(islice(left, size)):
        yield window


def _values(task: Task, result: Result) -> dict[str, float]:
    found = {name: estimate.value for name, estimate in result.scores.items() if name != "chance"}
    return {_name(task, name): float("nan") if value is None else value for name, value in found.items()}


def _name(task: Task, measure: str) -> str:
    return f"eval_{task.name}_{measure}"


def _as_eval(config: SftConfig) -> Iterator[EvalConfig]:
    """The commands `swift eval` that ask the same."""
    evaluation = config.evaluation
    generation = GenerationConfig()
    if evaluation.max_new_tokens is not None:
        generation = GenerationConfig(max_new_tokens=evaluation.max_new_tokens)
    common = EvalConfig(
        model=config.model,
        media=config.media,
        chat=config.chat,
        benchmark=config.benchmark,
        generation=generation,
        output_dir=str(Path(config.output_dir) / FOLDER),
        seed=config.loop.seed,
    )
    if config.benchmark.sets:
        yield common
    if evaluation.rows_metric is not None:
        rows = config.benchmark.model_copy(update={"sets": ()})
        yield common.model_copy(
            update={"benchmark": rows, "metric": evaluation.rows_metric, "data": _validation(config.data)}
        )


def _validation(data: DataConfig) -> DataConfig:
    """The validation rows, without reading those of training where they are others."""
    whole = data.model_copy(update={"streaming": False})
    return whole if data.split_ratio else whole.model_copy(update={"train": ()})
