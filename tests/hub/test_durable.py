from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from swift.hub.durable import settle


@pytest.mark.parametrize(("folder_mode", "wanted"), [(0o755, 0o644), (0o775, 0o664), (0o700, 0o600)])
def test_files_are_as_readable_as_their_folder(folder_mode: int, wanted: int, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "state").mkdir(parents=True)
    folder.chmod(folder_mode)
    private, program = folder / "state" / "weights", folder / "program"
    for path in (private, program):
        path.write_text("content")
    private.chmod(0o600)
    program.chmod(0o700)
    os.symlink("/dev/null", folder / "link")
    settle(folder)
    assert stat.S_IMODE(private.stat().st_mode) == wanted
    assert stat.S_IMODE(program.stat().st_mode) == wanted | 0o700
    assert stat.S_IMODE(folder.stat().st_mode) == folder_mode
