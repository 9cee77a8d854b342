"""What became of every row, written beside the run."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import weakref
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import orjson

from swift.errors import DataError
from swift.types import LedgerEntry, Outcome

_IN_MEMORY = 1 << 20
_SHOWN = 3
_LONGEST = 300


@dataclass(frozen=True)
class LedgerTotals:
    """Counts of rows by what became of them.

    Attributes:
        kept: Trained on whole.
        truncated: Cut to the length limit.
        split: Cut into several sequences.
        dropped: Left out by a rule, such as length or equality with an earlier row.
        failed: Unusable, and left out.
        reasons: For all but `kept`: outcome -> reason -> count.
    """

    kept: int
    truncated: int
    split: int
    dropped: int
    failed: int
    reasons: Mapping[str, Mapping[str, int]]

    @property
    def rows(self) -> int:
        """All rows that were accounted for."""
        return self.kept + self.truncated + self.split + self.dropped + self.failed

    def as_json(self) -> dict[str, int | Mapping[str, Mapping[str, int]]]:
        """For `run.json`."""
        return {
            "rows": self.rows,
            "kept": self.kept,
            "truncated": self.truncated,
            "split": self.split,
            "dropped": self.dropped,
            "failed": self.failed,
            "reasons": self.reasons,
        }


class Ledger:
    """Counts every row, and remembers each that was not simply kept in a temporary file.

    Memory is bounded whatever the number of rows. Several threads may add.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[Outcome, str]] = Counter()
        self._kept = 0
        self._failed: list[LedgerEntry] = []
        self._lines = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
        weakref.finalize(self, self._lines.close)

    def keep(self, rows: int = 1) -> None:
        """Count rows that were kept whole."""
        with self._lock:
            self._kept += rows

    def add(self, entry: LedgerEntry) -> None:
        """Account for one row. An entry of outcome `kept` is only counted."""
        if entry.outcome == "kept":
            self.keep()
            return
        line = orjson.dumps(
            {
                "source": entry.origin.source,
                "row": entry.origin.index,
                "outcome": entry.outcome,
                "reason": entry.reason,
                "detail": entry.detail[:_LONGEST],
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        with self._lock:
            self._counts[entry.outcome, entry.reason] += 1
            self._lines.write(line)
            if entry.outcome == "failed" and len(self._failed) < _SHOWN:
                self._failed.append(entry)

    def totals(self) -> LedgerTotals:
        """Counts so far."""
        with self._lock:
            counts, kept = dict(self._counts), self._kept
        reasons: dict[str, dict[str, int]] = {}
        for (outcome, reason), number in sorted(counts.items()):
            reasons.setdefault(outcome, {})[reason] = number
        sums = {outcome: sum(by_reason.values()) for outcome, by_reason in reasons.items()}
        return LedgerTotals(
            kept,
            sums.get("truncated", 0),
            sums.get("split", 0),
            sums.get("dropped", 0),
            sums.get("failed", 0),
            reasons,
        )

    def write(self, path: Path) -> None:
        """Write one JSON object a line: source, row, outcome, reason, detail. Atomic; may be called again.

        Raises:
            OSError: The folder cannot be written.
        """
        temporary = path.with_name(f".{path.name}.tmp")
        with self._lock, temporary.open("wb") as file:
            self._lines.seek(0)
            shutil.copyfileobj(self._lines, file)
            self._lines.seek(0, os.SEEK_END)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    def require_good(self, on_error: Literal["drop", "error"] = "error") -> None:
        """With `error`, no row may have failed.

        Raises:
            DataError: Some did; the message names the first ones and says how many.
        """
        totals = self.totals()
        if on_error == "drop" or not totals.failed:
            return
        shown = "; ".join(f"{entry.origin}: {tell(entry.reason, entry.detail)}" for entry in self._failed)
        more = f"; {totals.failed} bad rows in all" if totals.failed > len(self._failed) else ""
        raise DataError(f"{shown}{more}", hint="repair them, or leave bad rows out: --on_data_error drop")


def tell(reason: str, detail: str) -> str:
    """A reason and its detail in one line for people."""
    words = reason.replace("_", " ")
    return f"{words}: {detail[:_LONGEST]}" if detail else words
