"""Stops a run at bad rows while they are still being encoded."""

from __future__ import annotations

from typing import Literal

from swift.data.chunk import REFUSED
from swift.data.ledger import Ledger
from swift.errors import DataError
from swift.types import LedgerEntry

_TOGETHER = 3


class Gate:
    """Lets rows pass, or raises.

    Args:
        ledger: Bad rows are put on it before the run is stopped, and only then.
        on_error: Whether bad rows stop the run.
        together: How many bad rows are collected before it stops, for a message that names them all.
    """

    def __init__(self, ledger: Ledger, on_error: Literal["drop", "error"], *, together: int = _TOGETHER) -> None:
        self.on_error = on_error
        self._ledger = ledger
        self._together = together
        self._bad: list[LedgerEntry] = []

    def check(self, entry: LedgerEntry) -> None:
        """Look at what became of a row.

        Raises:
            DataError: It is a bad row too many, or one that a rule of the configuration refuses in any case.
        """
        if entry.outcome != "failed":
            return
        if entry.reason == REFUSED:
            self._ledger.add(entry)
            raise DataError(f"{entry.origin}: {entry.detail}")
        if self.on_error == "drop":
            return
        self._bad.append(entry)
        if len(self._bad) >= self._together:
            for bad in self._bad:
                self._ledger.add(bad)
            self._ledger.require_good(self.on_error)
