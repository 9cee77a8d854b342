"""The turns that are predicted: each one of the assistant, behind the true history."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from swift.chat.tools.offer import names_of
from swift.config.data import DataConfig
from swift.data.columns import to_sample
from swift.data.rows import BadRow
from swift.data.select import Selection, select
from swift.data.source import rename
from swift.errors import DataError, RowError
from swift.types import Conversation, Message, Text

BAD = "bad"
"""Why a row is left out that could not be read as a conversation."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn to be predicted.

    Attributes:
        prompt: What stands before it.
        reference: What the data set says.
        index: Which message of the row it is, from 0.
        choices: Answers of which one is right, where the row has the column `choices`.
    """

    prompt: Conversation
    reference: Message
    index: int
    choices: tuple[str, ...] = ()

    @property
    def offered(self) -> frozenset[str]:
        """Names of the functions that may be called."""
        return frozenset(names_of(self.prompt.tools))

    def key(self) -> dict[str, Any]:
        """What identifies it."""
        origin = self.prompt.origin
        return {"row": origin.index, "source": origin.source, "turn": self.index + 1}


@dataclass(frozen=True, slots=True)
class Filter:
    """What a metric leaves out: functions that tell why, or say nothing.

    Attributes:
        row: Of a whole row.
        turn: Of one turn.
        told: Reason to what the user reads, behind a number.
    """

    row: Callable[[Conversation], str] = field(default=lambda sample: "")
    turn: Callable[[Turn], str] = field(default=lambda turn: "")
    told: Mapping[str, str] = field(default_factory=dict)


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


def turns_of(selection: Selection, data: DataConfig, wanted: Filter, skipped: dict[str, int]) -> Iterator[Turn]:
    """All turns, in the order of the files; what is left out is counted in `skipped`, by reason."""
    for number, source in enumerate(selection.sources):
        chosen = sorted(selection.validation[selection.validation[:, 0] == number, 1].tolist())
        numbers = frozenset(chosen)
        for place, row in enumerate(source.rows()):
            if place in numbers:
                yield from _of_row(row, data, wanted, skipped, times=chosen.count(place))


def _of_row(row: Any, data: DataConfig, wanted: Filter, skipped: dict[str, int], *, times: int) -> Iterator[Turn]:
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
    choices = _choices(rename(row.values, data.columns))
    for index, message in enumerate(sample.messages):
        before = sample.messages[:index]
        if message.role != "assistant" or not any(earlier.role in ("user", "tool") for earlier in before):
            continue
        turn = Turn(replace(sample, messages=before), message, index, choices)
        reason = wanted.turn(turn)
        if reason:
            skipped[reason] += times
            continue
        for _ in range(times):
            yield turn


def _choices(values: Mapping[str, Any]) -> tuple[str, ...]:
    found = values.get("choices")
    if isinstance(found, (list, tuple)) and all(isinstance(choice, str) for choice in found):
        return tuple(found)
    return ()
