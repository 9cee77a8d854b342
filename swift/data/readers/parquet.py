"""Parquet files, a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from swift.data.rows import BadRow
from swift.errors import DataError, MissingExtraError
from swift.types import Origin, Row

_BATCH = 256


def read_parquet(path: Path, name: str, start: int) -> Iterator[Row | BadRow]:
    """Rows of a Parquet file; whole row groups before `start` are skipped unread.

    A Parquet struct has all its fields in every row, and null where a row had none. Nulls inside structs
    are therefore left out, so that tool schemas and messages get back the keys that they were made of.

    Raises:
        DataError: The file is damaged.
        MissingExtraError: pyarrow is not installed.
    """
    table = _open(path, name)
    groups, skip = _groups_from(table, start)
    index = start
    try:
        for batch in table.iter_batches(batch_size=_BATCH, row_groups=groups):
            for values in batch.slice(skip).to_pylist():
                index += 1
                yield Row({column: _without_nulls(value) for column, value in values.items()}, Origin(name, index))
            skip = max(0, skip - len(batch))
    except (OSError, ValueError) as error:
        raise _damaged(name, error) from error


def count_parquet(path: Path, name: str) -> int:
    """The number of rows that the file's footer states."""
    return int(_open(path, name).metadata.num_rows)


def _groups_from(table: Any, start: int) -> tuple[list[int], int]:
    """Row groups that hold rows from `start` on, and how many rows of the first to skip."""
    skip = start
    for group in range(table.num_row_groups):
        size = table.metadata.row_group(group).num_rows
        if skip < size:
            return list(range(group, table.num_row_groups)), skip
        skip -= size
    return [], 0


def _open(path: Path, name: str) -> Any:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", extra="hub", why=f"reading {name}") from error
    try:
        return parquet.ParquetFile(path)
    except (OSError, ValueError) as error:  # pyarrow's own errors derive from these
        raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> DataError:
    return DataError(f"{name} is not a readable Parquet file: {' '.join(str(error).split())[:200]}")


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value
