"""A source and an encoder without tokenizer, for tests of what moves rows around."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from swift.chat.encode import EncodedRow
from swift.data.rows import BadRow
from swift.data.select import Selection
from swift.errors import DataError, RowError
from swift.types import Origin, Outcome, Row, Tokens


@dataclass(frozen=True)
class ToySource:
    """Texts as rows; the text None is a row that cannot be read."""

    texts: tuple[str | None, ...]
    name: str = "toy.jsonl"

    def fingerprint(self) -> str:
        return hashlib.sha256(repr(self.texts).encode()).hexdigest()

    def count(self) -> int:
        return len(self.texts)

    def rows(self, start: int = 0) -> Iterator[Row | BadRow]:
        for number, text in enumerate(self.texts[start:], start):
            origin = Origin(self.name, number + 1)
            yield BadRow(origin, "malformed", "no JSON") if text is None else Row({"text": text}, origin)


@dataclass(frozen=True)
class ToyEncoder:
    """A token a byte; the first half has weight 0, unless the row is split. Some texts do what they say."""

    slow: float = 0.0
    version: int = 1

    @property
    def fingerprint(self) -> str:
        return f"toy {self.version}"

    def prepare(self) -> None:
        if self.version < 0:
            raise RuntimeError("no such version")

    def __call__(self, row: Row) -> EncodedRow:
        text: str = row.values["text"]
        self._act(text)
        ids = np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int32)
        weights = np.ones(ids.size, np.float32)
        weights[: 1 if "split" in text else max(1, ids.size // 2)] = 0.0
        if "half" in text:
            weights *= 0.5
        if "negative" in text:
            weights *= -1
        pieces = [slice(0, ids.size // 2), slice(ids.size // 2, ids.size)] if "split" in text else [slice(0, ids.size)]
        outcome: Outcome = "split" if "split" in text else "kept"
        made = tuple(Tokens(ids[p], weights[p], row.origin, part) for part, p in enumerate(pieces))
        return EncodedRow(made, outcome, "too_long" if outcome == "split" else "")

    def _act(self, text: str) -> None:
        if self.slow:
            time.sleep(self.slow)
        if "crash" in text:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "hang" in text:
            time.sleep(1000)
        if "raise" in text:
            raise ValueError("cannot do this")
        if "refuse" in text:
            raise DataError("the row is too long", hint="make it shorter")
        if "drop" in text:
            raise RowError("too_long", "a few tokens")
        if "bad" in text:
            raise RowError("wrong_type", "text must be a text")


def selection(*sources: ToySource, validation: int = 0) -> Selection:
    """All rows for training, but for the last `validation`."""
    rows = np.array([(s, r) for s, source in enumerate(sources) for r in range(source.count())], dtype=np.int64)
    cut = len(rows) - validation
    return Selection(sources, rows[:cut].reshape(-1, 2), rows[cut:].reshape(-1, 2))
