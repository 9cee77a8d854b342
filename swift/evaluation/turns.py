"""The turns that are predicted: each one of the assistant, behind the true history."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from swift.chat.tools.offer import names_of
from swift.config.data import DataConfig
from swift.data.columns import to_sample
from swift.data.rows import BadRow
from swift.data.select import Selection, select
from swift.errors import DataError, RowError
from swift.types import Conversation, Message, Text

SKIPPED = ("bad", "no tools", "unknown reference")
"""Why rows or turns are left out: a bad row; a row that offers no tools; a reference that calls one not offered."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn to be predicted.

    Attributes:
        prompt: What stands before it.
        reference: What the data set says.
        index: Which message of the row it is, from 0.
    """

    prompt: Conversation
    reference: Message
    index: int

    @property
    def offered(self) -> frozenset[str]:
        """Names of the functions that may be called."""
        return frozenset(names_of(self.prompt.tools))

    def key(self) -> dict[str, Any]:
        """What identifies it."""
        origin = self.prompt.origin
        return {"row": origin.index, "source": origin.source, "turn": self.index + 1}


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


def turns_of(selection: Selection, data: DataConfig, skipped: dict[str, int]) -> Iterator[Turn]:
    """All turns, in the order of the files; what is left out is counted in `skipped`, by the names of `SKIPPED`."""
    for number, source in enumerate(selection.sources):
        wanted = sorted(selection.validation[selection.validation[:, 0] == number, 1].tolist())
        numbers = frozenset(wanted)
        for place, row in enumerate(source.rows()):
            if place in numbers:
                yield from _of_row(row, data, skipped, times=wanted.count(place))


def _of_row(row: Any, data: DataConfig, skipped: dict[str, int], *, times: int) -> Iterator[Turn]:
    try:
        if isinstance(row, BadRow):
            raise RowError(row.reason, row.detail)
        sample = to_sample(row, data, "sft")
    except RowError:
        skipped["bad"] += times
        return
    if isinstance(sample, Text) or not sample.tools:
        skipped["no tools"] += times
        return
    offered = names_of(sample.tools)
    for index, message in enumerate(sample.messages):
        before = sample.messages[:index]
        if message.role != "assistant" or not any(earlier.role in ("user", "tool") for earlier in before):
            continue
        if any(call.name not in offered for call in message.tool_calls):
            skipped["unknown reference"] += times
            continue
        for _ in range(times):
            yield Turn(replace(sample, messages=before), message, index)
