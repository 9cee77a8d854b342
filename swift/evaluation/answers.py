"""Answers of an engine to questions, with their scores, as lines of the file of predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from swift.chat.parse import parse_answer
from swift.engines.base import Engine
from swift.errors import RowError
from swift.evaluation.exact import likeliest
from swift.evaluation.item import Item
from swift.evaluation.metric import Metric
from swift.inference.results import message_json
from swift.types import Completion, Message, Request, Sampling, Scored

OnDone = Callable[[int], None]


def answered(
    engine: Engine, items: Sequence[Item], metric: Metric, rules: Sampling, on_done: OnDone
) -> list[dict[str, Any]]:
    """A line for each question, in order.

    Args:
        engine: What answers.
        items: What is asked.
        metric: How an answer is got and scored.
        rules: Sampling; the seed of each further answer to the same question is one higher.
        on_done: Called with how many are done.
    """
    if metric.way == "choose":
        return _chosen(engine, items, metric, on_done)
    requests = [Request(item.prompt, _seeded(rules, item.sample)) for item in items]
    answers = engine.generate(requests, on_done=lambda number, completion: on_done(1))
    on_done(sum(isinstance(answer, RowError) for answer in answers))
    return [_line(engine, item, answer, metric) for item, answer in zip(items, answers, strict=True)]


def _seeded(rules: Sampling, sample: int) -> Sampling:
    return rules if rules.seed is None else replace(rules, seed=rules.seed + sample)


def _line(engine: Engine, item: Item, answer: Completion | RowError, metric: Metric) -> dict[str, Any]:
    if isinstance(answer, RowError):
        return _failed(item, answer, metric)
    predicted = parse_answer(answer.text, engine.codec, item.prompt.tools)
    return {
        **item.line(),
        "prediction": message_json(predicted),
        "response": answer.text,
        "finish": answer.finish,
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.new_tokens,
        "scores": metric.score(predicted, item),
    }


def _failed(item: Item, error: RowError, metric: Metric) -> dict[str, Any]:
    line = {**item.line(), "error": str(error)}
    return line if metric.failed is None else {**line, "scores": metric.failed(item)}


def _chosen(engine: Engine, items: Sequence[Item], metric: Metric, on_done: OnDone) -> list[dict[str, Any]]:
    """The likelihood of each choice, instead of an answer."""
    samples = [
        replace(item.prompt, messages=(*item.prompt.messages, Message("assistant", choice)))
        for item in items
        for choice in item.choices
    ]
    scored = iter(engine.score(samples))
    lines = [_choice(item, [next(scored) for _ in item.choices], metric) for item in items]
    on_done(len(items))
    return lines


def _choice(item: Item, scored: Sequence[Scored | RowError], metric: Metric) -> dict[str, Any]:
    failed = next((found for found in scored if isinstance(found, RowError)), None)
    if failed is not None:
        return _failed(item, failed, metric)
    likely = [found for found in scored if isinstance(found, Scored)]
    reference = item.reference
    right = item.choices.index(reference.content if isinstance(reference, Message) else reference)
    whole, norm = likeliest(likely, item.choices)
    return {
        **item.line(),
        "choices": item.choices,
        "prediction": item.choices[whole],
        "logprobs": [found.logprob for found in likely],
        "scores": {"right": whole == right, "right_norm": norm == right, "choices": len(item.choices)},
    }
