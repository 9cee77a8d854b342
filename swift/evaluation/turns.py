"""The turns that are predicted: each one of the assistant, behind the true history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from swift.config.data import DataConfig
from swift.data.columns import to_sample
from swift.data.rows import BadRow
from swift.data.select import Selection, select
from swift.data.source import rename
from swift.errors import DataError, RowError
from swift.evaluation.item import Item
from swift.evaluation.metric import Filter
from swift.types import Conversation, Text

BAD = "bad"
"""Why a row is left out that could not be read as a conversation."""


def selected(data: DataConfig) -> Selection:
    """The rows to be judged by, as `validation`: those set aside (`split_ratio`) and those of `validation`; or else
    all of `train`.

    Raises:
        DataError: There is none.
    """
    found = select(data)
    if not data.validation and not data.split_ratio:
        found = replace(found, train=found.validation, validation=found.train)
    if not len(found.validation):
        raise DataError("no row is left to evaluate", hint="name more rows with --dataset or --val_dataset")
    return found


def turns_of(selection: Selection, data: DataConfig, wanted: Filter, skipped: dict[str, int]) -> Iterator[Item]:
    """All turns, in the order of the files; what is left out is counted in `skipped`, by reason.

    A turn that comes several times, as that of a file that is named twice, is asked as often.
    """
    times: Counter[str] = Counter()
    for number, source in enumerate(selection.sources):
        chosen = sorted(selection.validation[selection.validation[:, 0] == number, 1].tolist())
        numbers = frozenset(chosen)
        for place, row in enumerate(source.rows()):
            if place in numbers:
                for item in _of_row(row, data, wanted, skipped, times=chosen.count(place)):
                    yield replace(item, sample=times[item.id])
                    times[item.id] += 1


def _of_row(row: Any, data: DataConfig, wanted: Filter, skipped: dict[str, int], *, times: int) -> Iterator[Item]:
    try:
        if isinstance(row, BadRow):
            raise RowError(row.reason, row.detail)
        sample = to_sample(row, data, "sft")
        if isinstance(sample, Text):
            raise RowError(BAD, "plain text has no turns")
    except RowError:
        skipped[BAD] += times
        return
    reason = wanted.row(sample)
    if reason:
        skipped[reason] += times
        return
    values = rename(row.values, data.columns)
    choices, answers = _texts(values, "choices"), _texts(values, "answers")
    for index, message in enumerate(sample.messages):
        before = sample.messages[:index]
        if message.role != "assistant" or not any(earlier.role in ("user", "tool") for earlier in before):
            continue
        item = _item(sample, index, choices, answers)
        reason = wanted.turn(item)
        if reason:
            skipped[reason] += times
            continue
        for _ in range(times):
            yield item


def _item(sample: Conversation, index: int, choices: tuple[str, ...], answers: tuple[str, ...]) -> Item:
    origin = sample.origin
    row = f"{origin.source}:{origin.index}"
    return Item(
        id=f"{row}:{index + 1}",
        prompt=replace(sample, messages=sample.messages[:index]),
        reference=sample.messages[index],
        choices=choices,
        answers=answers,
        cluster=row,
        told={"row": origin.index, "source": origin.source, "turn": index + 1},
    )


def _texts(values: Mapping[str, Any], column: str) -> tuple[str, ...]:
    found = values.get(column)
    if isinstance(found, (list, tuple)) and all(isinstance(text, str) for text in found):
        return tuple(found)
    return ()
