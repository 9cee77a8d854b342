"""`swift infer` with models that give vectors, labels and scores: rows in, numbers out, resumable."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from swift.config.data import DataConfig
from swift.config.runs import InferConfig
from swift.data.columns import to_sample
from swift.data.progress import RowProgress, row_progress
from swift.data.rows import BadRow
from swift.data.source import rename
from swift.engines.base import BASE
from swift.engines.encoding.engine import EncoderEngine
from swift.engines.encoding.load import Found, load_encoder
from swift.engines.folders import Plan
from swift.engines.lanes import Limits
from swift.errors import ConfigError, RowError
from swift.inference.batch import Stretch, answers_identity, read_rows, rows_identity, selection_of
from swift.inference.results import Results, message_json, open_results
from swift.types import Encodable, Encoded, EncodeRequest, Origin, Row, Task, Text, TextPair

_WINDOW = 16
"""Rows encoded together, in full batches: enough to sort by length, few enough to lose when killed."""


@dataclass(frozen=True, slots=True)
class Item:
    """One row.

    Attributes:
        origin: Where it came from.
        prompts: What the model is given: one for a text or chat, one for each document of a query.
        shown: The same as the result file shows it.
        error: Why it cannot be used; None where it can.
    """

    origin: Origin
    prompts: tuple[Encodable, ...] = ()
    shown: Mapping[str, Any] | None = None
    error: RowError | None = None


def encode_prompt(config: InferConfig, plan: Plan, found: Found) -> int:
    """Encode the one prompt that is given; returns the exit code: 1 where it could not be.

    Raises:
        SwiftError: A model, adapter, data set or option cannot be used.
    """
    if config.prompt is None:
        raise ConfigError(
            f"a model for the task {found.task} does not chat",
            hint="give --prompt TEXT, or --val_dataset FILE with --result_path FILE; or --task generate",
        )
    if found.task == "rerank":
        raise ConfigError("a reranker needs a query and documents", hint="give them as rows with --val_dataset")
    text = Text(config.prompt, Origin("--prompt", 1))
    engine = load(config, plan, found)
    (answer,) = _encoded(config, engine, [Item(text.origin, (text,), {})])
    sys.stdout.write(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY).decode() + "\n")
    return int("error" in answer)


def load(config: InferConfig, plan: Plan, found: Found) -> EncoderEngine:
    """The engine, announced on standard error."""
    limits = Limits(config.max_batch_tokens, config.max_batch_size)
    engine = load_encoder(plan, config.encoding, limits=limits, merge_lora=config.merge_lora, found=found)
    beside = f" + {', '.join(plan.adapters)}" if plan.adapters else ""
    sys.stderr.write(f"{plan.model.id}{beside}: {engine.description}\n")
    return engine


def encode_data(config: InferConfig, plan: Plan, found: Found, stretch: Stretch | None = None) -> None:
    """Encode every row of `data.validation` into `result_path`.

    Args:
        stretch: The rows that are meant, where not all.

    Raises:
        DataError: The data, or the result file of an earlier run, cannot be used.
        SwiftError: The model cannot be loaded, or fails.
    """
    assert config.result_path is not None
    if config.metric:
        raise ConfigError("--metric judges answers, and the model gives none", hint="take it out")
    selection = selection_of(config)
    part = stretch or Stretch(0, len(selection.validation))
    total, path = part.end - part.begin, part.path or Path(config.result_path)
    identity = {
        **answers_identity(config, plan),
        **rows_identity(selection),
        "base_too": config.compare_base,
        "encoding": {**config.encoding.model_dump(mode="json"), "task": found.task},
        "length": [config.truncate_prompt_tokens, config.dimensions],
        **part.identity,
    }
    with open_results(path, identity) as results:
        rows = islice(read_rows(selection), part.begin + results.done, part.end)
        if results.done:
            sys.stderr.write(f"{results.done} of {total} rows are encoded already\n")
        if results.done < total:
            engine = load(config, plan, found)
            items = (item_of(row, config.data, found.task) for row in rows)
            with row_progress("encoding", total=total, done=results.done, shown=part.shown) as progress:
                _encode_windows(items, config, engine, results, progress)
        failed = f", {results.failed} of this run without numbers" if results.failed else ""
        sys.stderr.write(f"{results.done} rows in {path}{failed}\n")


def item_of(row: Row | BadRow, data: DataConfig, task: Task) -> Item:
    """What a row gives the model; where it cannot be used, why."""
    if isinstance(row, BadRow):
        return Item(row.origin, error=RowError(row.reason, row.detail))
    try:
        return _ranked(row, data) if task == "rerank" else _single(row, data)
    except RowError as error:
        return Item(row.origin, error=error)


def _single(row: Row, data: DataConfig) -> Item:
    sample = to_sample(row, data, "prompt")
    if isinstance(sample, Text):
        return Item(row.origin, (sample,), {"prompt": sample.text})
    return Item(row.origin, (sample,), {"messages": [message_json(message) for message in sample.messages]})


def _ranked(row: Row, data: DataConfig) -> Item:
    """A query and its documents: columns `query` and `documents` (texts, or objects with `text`), or `document`."""
    values = rename(row.values, data.columns) if data.columns else row.values
    query, several = values.get("query"), values.get("documents")
    given = several if isinstance(several, list | tuple) else [values.get("document")]
    documents = [item.get("text") if isinstance(item, Mapping) else item for item in given]
    if not isinstance(query, str) or not documents or not all(isinstance(text, str) for text in documents):
        raise RowError(
            "no_pair", "a row to be ranked has the columns query (a text) and documents (texts), or query and document"
        )
    pairs = tuple(TextPair(query, str(text)) for text in documents)
    return Item(row.origin, pairs, {"query": query, "documents": documents})


def _encode_windows(
    items: Iterator[Item], config: InferConfig, engine: EncoderEngine, results: Results, progress: RowProgress
) -> None:
    while window := list(islice(items, _WINDOW * config.max_batch_size)):
        for line in _encoded(config, engine, window):
            results.write(line)
        progress(len(window))


def _encoded(config: InferConfig, engine: EncoderEngine, window: Sequence[Item]) -> list[dict[str, Any]]:
    """The line of each row."""
    names = [*engine.adapters, *([BASE] if config.compare_base and engine.adapters else [])] or [BASE]
    asked = [
        EncodeRequest(prompt, name, config.truncate_prompt_tokens, config.dimensions)
        for item in window
        for name in names
        for prompt in item.prompts
    ]
    found = iter(engine.encode(asked))
    lines = []
    for item in window:
        line: dict[str, Any] = {"row": item.origin.index, "source": item.origin.source, **(item.shown or {})}
        if item.error is not None:
            lines.append({**line, "error": str(item.error)})
            continue
        answers = {name: _answer(list(islice(found, len(item.prompts))), engine) for name in names}
        lines.append({**line, **answers[names[0]]} if len(names) == 1 else {**line, "responses": answers})
    return lines


def _answer(found: Sequence[Encoded | RowError], engine: EncoderEngine) -> dict[str, Any]:
    """What the result file tells of one row under one adapter. Documents stand or fall together."""
    done = [item for item in found if isinstance(item, Encoded)]
    if len(done) < len(found):
        return {"error": str(next(item for item in found if isinstance(item, RowError)))}
    ability = engine.ability
    tokens = {"prompt_tokens": sum(item.tokens for item in done)}
    if ability.task == "rerank":
        scores = [float(item.values[0]) for item in done]
        order = sorted(range(len(scores)), key=lambda place: -scores[place])
        return {"scores": scores, "ranking": order, **tokens}
    values = done[0].values
    if ability.task == "classify":
        probabilities = dict(zip(ability.labels, values.tolist(), strict=True))
        return {"predicted": ability.labels[int(values.argmax())], "probabilities": probabilities, **tokens}
    return {"reward": float(values[0]), **tokens} if ability.task == "reward" else {"embedding": values, **tokens}
