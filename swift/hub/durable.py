"""Files that are on the disk, and that whoever may read their folder may read."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def settle(folder: Path) -> None:
    """Make a folder that is complete fit to get its name: all of it is on the disk, and readable as the folder is.

    Some writers, safetensors among them, give new files to their owner alone, whatever the process's mask says; then
    a server of another user cannot load a model that everybody may see.
    """
    readable = stat.S_IMODE(folder.stat().st_mode) & 0o666
    for path in folder.rglob("*"):
        if path.is_symlink():
            continue  # is on the disk with its folder; what it points to is not ours
        if path.is_file():
            path.chmod(stat.S_IMODE(path.stat().st_mode) | readable)
        fsync(path)
    fsync(folder)


def fsync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
