"""A stream of rows to a stream of sequences, in order, with a bounded number of rows under way."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Literal

from swift.data.chunk import EncodedChunk, Encoder, NumberedRow, chunks_of, sequences_by_row
from swift.data.gate import Gate
from swift.data.ledger import Ledger
from swift.data.rows import BadRow
from swift.data.workers import WorkerPool
from swift.types import Row, Tokens

_CHUNK_ROWS = 32  # small, so that the first sequences come soon
_CHUNK_BYTES = 1 << 18


def encode_stream(
    rows: Iterator[Row | BadRow],
    encoder: Encoder,
    *,
    workers: int,
    ledger: Ledger,
    ahead: int,
    on_error: Literal["drop", "error"] = "error",
) -> Generator[tuple[Tokens, ...]]:
    """Encode rows as they come. The result does not depend on the number of workers.

    Args:
        rows: May be endless.
        workers: Processes; 0 encodes in this one.
        ledger: Told of every row when its sequences are handed out.
        ahead: About how many rows may be read ahead of what was handed out.
        on_error: Whether bad rows stop the run or are only put on the ledger.

    Yields:
        For every row its sequences; none for a row that is not kept.

    Raises:
        DataError: A bad row, where bad rows stop the run.
    """
    names: dict[str, int] = {}
    gate = Gate(ledger, on_error, together=1)
    chunks = chunks_of(_numbered(rows, names), max_rows=_CHUNK_ROWS, max_bytes=_CHUNK_BYTES)
    with (
        WorkerPool(workers, encoder) as pool,
        closing(pool.map(chunks, ahead=-(-ahead // _CHUNK_ROWS))) as encoded,
    ):
        first = 0
        for chunk in encoded:
            _account(chunk, ledger, gate)
            by_number = {number: found for (_, number), found in sequences_by_row(chunk, tuple(names)).items()}
            for number in range(first, first + chunk.rows):
                yield tuple(by_number.get(number, ()))
            first += chunk.rows


def _numbered(rows: Iterator[Row | BadRow], names: dict[str, int]) -> Iterator[NumberedRow]:
    """Rows with their number in the stream; `names` collects the sources as they turn up."""
    for number, row in enumerate(rows):
        yield NumberedRow(names.setdefault(row.origin.source, len(names)), number, row)


def _account(chunk: EncodedChunk, ledger: Ledger, gate: Gate) -> None:
    for fate in chunk.fates:
        gate.check(fate.entry)
        ledger.add(fate.entry)
    ledger.keep(chunk.rows - len(chunk.fates))
