import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from swift.data import encode as module
from swift.data.encode import encode_sources, processes
from swift.data.ledger import Ledger
from swift.errors import DataError
from tests.data.toy import ToyEncoder, ToySource, selection

MIXED = ("fine", "drop", "split half and half", "bad", None, "raise", "another one", "half weights here")


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr(module, "SHARD_TOKENS", 400)


def run(chosen, cache=None, *, encoder=None, workers=0, on_error="drop", ledger=None):
    return encode_sources(
        chosen,
        encoder or ToyEncoder(),
        workers=workers,
        cache_dir=cache,
        ledger=Ledger() if ledger is None else ledger,
        progress=False,
        on_error=on_error,
    )


def content(folder: Path):
    return {path.name: path.read_bytes() for path in folder.rglob("shard-*")}


def test_rows_of_training_and_validation_are_encoded_once(tmp_path):
    chosen = selection(ToySource(("one text", "two texts", "three")), ToySource(("four is here",), "b"), validation=2)
    twice = type(chosen)(chosen.sources, np.concatenate([chosen.train, chosen.train]), chosen.validation)
    ledger = Ledger()
    store = run(twice, ledger=ledger)
    assert [bytes(t.ids.astype(np.uint8)).decode() for t in store] == ["one text", "two texts", "three", "four is here"]
    assert [str(t.origin) for t in store][-1] == "row 1 of b"
    assert ledger.totals().kept == 4


def test_only_wanted_rows_are_encoded():
    chosen = selection(ToySource(tuple(f"text {n}" for n in range(50))))
    few = type(chosen)(chosen.sources, chosen.train[[40, 3, 17, 3]], chosen.validation)
    assert [t.origin.index for t in run(few)] == [4, 18, 41]


def test_every_row_is_accounted_for():
    ledger = Ledger()
    run(selection(ToySource(MIXED)), ledger=ledger)
    totals = ledger.totals()
    assert (totals.kept, totals.split, totals.dropped, totals.failed) == (3, 1, 1, 3)
    assert totals.rows == len(MIXED)


def test_the_store_is_the_same_for_any_number_of_workers(tmp_path):
    chosen = selection(ToySource(MIXED * 60))
    run(chosen, tmp_path / "none")
    run(chosen, tmp_path / "two", workers=2)
    assert content(tmp_path / "none") == content(tmp_path / "two")
    assert len(content(tmp_path / "none")) > 4


def test_a_complete_store_is_found_again_with_its_fates(tmp_path):
    chosen, ledger = selection(ToySource(MIXED)), Ledger()
    first = run(chosen, tmp_path)
    before = content(tmp_path)
    second = run(chosen, tmp_path, encoder=ToyEncoder(slow=100), ledger=ledger)
    assert content(tmp_path) == before
    assert [t.ids.tolist() for t in second] == [t.ids.tolist() for t in first]
    assert second.fingerprint == first.fingerprint
    assert ledger.totals().rows == len(MIXED)
    with pytest.raises(DataError, match=r"row 4 of toy.jsonl"):
        run(chosen, tmp_path, on_error="error")


def test_a_damaged_shard_is_encoded_again(tmp_path):
    chosen = selection(ToySource(("a text of some length",) * 500))
    run(chosen, tmp_path)
    before = content(tmp_path)
    victim = next(tmp_path.rglob("shard-00001.bin"))
    victim.write_bytes(b"")
    run(chosen, tmp_path)
    assert content(tmp_path) == before


def test_bad_rows_stop_the_run_together():
    ledger = Ledger()
    with pytest.raises(DataError) as caught:
        run(selection(ToySource((*MIXED, "bad", *["fine"] * 1000))), on_error="error", ledger=ledger)
    assert all(f"row {n} of toy.jsonl" in caught.value.message for n in (4, 5, 6))
    assert "--on_data_error drop" in caught.value.hint
    assert ledger.totals().failed == 3


def test_one_bad_row_stops_the_run_too():
    with pytest.raises(DataError, match=r"row 2 of toy.jsonl: malformed: no JSON"):
        run(selection(ToySource(("fine", None))), on_error="error")


def test_a_row_that_a_rule_refuses_stops_the_run_in_any_case(tmp_path):
    with pytest.raises(DataError, match=r"row 2 of toy.jsonl: the row is too long; make it shorter"):
        run(selection(ToySource(("fine", "refuse"))), tmp_path)


def test_a_row_that_crashes_its_process_is_named():
    with pytest.raises(DataError, match=r"row 2 of toy.jsonl: crashed: .* SIGSEGV"):
        run(selection(ToySource(("fine", "crash"))), workers=1, on_error="error")


def test_a_source_that_shrinks_while_it_is_read_is_noticed():
    chosen = selection(ToySource(("one text", "two texts")))
    shrunk = type(chosen)((ToySource(("one text",)),), chosen.train, chosen.validation)
    with pytest.raises(DataError, match=r"toy.jsonl has no row 2, which it had when its rows were counted"):
        run(shrunk)


def test_without_a_cache_the_files_go_with_the_store():
    store = run(selection(ToySource(("one text",))))
    folder = Path(store._temporary.name)
    assert folder.is_dir()
    assert store[0].ids.size == 8
    del store
    assert not folder.exists()


def test_processes_are_started_only_for_much_text():
    assert processes(None, text=1000) == 0
    assert processes(3, text=0) == 3
    assert processes(0, text=1e9) == 0
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    assert processes(None, text=1e9) == (cores if 1 < cores <= 32 else 0 if cores == 1 else 32)


KILLED = """
import sys; sys.path[:] = {path!r}
from pathlib import Path
from swift.data import encode as module
from swift.data.ledger import Ledger
from tests.data.toy import ToyEncoder, ToySource, selection
module.SHARD_TOKENS = 400
chosen = selection(ToySource({texts!r}))
module.encode_sources(chosen, ToyEncoder(slow={slow}), workers={workers}, cache_dir=Path({cache!r}), ledger=Ledger(),
                      progress=False, on_error="drop")
"""


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_encoding_that_was_killed_continues_and_ends_the_same(tmp_path, workers):
    texts = MIXED * 120
    chosen = selection(ToySource(texts))
    run(chosen, tmp_path / "whole")
    code = KILLED.format(path=sys.path, texts=texts, slow=0.001, workers=workers, cache=str(tmp_path / "killed"))
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "killed").rglob("shard-*.json"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = len(list((tmp_path / "killed").rglob("shard-*.json")))
    assert 2 <= left < len(list((tmp_path / "whole").rglob("shard-*.json")))
    ledger = Ledger()
    store = run(chosen, tmp_path / "killed", ledger=ledger)
    assert content(tmp_path / "killed") == content(tmp_path / "whole")
    assert ledger.totals().rows == store.rows == len(texts)
