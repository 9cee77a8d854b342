"""A benchmark as a set of questions: rows drawn, solved examples put in front, answers counted out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from swift.config.generation import GenerationConfig
from swift.config.runs import EvalConfig
from swift.data.mix import generator
from swift.errors import ConfigError, DataError, RowError
from swift.evaluation.benchmarks.base import LEFT_OUT, Benchmark, Question, Rows
from swift.evaluation.benchmarks.metrics import benchmark_metric
from swift.evaluation.benchmarks.registry import Wish, benchmarks
from swift.evaluation.benchmarks.rows import find
from swift.evaluation.code.passing import limits_of
from swift.evaluation.item import Item
from swift.evaluation.metric import Metric
from swift.evaluation.task import Task
from swift.inference.answerers import sampling_of
from swift.types import Conversation, Message, Origin, Sampling

_DRAW, _SHOTS = range(2)
"""Purposes of random numbers."""


def asked(wish: Wish, config: EvalConfig) -> Task:
    """The set that a wish names.

    Raises:
        SwiftError: Its rows cannot be had, or options do not fit it.
    """
    benchmark = benchmarks.get(wish.name)
    options = config.benchmark
    if benchmark.runs_code and not options.run_code:
        raise ConfigError(
            f"--eval_dataset {wish.name} runs code that the model writes", hint="add --run_code true if you allow it"
        )
    metric_name, metric = benchmark_metric(benchmark, options)
    found = find(wish, benchmark)
    wanted = benchmark.shots if options.shots is None else options.shots
    questions, left_out = _questions(found.rows, benchmark)
    examples = None if found.shots is None else _questions(found.shots, benchmark)[0]
    order = generator(config.seed, _DRAW).permutation(len(questions)).tolist()
    if examples is None and wanted:
        _enough(len(questions) - 1, wanted, found.rows.name)
        examples, order = [questions[place] for place in order[:wanted]], order[wanted:]
    kept = sorted(order[: options.limit])
    names = _names(questions)
    items = [
        _item(
            replace(questions[place], id=names[place]),
            place,
            wish,
            config,
            _shots(questions[place], examples or [], wanted, config.seed),
        )
        for place in kept
    ]
    samples = options.samples if benchmark.runs_code else 1
    facts = {**found.facts, "prompt": benchmark.prompt, "shots": wanted, "rows": len(questions), "samples": samples}
    return Task(
        name=wish.label,
        metric_name=metric_name,
        metric=metric,
        items=[replace(item, sample=sample) for item in items for sample in range(samples)],
        folder=Path(config.output_dir) / wish.label,
        rules=_rules(config, benchmark, metric),
        identity={"prompt": f"{wish.name} {benchmark.prompt}", **(limits_of(options) if benchmark.runs_code else {})},
        skipped={LEFT_OUT: left_out},
        told={LEFT_OUT: "rows that cannot be judged here"},
        facts=facts,
    )


def _questions(rows: Rows, benchmark: Benchmark) -> tuple[list[Question], int]:
    """Every row as a question, and how many were left out because they cannot be judged here."""
    questions, left_out = [], 0
    for number, row in enumerate(rows.values, 1):
        try:
            questions.append(benchmark.ask(row))
        except RowError as error:
            if error.reason != LEFT_OUT:
                hint = "mend the row, or name another file"
                raise DataError(f"row {number} of {rows.name}: {error.detail or error.reason}", hint=hint) from error
            left_out += 1
    return questions, left_out


def _names(questions: Sequence[Question]) -> list[str]:
    """A name for each question: its id, or its number; with its number, where several rows have one id."""
    names = [question.id or str(number) for number, question in enumerate(questions, 1)]
    count = Counter(names)
    return [name if count[name] == 1 else f"{name} (row {number})" for number, name in enumerate(names, 1)]


def _shots(question: Question, examples: Sequence[Question], wanted: int, seed: int) -> list[Message]:
    """Solved examples as turns: of the same group where that has enough of them, always the same ones."""
    if not wanted:
        return []
    same = [example for example in examples if example.group == question.group]
    pool = same if len(same) >= wanted else list(examples)
    _enough(len(pool), wanted, "the examples")
    places = generator(seed, _SHOTS).permutation(len(pool))[:wanted].tolist()
    return [turn for place in places for turn in (*pool[place].messages, Message("assistant", pool[place].answer))]


def _enough(there: int, wanted: int, what: str) -> None:
    if there < wanted:
        raise DataError(f"--few_shot {wanted}: {what} leave only {max(0, there)}", hint="lower it")


def _item(question: Question, place: int, wish: Wish, config: EvalConfig, shots: Sequence[Message]) -> Item:
    messages = [*shots, *question.messages]
    if config.chat.system is not None and messages[0].role != "system":
        messages.insert(0, Message("system", config.chat.system))
    prompt = Conversation(tuple(messages), Origin(wish.name, place + 1), tools=question.tools)
    return Item(
        id=question.id,
        prompt=prompt,
        reference=question.reference,
        choices=question.choices,
        answers=question.answers,
        group=question.group,
    )


def _rules(config: EvalConfig, benchmark: Benchmark, metric: Metric) -> Sampling:
    """Sampling as the user says; the longest answer as the benchmark does, where the user says nothing."""
    longest: Any = GenerationConfig.model_fields["max_new_tokens"].default
    generation = config.generation
    if generation.max_new_tokens == longest:
        generation = generation.model_copy(update={"max_new_tokens": benchmark.max_new_tokens})
    return sampling_of(generation, config.seed)
