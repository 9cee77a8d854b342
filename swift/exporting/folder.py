"""A folder that appears under its name only when it is complete."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from swift.errors import ConfigError, ResourceError
from swift.hub.durable import settle

_GIB = 1024**3
_BESIDES = 64 * 1024**2
"""Bytes for tokenizer and configuration, generously."""


@contextmanager
def new_folder(target: Path, *, overwrite: bool, sources: Sequence[Path]) -> Iterator[Path]:
    """An empty folder beside `target` to write into; it becomes `target` when the block ends well, else it is deleted.

    Args:
        target: The final path.
        overwrite: A folder that is there already is replaced, at the very end.
        sources: Folders that are read from, which `target` must not replace.

    Raises:
        ConfigError: `target` exists, or would replace what is read from.
        ResourceError: The folder cannot be written.
    """
    if any(source.exists() and _within(source.resolve(), target.resolve()) for source in sources):
        raise ConfigError(f"output_dir {target} holds what is exported", hint="choose another --output_dir")
    if target.exists() and not overwrite:
        raise ConfigError(
            f"output_dir {target} exists", hint="choose another --output_dir, or replace it with --exist_ok true"
        )
    if target.exists() and not target.is_dir():
        raise ConfigError(f"output_dir {target} is a file", hint="choose another --output_dir")
    token = secrets.token_hex(4)
    temporary = target.with_name(f".{target.name}.new-{token}")
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise ResourceError(f"{target.parent} cannot be written: {error.strerror}") from error
    try:
        yield temporary
        settle(temporary)
        if target.exists():
            old = target.with_name(f".{target.name}.old-{token}")
            target.rename(old)
            temporary.rename(target)
            shutil.rmtree(old)
        else:
            temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def keep_failed(folder: Path, target: Path) -> Path:
    """Move a result that is not what it should be beside where it should have gone; returns where it is now.

    An earlier one there is replaced.
    """
    place = target.with_name(f"{target.name}-failed")
    if place.is_dir():
        shutil.rmtree(place)
    folder.rename(place)
    return place


def require_room(folder: Path, weights: int) -> None:
    """Make sure that the disk has room for weights of this many bytes.

    Raises:
        ResourceError: It has not; both numbers are named.
    """
    free = shutil.disk_usage(folder).free
    needed = weights + _BESIDES
    if free < needed:
        raise ResourceError(
            f"the disk of {folder.parent} has {free / _GIB:.2f} GiB free, and the model needs {needed / _GIB:.2f} GiB",
            hint="free some space, or choose another --output_dir",
        )


def _within(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents
