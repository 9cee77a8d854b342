"""Temporary folders of processes that were killed are removed, and nothing else is."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from swift.hub.scratch import remove_left, scratch_folder

HOLDS = """
from swift.hub.scratch import scratch_folder
with scratch_folder("swift-app-") as folder:
    (folder / "uploads").mkdir()
    (folder / "uploads" / "picture").write_text("x")
    print(folder, flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_what_a_killed_process_leaves_is_removed(elsewhere: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    assert folder.parent == elsewhere
    remove_left("swift-app-")
    assert (folder / "uploads" / "picture").exists()  # its process lives
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert folder.exists()
    with scratch_folder("swift-app-") as own:
        assert not folder.exists()
        assert own.is_dir()
        remove_left("swift-app-")
        assert own.is_dir()
    assert not own.exists()


def test_what_is_not_surely_ours_stays(elsewhere: Path) -> None:
    other, strange, open_to_all, link = (elsewhere / f"swift-app-{name}" for name in ("a", "b", "c", "d"))
    other.mkdir(mode=0o700)  # no lock
    strange.mkdir(mode=0o700)
    (elsewhere / "file").write_text("")
    (strange / "in-use").symlink_to(elsewhere / "file")
    open_to_all.mkdir(mode=0o755)
    (open_to_all / "in-use").write_text("")
    target = elsewhere / "target"
    target.mkdir(mode=0o700)
    (target / "in-use").write_text("")
    link.symlink_to(target)
    (elsewhere / "swift-app-file").write_text("")
    before = sorted(elsewhere.rglob("*"))
    remove_left("swift-app-")
    assert sorted(elsewhere.rglob("*")) == before
