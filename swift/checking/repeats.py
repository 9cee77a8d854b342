"""Rows that say the same: within the training rows, and between training and validation."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import orjson
import xxhash
from numpy.typing import NDArray

from swift.data.deduplicate import row_hash
from swift.types import Conversation, Message, Origin, Row, Text

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Repeats:
    """Rows that repeat another.

    Attributes:
        rows: How many.
        examples: The first of them, a line each, naming what it repeats.
    """

    rows: int
    examples: tuple[str, ...]


def _numbers() -> array[int]:
    return array("Q")


@dataclass(slots=True)
class Sayings:
    """64-bit hashes of what rows say; 41 bytes a row. Rows are added in order."""

    names: Sequence[str]
    _raw: array[int] = field(default_factory=_numbers)
    _said: array[int] = field(default_factory=_numbers)
    _asked: array[int] = field(default_factory=_numbers)
    _sources: array[int] = field(default_factory=_numbers)
    _indices: array[int] = field(default_factory=_numbers)
    _train: bytearray = field(default_factory=bytearray)

    def add(self, source: int, row: Row, sample: Conversation | Text, *, train: bool) -> None:
        """Remember a row that is trained on, or else validated with."""
        self._raw.append(int.from_bytes(row_hash(row)[:8], "little"))
        self._said.append(_hash_said(sample))
        self._asked.append(_hash_asked(sample))
        self._sources.append(source)
        self._indices.append(row.origin.index)
        self._train.append(train)

    def duplicates(self) -> Repeats:
        """Training rows that say what an earlier training row says, whatever their other columns."""
        return self._repeats(self._said, self._training())

    def identical(self) -> int:
        """Training rows that equal an earlier one in every column."""
        return self._repeats(self._raw, self._training()).rows

    def shared_rows(self) -> Repeats:
        """Validation rows that say what a training row says."""
        return self._shared(self._said)

    def shared_prompts(self) -> Repeats:
        """Validation rows that ask what a training row asks, whatever the answers."""
        return self._shared(self._asked)

    def _training(self) -> NDArray[np.int64]:
        return np.flatnonzero(np.frombuffer(self._train, np.uint8))

    def _repeats(self, hashes: array[int], places: NDArray[np.int64]) -> Repeats:
        values = np.array(hashes, np.uint64)[places]
        # np.unique gives the first of equal values.
        _, first, groups = np.unique(values, return_index=True, return_inverse=True)
        original = first[groups.reshape(-1)]
        repeated = np.flatnonzero(original != np.arange(len(values)))
        pairs = [(int(places[i]), int(places[original[i]])) for i in repeated[:_SHOWN].tolist()]
        return Repeats(len(repeated), self._told(pairs))

    def _shared(self, hashes: array[int]) -> Repeats:
        values = np.array(hashes, np.uint64)
        train = self._training()
        others = np.flatnonzero(np.frombuffer(self._train, np.uint8) == 0)
        known, first = np.unique(values[train], return_index=True)
        found = [i for i in others[np.isin(values[others], known)].tolist() if values[i]]
        pairs = [(i, int(train[first[np.searchsorted(known, values[i])]])) for i in found[:_SHOWN]]
        return Repeats(len(found), self._told(pairs))

    def _told(self, pairs: Sequence[tuple[int, int]]) -> tuple[str, ...]:
        return tuple(f"{self._origin(later)} repeats {self._origin(earlier)}" for later, earlier in pairs)

    def _origin(self, place: int) -> Origin:
        return Origin(self.names[self._sources[place]], self._indices[place])


def _hash_said(sample: Conversation | Text) -> int:
    if isinstance(sample, Text):
        return xxhash.xxh3_64_intdigest(sample.text.encode("utf-8", "surrogatepass"))
    return _hash(sample.messages, sample)


def _hash_asked(sample: Conversation | Text) -> int:
    """All before the last answer; 0 for plain text, which asks nothing."""
    if isinstance(sample, Text):
        return 0
    last = max((n for n, message in enumerate(sample.messages) if message.role == "assistant"), default=0)
    return _hash(sample.messages[:last], sample)


def _hash(messages: Sequence[Message], sample: Conversation) -> int:
    turns = [
        (m.role, m.content, m.reasoning, [(call.name, repr(call.arguments)) for call in m.tool_calls], _shown(m))
        for m in messages
    ]
    try:
        said = orjson.dumps([turns, sample.tools, sample.objects], default=repr, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError:  # integers beyond 64 bits, lone surrogates
        said = repr((turns, sample.tools, sample.objects)).encode("utf-8", "surrogatepass")
    return xxhash.xxh3_64_intdigest(said)


def _shown(message: Message) -> list[tuple[int, str]]:
    """Where a message's media stand, and what they are: two files of one content count as two."""
    return [(placed.at, repr(placed.media.source)) for placed in message.media]
