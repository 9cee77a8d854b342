"""What becomes of rows, with the first of each kind."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson

from swift.checking.findings import Fate
from swift.data.ledger import tell
from swift.data.prepare import Rows
from swift.types import LedgerEntry, Origin

_EXAMPLES = 3
_BAD_ROWS = 1000


def fates(rows: Rows, *, all_bad: bool) -> tuple[Fate, ...]:
    """Rows that are not simply kept, by outcome and reason, in the order of their first one.

    Args:
        all_bad: Name every bad row (up to a thousand of a kind), not only the first few.
    """
    counts: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], Fate] = {}
    examples: dict[tuple[str, str], list[str]] = {}
    for entry in _entries(rows):
        key = (entry.outcome, entry.reason)
        counts[key] += 1
        first.setdefault(key, Fate(entry.outcome, entry.reason, 0, ()))
        shown = examples.setdefault(key, [])
        if len(shown) < (_BAD_ROWS if all_bad and entry.outcome == "failed" else _EXAMPLES):
            shown.append(f"{entry.origin}: {tell(entry.reason, entry.detail)}")
    return tuple(Fate(fate.outcome, fate.reason, counts[key], tuple(examples[key])) for key, fate in first.items())


def _entries(rows: Rows) -> Iterator[LedgerEntry]:
    """The ledger's entries, then the remarks on rows that are kept."""
    with tempfile.TemporaryDirectory(prefix="swift-check-") as folder:
        path = Path(folder) / "ledger.jsonl"
        rows.ledger.write(path)
        with path.open("rb") as file:
            for line in file:
                entry = orjson.loads(line)
                origin = Origin(entry["source"], entry["row"])
                yield LedgerEntry(origin, entry["outcome"], entry["reason"], entry["detail"])
    yield from (entry for entry in rows.store.fates() if entry.outcome == "kept")
