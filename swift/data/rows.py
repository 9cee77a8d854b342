"""What a source of rows is; `swift.data.source` opens them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from swift.types import Origin, Row


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that could not be read. It keeps its place, so that every row is accounted for.

    Attributes:
        origin: Where it stands.
        reason: A constant of `swift.data.reasons`.
        detail: One line: what is wrong, and where in the row.
    """

    origin: Origin
    reason: str
    detail: str


class Source(Protocol):
    """A re-iterable sequence of rows in constant memory. Sources can be pickled.

    Row number r (from 0) is the r-th item of `rows()`, good or bad. `origin.index` is for people:
    it is the line number where a row is a line, so that blank lines make the two differ.
    """

    @property
    def name(self) -> str:
        """What the user called it; used in messages and ledgers."""

    def fingerprint(self) -> str:
        """Identifies the content: equal content, equal fingerprint, wherever it lies."""

    def count(self) -> int:
        """How many items `rows()` yields.

        Raises:
            DataError: There are none, or the file cannot be read.
        """

    def rows(self, start: int = 0) -> Iterator[Row | BadRow]:
        """All items from row number `start` on.

        Raises:
            DataError: The file as a whole cannot be read.
        """
