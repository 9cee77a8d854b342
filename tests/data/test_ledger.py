"""The ledger: every row counted, every row that is not kept written down."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from swift.data.ledger import Ledger
from swift.errors import DataError
from swift.types import LedgerEntry, Origin, Outcome


def entry(outcome: Outcome, row: int, reason: str = "why", detail: str = "") -> LedgerEntry:
    return LedgerEntry(Origin("a.jsonl", row), outcome, reason, detail)


def test_totals_and_file(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.keep(5)
    ledger.add(entry("kept", 1))
    ledger.add(entry("truncated", 2, "too_long", "12 of 10 tokens"))
    ledger.add(entry("failed", 3, "malformed", "ü\n"))
    ledger.add(entry("dropped", 4, "duplicate"))
    ledger.add(entry("dropped", 5, "too_long"))
    totals = ledger.totals()
    assert totals.as_json() == {
        "rows": 10,
        "kept": 6,
        "truncated": 1,
        "split": 0,
        "dropped": 2,
        "failed": 1,
        "reasons": {
            "dropped": {"duplicate": 1, "too_long": 1},
            "failed": {"malformed": 1},
            "truncated": {"too_long": 1},
        },
    }
    ledger.write(tmp_path / "ledger.jsonl")
    ledger.add(entry("split", 6))
    ledger.write(tmp_path / "ledger.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[0] == {
        "source": "a.jsonl",
        "row": 2,
        "outcome": "truncated",
        "reason": "too_long",
        "detail": "12 of 10 tokens",
    }
    assert [line["row"] for line in lines] == [2, 3, 4, 5, 6]
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.jsonl"]


def test_nothing_to_tell_is_an_empty_file(tmp_path: Path) -> None:
    Ledger().write(tmp_path / "ledger.jsonl")
    assert (tmp_path / "ledger.jsonl").read_bytes() == b""


def test_many_rows_from_many_threads(tmp_path: Path) -> None:
    ledger = Ledger()

    def work() -> None:
        for row in range(3000):
            ledger.add(entry("dropped", row, "too_long", "x" * 200))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger.write(tmp_path / "ledger.jsonl")
    assert ledger.totals().dropped == 12_000
    assert sum(1 for line in (tmp_path / "ledger.jsonl").open() if json.loads(line)) == 12_000


def test_bad_rows_stop_or_not() -> None:
    ledger = Ledger()
    ledger.require_good()
    ledger.add(entry("dropped", 9, "too_long"))
    ledger.require_good()
    ledger.add(entry("failed", 17, "empty_answer", "turn 2 is empty"))
    with pytest.raises(DataError) as caught:
        ledger.require_good("error")
    assert caught.value.message == "row 17 of a.jsonl: empty answer: turn 2 is empty"
    assert "--on_data_error drop" in caught.value.hint
    for row in range(18, 25):
        ledger.add(entry("failed", row, "malformed"))
    with pytest.raises(DataError, match=r"row 19 of a\.jsonl: malformed; 8 bad rows in all$"):
        ledger.require_good()
    ledger.require_good("drop")
