"""A few rows together: the unit of work between the reader, the worker processes and the token store."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from swift.chat.encode import EncodedRow
from swift.chat.reasons import DROPPED, NO_TARGET
from swift.data.illustrated import from_bytes, to_bytes
from swift.data.reasons import BAD_WEIGHT
from swift.data.rows import BadRow
from swift.errors import RowError, SwiftError
from swift.types import LedgerEntry, Origin, Outcome, Row, Tokens

CHUNK_ROWS = 128
CHUNK_BYTES = 1 << 20
EXCEPTION = "exception"
"""Reason of a row at which an encoder or a user's data shape raised something unforeseen."""
REFUSED = "refused"
"""Reason of a row that stops the run by a rule of its configuration, whatever else is to happen to bad rows."""


class Encoder(Protocol):
    """Row to sequences. Can be pickled, so that worker processes can have it.

    Attributes:
        fingerprint: Two encoders with the same one give the same sequences for the same row.
    """

    @property
    def fingerprint(self) -> str:
        """Hash of everything that decides what becomes of a row."""

    def prepare(self) -> None:
        """Called once in every process before the first row."""

    def __call__(self, row: Row) -> EncodedRow:
        """The row's sequences.

        Raises:
            RowError: The row is dropped, or is bad.
        """


class NumberedRow(NamedTuple):
    """A row, the number of its source, and its number within the source (from 0)."""

    source: int
    number: int
    row: Row | BadRow


@dataclass(frozen=True, slots=True)
class RowFate:
    """What became of a row that was not simply kept, and the number of its source."""

    source: int
    entry: LedgerEntry


@dataclass(frozen=True, slots=True)
class EncodedChunk:
    """Encoded rows, flat: sequences lie back to back.

    Attributes:
        rows: How many rows it was made of, kept or not.
        ids: int32 [tokens].
        weights: float32 [tokens].
        lengths: int32 [sequences].
        sources: int32 [sequences], number of the source.
        numbers: int64 [sequences], row number within the source.
        indices: int64 [sequences], `Origin.index` of the row.
        parts: int32 [sequences], which of its row's sequences it is.
        shown: What a processor made each sequence of, as bytes; empty for text alone.
        fates: Rows that were not simply kept, in order.
    """

    rows: int
    ids: NDArray[np.int32]
    weights: NDArray[np.float32]
    lengths: NDArray[np.int32]
    sources: NDArray[np.int32]
    numbers: NDArray[np.int64]
    indices: NDArray[np.int64]
    parts: NDArray[np.int32]
    shown: tuple[bytes, ...]
    fates: tuple[RowFate, ...]


def chunks_of(
    rows: Iterable[NumberedRow], *, max_rows: int = CHUNK_ROWS, max_bytes: int = CHUNK_BYTES
) -> Iterator[list[NumberedRow]]:
    """Cut a stream of rows into chunks; a chunk ends at `max_rows` rows or about `max_bytes` of text."""
    chunk: list[NumberedRow] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += 0 if isinstance(row.row, BadRow) else text_size(row.row.values)
        if len(chunk) >= max_rows or size >= max_bytes:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def text_size(value: Any) -> int:
    """Characters of all texts inside a value, plus a little for everything else."""
    kind = type(value)
    if kind is str:
        return len(value)
    if kind is list or kind is tuple:
        return sum(map(text_size, value), 8)
    return sum(map(text_size, value.values()), 8) if isinstance(value, Mapping) else 8


def encode_chunk(rows: Sequence[NumberedRow], encoder: Encoder) -> EncodedChunk:
    """Encode rows one by one. Whatever goes wrong with a row is that row's fate, and never raised."""
    kept: list[tuple[NumberedRow, Sequence[Tokens]]] = []
    fates: list[RowFate] = []
    for item in rows:
        sequences, fate = _encode_row(item, encoder)
        if sequences:
            kept.append((item, sequences))
        if fate is not None:
            fates.append(fate)
    return _flatten(len(rows), kept, tuple(fates))


