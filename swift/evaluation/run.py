"""`swift eval`: predict every turn of tool conversations, compare, and sum up."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from swift.chat.codec import Codec
from swift.chat.parse import parse_answer
from swift.config.runs import EvalConfig
from swift.data.plugins import load_plugins
from swift.data.progress import RowProgress, row_progress
from swift.engines.folders import Plan, plan_model
from swift.engines.load import load_engine
from swift.engines.transformers import Limits, TransformersEngine
from swift.errors import RowError
from swift.evaluation.report import show
from swift.evaluation.toolbench import Summary, Verdict, judge, summarize
from swift.evaluation.turns import SKIPPED, Turn, selected, turns_of
from swift.inference.answerers import sampling_of
from swift.inference.batch import answers_identity
from swift.inference.results import Results, message_json, open_results
from swift.types import Completion, Request

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
    plan = plan_model(config.model, config.adapters, config.chat, config.media)
    selection = selected(config.data)
    skipped = dict.fromkeys(SKIPPED, 0)
    turns = list(turns_of(selection, config.data, skipped))
    folder = Path(config.output_dir)
    path = folder / PREDICTIONS
    with open_results(path, answers_identity(config, plan, selection)) as results:
        if results.done:
            sys.stderr.write(f"{results.done} of {len(turns)} turns are predicted already\n")
        if results.done < len(turns):
            engine = _engine(config, plan)
            with row_progress("evaluating", total=len(turns), done=results.done, shown=True) as progress:
                _predict(islice(turns, results.done, None), config, engine, results, progress)
    verdicts, failed = _verdicts(path)
    summary = summarize(verdicts)
    values = {**asdict(summary), "failed": failed, "skipped": skipped, "metric": config.metric}
    (folder / SUMMARY).write_bytes(orjson.dumps(values, option=orjson.OPT_INDENT_2))
    show(summary, skipped, failed, folder)
    return summary


def _engine(config: EvalConfig, plan: Plan) -> TransformersEngine:
    limits = Limits(tokens=config.max_batch_tokens, rows=config.max_batch_size)
    engine = load_engine(plan, limits=limits, merge_lora=config.merge_lora)
    beside = f" + {', '.join(plan.adapters)}" if plan.adapters else ""
    sys.stderr.write(f"{plan.model.id}{beside}: {engine.description}\n")
    for note in engine.codec.notes:
        sys.stderr.write(f"note: {note}\n")
    return engine


def _predict(
    turns: Iterator[Turn], config: EvalConfig, engine: TransformersEngine, results: Results, progress: RowProgress
) -> None:
    rules = sampling_of(config.generation, config.seed)
    while window := list(islice(turns, _WINDOW * config.max_batch_size)):
        answers = engine.generate(
            [Request(turn.prompt, rules) for turn in window], on_done=lambda number, completion: progress(1)
        )
        for turn, answer in zip(window, answers, strict=True):
            results.write(_line(turn, answer, engine.codec))
        progress(sum(isinstance(answer, RowError) for answer in answers))


def _line(turn: Turn, answer: Completion | RowError, codec: Codec) -> dict[str, Any]:
    """One object of the file of predictions."""
    told = {**turn.key(), "reference": message_json(turn.reference)}
    if isinstance(answer, RowError):
        return {**told, "error": str(answer)}
    predicted = parse_answer(answer.text, codec, turn.prompt.tools)
    return {
        **told,
        "prediction": message_json(predicted),
        "response": answer.text,
        "finish": answer.finish,
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": len(answer.token_ids),
        "scores": asdict(judge(predicted, turn.reference, turn.offered)),
    }


def _verdicts(path: Path) -> tuple[Sequence[Verdict], int]:
    """What the file of predictions says of each turn, and how many turns have no prediction."""
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    return [Verdict(**line["scores"]) for line in lines if "scores" in line], sum("error" in line for line in lines)
