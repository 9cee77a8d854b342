"""Answering a data set into a JSONL file: in order, resumable, in bounded memory; no row stops the others."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from swift.chat.codec import Codec
from swift.chat.grounding.write import ground
from swift.chat.parse import parse_answer
from swift.config.data import DataConfig
from swift.config.engine import ServedConfig, engine_identity
from swift.config.runs import EvalConfig, InferConfig
from swift.data.columns import to_sample
from swift.data.progress import RowProgress, row_progress
from swift.data.rows import BadRow
from swift.data.select import Selection, select
from swift.engines.base import Engine
from swift.engines.folders import Plan
from swift.engines.states import weights_key
from swift.errors import RowError
from swift.inference.answerers import Answerer, sampling_of
from swift.inference.found import draw_found, found_in, spots_json
from swift.inference.results import Results, calls_json, message_json, open_results
from swift.types import Completion, Conversation, Origin, Request, Row, Text

_WINDOW = 4
"""Rows generated together, in full batches: enough to sort by length, few enough to lose when killed."""

Ready = Callable[[], AbstractContextManager[tuple[Engine, tuple[Answerer, ...]]]]
"""Opens the engine; called when it is known that there is something to do."""


@dataclass(frozen=True, slots=True)
class Item:
    """One row to be answered, or the reason why it cannot be."""

    origin: Origin
    sample: Conversation | Text | RowError

    def key(self) -> dict[str, Any]:
        """What identifies the row in the result file."""
        return {"row": self.origin.index, "source": self.origin.source}

    def shown(self) -> dict[str, Any]:
        """The prompt and the reference answer, as the result file shows them."""
        if isinstance(self.sample, RowError):
            return {}
        if isinstance(self.sample, Text):
            return {"prompt": self.sample.text}
        messages = list(self.sample.messages)
        answers = []
        while messages and messages[-1].role == "assistant":
            answers.append(messages.pop())
        label = {"label": answers[-1].content} if answers else {}
        return {"messages": [message_json(message) for message in messages], **label}


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows that one process answers.

    Attributes:
        begin: The first one, from 0.
        end: The one behind the last.
        path: Its result file; None is the run's own.
        shown: Whether progress is shown.
    """

    begin: int
    end: int
    path: Path | None = None
    shown: bool = True

    @property
    def identity(self) -> dict[str, object]:
        """What tells its file from those of other stretches."""
        return {} if self.path is None else {"stretch": [self.begin, self.end]}


def selection_of(config: InferConfig) -> Selection:
    """The rows that are to be answered."""
    return select(config.data.model_copy(update={"train": (), "split_ratio": 0.0, "streaming": False}))


def answer_data(
    config: InferConfig,
    plan: Plan,
    ready: Ready,
    *,
    draw_folder: Path | None = None,
    stretch: Stretch | None = None,
) -> None:
    """Answer every row of `data.validation` into `result_path`.

    Args:
        draw_folder: Where pictures go when an answer names places in them; called by the line of the result file.
        stretch: The rows that are meant, where not all.

    Raises:
        DataError: The data, or the result file of an earlier run, cannot be used.
        SwiftError: The model cannot be loaded.
    """
    assert config.result_path is not None
    selection = selection_of(config)
    part = stretch or Stretch(0, len(selection.validation))
    total, path = part.end - part.begin, part.path or Path(config.result_path)
    with open_results(path, {**identity(config, plan, selection), **part.identity}) as results:
        items = islice(read_items(selection, config.data), part.begin + results.done, part.end)
        if results.done:
            sys.stderr.write(f"{results.done} of {total} rows are answered already\n")
        if results.done < total:
            with ready() as (engine, answerers):
                started = time.monotonic()
                with row_progress("answering", total=total, done=results.done, shown=part.shown) as progress:
                    _answer_windows(items, config, engine, answerers, results, progress, draw_folder, part.begin)
                speed = results.tokens / (time.monotonic() - started)
            sys.stderr.write(f"{results.tokens} new tokens, {speed:.1f} a second\n")
        failed = f", {results.failed} of this run without an answer" if results.failed else ""
        sys.stderr.write(f"{results.done} rows in {path}{failed}\n")


def identity(config: InferConfig, plan: Plan, selection: Selection) -> dict[str, Any]:
    """All that decides what the answers are: results are only added to those of the same identity."""
    return {**answers_identity(config, plan), **rows_identity(selection), "base_too": config.compare_base}


def rows_identity(selection: Selection) -> dict[str, Any]:
    """Which rows are asked: a hash of their content and numbers."""
    rows = hashlib.sha256(selection.validation.tobytes())
    for source in selection.sources:
        rows.update(source.fingerprint().encode())
    return {"rows": rows.hexdigest()}


def answers_identity(config: InferConfig | EvalConfig, plan: Plan) -> dict[str, Any]:
    """All that decides what a model and its adapters answer to given prompts."""
    return {
        "model": plan.model.model_dump(mode="json", exclude={"hub_token", "device", "device_map", "hub", "use_hf"}),
        "adapters": {name: str(path.resolve()) for name, path in plan.adapters.items()},
        "weights": _weights(config, plan),
        "merged": config.merge_lora,
        "chat": plan.chat.model_dump(mode="json"),
        "media": plan.media.model_dump(mode="json", exclude={"timeout", "cache_megabytes"}),
        "generation": config.generation.model_dump(mode="json", exclude={"stream"}),
        "engine": engine_identity(config.engine),
        "seed": config.seed,
        "columns": config.data.columns,
    }


