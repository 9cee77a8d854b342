"""Temporary folders: gone when their process is done, or, where that was killed, when the next one begins."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LOCK = "in-use"


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """A fresh folder, until the end of the block; those of processes that were killed are removed first.

    A file in it is locked as long as its process lives, and no longer, however that ends.

    Args:
        prefix: How the folder's name begins, and those of the folders that are removed.
    """
    remove_left(prefix)
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        folder = Path(name)
        new = folder / f"{_LOCK}.new"
        with new.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            new.rename(folder / _LOCK)  # only now, so that nobody sees it unlocked
            yield folder


def remove_left(prefix: str) -> None:
    """Remove folders of ours with this prefix whose process is gone; what is not surely one stays."""
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with suppress(OSError):
            if _is_left(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_left(folder: Path) -> bool:
    """Whether a folder was made for this user, and no process holds its lock.

    Raises:
        OSError: It cannot be told.
    """
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) != 0o700:
        return False
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
