"""A folder appears whole or not at all, and what a killed export leaves behind does not stay."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from swift.errors import ConfigError
from swift.exporting.folder import new_folder

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