def _weights(config: InferConfig | EvalConfig, plan: Plan) -> str | None:
    """What identifies the weights that are here; None where they are behind an address, or on a hub."""
    if isinstance(config.engine, ServedConfig) and config.engine.url is not None:
        return None
    model = [Path(plan.model.id).expanduser()] if plan.model.id else []
    return weights_key([place.resolve() for place in (*model, *plan.adapters.values())])


def read_items(selection: Selection, data: DataConfig) -> Iterator[Item]:
    """The rows to be answered, source by source in the order of the file; a row that was drawn twice comes twice."""
    return (_item(row, data) for row in read_rows(selection))


def read_rows(selection: Selection) -> Iterator[Row | BadRow]:
    """The rows of `read_items` as they are."""
    for number, source in enumerate(selection.sources):
        wanted = sorted(selection.validation[selection.validation[:, 0] == number, 1].tolist())
        place = 0
        for row, item in enumerate(source.rows()):
            while place < len(wanted) and wanted[place] == row:
                place += 1
                yield item
            if place == len(wanted):
                break


def _item(row: Row | BadRow, data: DataConfig) -> Item:
    if isinstance(row, BadRow):
        return Item(row.origin, RowError(row.reason, row.detail))
    try:
        return Item(row.origin, to_sample(row, data, "prompt"))
    except RowError as error:
        return Item(row.origin, error)


def _answer_windows(
    items: Iterator[Item],
    config: InferConfig,
    engine: Engine,
    answerers: Sequence[Answerer],
    results: Results,
    progress: RowProgress,
    draw_folder: Path | None,
    begin: int,
) -> None:
    while window := list(islice(items, _WINDOW * config.max_batch_size)):
        requests = _requests(window, answerers, config, begin + results.done)
        left = {place: len(answerers) for place, _ in requests}
        progress(len(window) - len(left))

        def on_done(number: int, _: Completion, left: dict[int, int] = left, asked: Any = requests) -> None:
            place = asked[number][0]
            left[place] -= 1
            if not left[place]:
                progress(1)

        answers = engine.generate([request for _, request in requests], on_done=on_done)
        by_row: dict[int, list[Completion | RowError]] = {}
        for (place, _), answer in zip(requests, answers, strict=True):
            by_row.setdefault(place, []).append(answer)
        for place, item in enumerate(window):
            drawing = None if draw_folder is None else draw_folder / f"{begin + results.done + 1:06d}.png"
            results.write(_line(item, by_row.get(place, []), answerers, engine.codec, drawing))
        progress(sum(count > 0 for count in left.values()))


def _requests(
    window: Sequence[Item], answerers: Sequence[Answerer], config: InferConfig, first: int
) -> list[tuple[int, Request]]:
    """(place in the window, request): one for every row and answerer; each row has a seed of its own."""
    rules = sampling_of(config.generation, config.seed)
    return [
        (place, answerer.request(item.sample, replace(rules, seed=config.seed + first + place)))
        for place, item in enumerate(window)
        if not isinstance(item.sample, RowError)
        for answerer in answerers
    ]


def _line(
    item: Item,
    answers: Sequence[Completion | RowError],
    answerers: Sequence[Answerer],
    codec: Codec,
    drawing: Path | None,
) -> dict[str, Any]:
    """One object of the result file.

    Args:
        drawing: Where the picture goes, with what the answer names drawn; several answerers get one each.
    """
    if isinstance(item.sample, RowError):
        return {**item.key(), "error": str(item.sample)}
    shown = replace(item, sample=_written_out(item.sample, codec)).shown()
    if len(answers) == 1:
        return {**item.key(), **shown, **_answer(answers[0], item.sample, codec, drawing)}
    named = {}
    for who, answer in zip(answerers, answers, strict=True):
        path = None if drawing is None else drawing.with_stem(f"{drawing.stem}-{who.name}")
        named[who.name] = _answer(answer, item.sample, codec, path)
    return {**item.key(), **shown, "responses": named}


def _written_out(sample: Conversation | Text, codec: Codec) -> Conversation | Text:
    """The sample with boxes as the model is shown them."""
    try:
        return sample if isinstance(sample, Text) else ground(sample, codec)
    except RowError:
        return sample  # its answer is this error


def _answer(
    answer: Completion | RowError, sample: Conversation | Text, codec: Codec, drawing: Path | None
) -> dict[str, Any]:
    if isinstance(answer, RowError):
        return {"error": str(answer)}
    spots = found_in(answer.text, sample, codec, cut=answer.finish == "length")
    if drawing is not None:
        draw_found(spots, sample, codec, drawing)
    calls = () if isinstance(sample, Text) else parse_answer(answer.text, codec, sample.tools).tool_calls
    return {
        "response": answer.text,
        **({"tool_calls": calls_json(calls)} if calls else {}),
        **({"objects": spots_json(spots)} if spots else {}),
        "finish": answer.finish,
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.new_tokens,
    }