def failed_chunk(item: NumberedRow, reason: str, detail: str) -> EncodedChunk:
    """A chunk of one row that could not be encoded."""
    return _flatten(1, [], (_fate(item, "failed", reason, detail),))


def sequences_by_row(chunk: EncodedChunk, names: Sequence[str]) -> dict[tuple[int, int], list[Tokens]]:
    """The chunk's sequences as objects, by (source number, row number); rows without any are absent."""
    found: dict[tuple[int, int], list[Tokens]] = {}
    ends = np.cumsum(chunk.lengths, dtype=np.int64)
    for i, end in enumerate(ends.tolist()):
        begin = end - int(chunk.lengths[i])
        source = int(chunk.sources[i])
        origin = Origin(names[source], int(chunk.indices[i]))
        shown = from_bytes(chunk.shown[i])
        tokens = Tokens(chunk.ids[begin:end], chunk.weights[begin:end], origin, int(chunk.parts[i]), shown)
        found.setdefault((source, int(chunk.numbers[i])), []).append(tokens)
    return found


def _encode_row(item: NumberedRow, encoder: Encoder) -> tuple[Sequence[Tokens], RowFate | None]:
    if isinstance(item.row, BadRow):
        return (), _fate(item, "failed", item.row.reason, item.row.detail)
    try:
        encoded = encoder(item.row)
    except RowError as error:
        outcome: Outcome = "dropped" if error.reason in DROPPED else "failed"
        return (), _fate(item, outcome, error.reason, error.detail)
    except SwiftError as error:
        return (), _fate(item, "failed", REFUSED, "; ".join(filter(None, (error.message, error.hint))))
    except Exception as error:  # a user's data shape, or a template, may raise anything
        return (), _fate(item, "failed", EXCEPTION, f"{type(error).__name__}: {error}".partition("\n")[0])
    trained: list[Tokens] = []
    for tokens in encoded.sequences:
        low, high = tokens.weights.min(initial=0.0), tokens.weights[1:].max(initial=0.0)
        if not (low >= 0.0 and high < math.inf):  # NaN is neither
            return (), _fate(item, "failed", BAD_WEIGHT, "loss weights must be finite and not negative")
        if high > 0.0:
            trained.append(tokens)
    if not trained:
        return (), _fate(item, "dropped", NO_TARGET, "none of its tokens is trained on")
    if encoded.outcome == "kept" and not encoded.reason:
        return trained, None
    return trained, _fate(item, encoded.outcome, encoded.reason, encoded.detail)


def _fate(item: NumberedRow, outcome: Outcome, reason: str, detail: str) -> RowFate:
    return RowFate(item.source, LedgerEntry(item.row.origin, outcome, reason, detail))


def _flatten(
    rows: int, kept: Sequence[tuple[NumberedRow, Sequence[Tokens]]], fates: tuple[RowFate, ...]
) -> EncodedChunk:
    flat = [(item, tokens) for item, sequences in kept for tokens in sequences]
    return EncodedChunk(
        rows=rows,
        ids=np.concatenate([tokens.ids for _, tokens in flat], dtype=np.int32) if flat else np.zeros(0, np.int32),
        weights=np.concatenate([tokens.weights for _, tokens in flat], dtype=np.float32)
        if flat
        else np.zeros(0, np.float32),
        lengths=np.array([len(tokens.ids) for _, tokens in flat], dtype=np.int32),
        sources=np.array([item.source for item, _ in flat], dtype=np.int32),
        numbers=np.array([item.number for item, _ in flat], dtype=np.int64),
        indices=np.array([item.row.origin.index for item, _ in flat], dtype=np.int64),
        parts=np.array([tokens.part for _, tokens in flat], dtype=np.int32),
        shown=tuple(to_bytes(tokens.shown) for _, tokens in flat),
        fates=fates,
    )
