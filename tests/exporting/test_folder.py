"""A folder appears whole or not at all, and what a killed export leaves behind does not stay."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from swift.errors import ConfigError
from swift.exporting.folder import keep_failed, new_folder

WRITES = """
import sys
from pathlib import Path
from swift.exporting.folder import new_folder
with new_folder(Path(sys.argv[1]), overwrite=True, sources=[]) as folder:
    (folder / "model.safetensors").write_text("half")
    print(folder, flush=True)
    input()
"""
DIES_WHILE_REPLACING = """
import os, shutil, signal, sys
from pathlib import Path
from swift.exporting.folder import new_folder
with new_folder(Path(sys.argv[1]), overwrite=True, sources=[]) as folder:
    (folder / "model.safetensors").write_text("new")
    rename = Path.rename
    def dying(path, to):
        if path == folder:
            os.kill(os.getpid(), signal.SIGKILL)
        return rename(path, to)
    Path.rename = dying
"""


def write(target: Path, text: str) -> None:
    with new_folder(target, overwrite=True, sources=[]) as folder:
        (folder / "model.safetensors").write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_export_leaves_is_removed_by_the_next_one(tmp_path: Path, capsys) -> None:
    target = tmp_path / "out"
    command = [sys.executable, "-c", WRITES, str(target)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    left = Path(process.stdout.readline().strip())
    other = tmp_path / ".other.new-01234567"
    other.mkdir()
    write(target, "mine")
    assert left.is_dir(), "its process lives"
    assert left.name not in capsys.readouterr().err
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert names(tmp_path) == sorted([other.name, left.name, "out"])
    write(target, "again")
    assert names(tmp_path) == [other.name, "out"], "another target's is not ours to judge"
    assert names(target) == ["model.safetensors"]
    assert f"removed {left}" in capsys.readouterr().err


def test_a_folder_that_was_being_replaced_comes_back(tmp_path: Path, capsys) -> None:
    target = tmp_path / "out"
    write(target, "old")
    done = subprocess.run([sys.executable, "-c", DIES_WHILE_REPLACING, str(target)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not target.exists()
    with pytest.raises(ConfigError, match="exists"), new_folder(target, overwrite=False, sources=[]):
        pass
    assert names(tmp_path) == ["out"]
    assert (target / "model.safetensors").read_text() == "old"
    assert "is back" in capsys.readouterr().err


def test_a_block_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), new_folder(tmp_path / "out", overwrite=False, sources=[]):
        raise ValueError("no")
    assert not names(tmp_path)


def result(folder: Path, passed: bool | None) -> Path:
    """A folder with a certificate of this verdict, or with none."""
    folder.mkdir()
    (folder / "mine.txt").touch()
    if passed is not None:
        (folder / "certificate.json").write_text(json.dumps({"passed": passed}))
    return folder


def test_a_failed_result_replaces_an_earlier_one_and_nothing_else(tmp_path: Path) -> None:
    kept = [result(tmp_path / "out-failed", None), result(tmp_path / "out-failed-2", passed=True)]
    (tmp_path / "out-failed-3").touch()
    source = result(tmp_path / "out-failed-4", passed=False)
    (tmp_path / "out-failed-5").symlink_to(result(tmp_path / "elsewhere", passed=False))
    (tmp_path / "out-failed-6").symlink_to(tmp_path / "nowhere")
    place = tmp_path / "out-failed-7"
    for verdict in ("first", "second"):
        new = result(tmp_path / ".out.new-01234567", passed=False)
        (new / verdict).touch()
        assert keep_failed(new, tmp_path / "out", [source]) == place
        assert names(place) == sorted(["certificate.json", "mine.txt", verdict])
    assert all((folder / "mine.txt").is_file() for folder in (*kept, source, tmp_path / "elsewhere"))
    assert (tmp_path / "out-failed-3").is_file()


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_one_and_what_it_points_to_is_written(there: bool, tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    if there:
        write(real, "old")
    link.symlink_to(real)
    write(link, "new")
    assert link.is_symlink()
    assert (real / "model.safetensors").read_text() == "new"
    assert names(tmp_path) == ["link", "real"]


@pytest.mark.parametrize("said", [".", "..", "/"])
def test_the_folder_that_this_runs_in_is_not_replaced(said: str, tmp_path: Path, monkeypatch) -> None:
    inside = tmp_path / "here"
    inside.mkdir()
    (inside / "mine.txt").touch()
    monkeypatch.chdir(inside)
    with pytest.raises(ConfigError, match="runs in"):
        write(Path(said), "new")
    assert names(inside) == ["mine.txt"]
