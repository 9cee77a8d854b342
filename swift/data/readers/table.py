"""CSV and TSV files: the first line names the columns, every cell is text."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator
from pathlib import Path

from swift.data.readers.base import open_utf8
from swift.data.reasons import INVALID_UTF8, MALFORMED, WRONG_CELLS
from swift.data.rows import BadRow
from swift.errors import DataError
from swift.types import Origin, Row

_LARGEST_CELL = 1 << 28


def read_csv(path: Path, name: str, start: int) -> Iterator[Row | BadRow]:
    """Rows of a comma-separated file. Raises DataError for a header that is unusable."""
    return itertools.islice(_rows(path, name, ","), start, None)


def read_tsv(path: Path, name: str, start: int) -> Iterator[Row | BadRow]:
    """Rows of a tab-separated file. Raises DataError for a header that is unusable."""
    return itertools.islice(_rows(path, name, "\t"), start, None)


def count_csv(path: Path, name: str) -> int:
    """How many rows `read_csv` yields."""
    return sum(1 for _ in _rows(path, name, ","))


def count_tsv(path: Path, name: str) -> int:
    """How many rows `read_tsv` yields."""
    return sum(1 for _ in _rows(path, name, "\t"))


def _rows(path: Path, name: str, delimiter: str) -> Iterator[Row | BadRow]:
    csv.field_size_limit(_LARGEST_CELL)
    with open_utf8(path, name) as file:
        # Bytes that are no UTF-8 become lone surrogates, so that only their own row is bad.
        text = io.TextIOWrapper(file, "utf-8", errors="surrogateescape", newline="")
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        header = _header(reader, name)
        index = 0
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                index += 1
                yield BadRow(Origin(name, index), MALFORMED, f"line {line}: {error}")
                continue
            if not cells:
                continue
            index += 1
            yield _row(header, cells, Origin(name, index), line)


def _header(reader: Iterator[list[str]], name: str) -> list[str]:
    try:
        header = next((cells for cells in reader if cells), [])
    except csv.Error as error:
        raise DataError(f"the header of {name} cannot be read: {error}") from error
    repeated = sorted({column for column in header if header.count(column) > 1})
    if repeated:
        raise DataError(f"{name} names the column {repeated[0]!r} twice", hint="give each column a name of its own")
    return header


def _row(header: list[str], cells: list[str], origin: Origin, line: int) -> Row | BadRow:
    if len(cells) != len(header):
        detail = f"line {line} has {len(cells)} cells, the header has {len(header)}"
        return BadRow(origin, WRONG_CELLS, detail)
    for column, cell in zip(header, cells, strict=True):
        if not cell.isascii() and any("\ud800" <= mark <= "\udfff" for mark in cell):
            return BadRow(origin, INVALID_UTF8, f"line {line}: column {column!r} is not UTF-8")
    return Row(dict(zip(header, cells, strict=True)), origin)
