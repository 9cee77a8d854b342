import fcntl
import os

import pytest

from swift.data.cache import entry_folder, prune, store_fingerprint
from swift.data.encode import wanted_rows
from swift.errors import ResourceError
from tests.data.toy import ToyEncoder, ToySource, selection


def fingerprint(source=None, encoder=None, rows=None):
    chosen = selection(source or ToySource(("one", "two", "three")))
    wanted = wanted_rows(chosen)
    return store_fingerprint(chosen.sources, wanted if rows is None else wanted[rows], encoder or ToyEncoder())


def test_everything_that_matters_changes_the_name():
    names = [
        fingerprint(),
        fingerprint(source=ToySource(("one", "two", "four"))),
        fingerprint(encoder=ToyEncoder(version=2)),
        fingerprint(rows=slice(1, None)),
    ]
    assert len(set(names)) == 4
    assert fingerprint() == names[0]


def test_what_does_not_matter_does_not():
    assert fingerprint() == fingerprint(source=ToySource(("one", "two", "three"), name="moved.jsonl"))


def fill(cache, name, size, age):
    with entry_folder(cache, name) as folder:
        (folder / "shard").write_bytes(b"x" * size)
    os.utime(cache / name / "last_used", (1e9 - age, 1e9 - age))


def test_the_entries_that_were_not_used_for_longest_go_first(tmp_path):
    for name, age in (("old", 30), ("older", 40), ("new", 10), ("newer", 5)):
        fill(tmp_path, name, 100, age)
    assert prune(tmp_path, keep="new", limit=250) == ["older", "old"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "new.lock", "newer", "newer.lock"]
    assert prune(tmp_path, keep="new", limit=50) == ["newer"]
    assert prune(tmp_path, keep="new", limit=50) == []


def test_an_entry_in_use_stays(tmp_path):
    fill(tmp_path, "busy", 100, 30)
    with open(tmp_path / "busy.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert prune(tmp_path, keep="", limit=0) == []
    assert prune(tmp_path, keep="", limit=0) == ["busy"]


def test_other_files_in_the_cache_are_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_bytes(b"x" * 100)
    assert prune(tmp_path, keep="", limit=0) == []


def test_a_cache_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(ResourceError, match="tokenized rows cannot be kept in"),
        entry_folder(tmp_path / "file", "name"),
    ):
        pass
