"""A folder that appears under its name only when it is complete."""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import orjson

from swift.errors import ConfigError, ResourceError
from swift.hub.durable import settle
from swift.hub.located import say

_GIB = 1024**3
_BESIDES = 64 * 1024**2
"""Bytes for tokenizer and configuration, generously."""


@contextmanager
def new_folder(target: Path, *, overwrite: bool, sources: Sequence[Path]) -> Iterator[Path]:
    """An empty folder beside `target` to write into; it becomes `target` when the block ends well, else it is deleted.

    What an export to the same target has left behind that was killed is removed first, and a folder that it was
    replacing comes back.

    Args:
        target: The final path; where it is a link, what that points to is meant, and the link stays.
        overwrite: A folder that is there already is replaced, at the very end.
        sources: Folders that are read from, which `target` must not replace.

    Raises:
        ConfigError: `target` exists, or would replace what is read from, or the folder that this runs in.
        ResourceError: The folder cannot be written.
    """
    target = target.resolve()
    clean_up(target)
    _require_free(target, overwrite=overwrite, sources=sources)
    token = secrets.token_hex(4)
    temporary = target.with_name(f".{target.name}.new-{token}")
    unlocked = target.with_name(f".{target.name}.begun-{token}")
    with ExitStack() as locks:
        try:
            unlocked.mkdir(parents=True)
            locks.enter_context(_locked(unlocked))
            unlocked.rename(temporary)  # only now, so that nobody takes it for one that was left behind
        except OSError as error:
            raise ResourceError(f"{target.parent} cannot be written: {error.strerror}") from error
        try:
            yield temporary
            settle(temporary)
            if target.exists():
                old = target.with_name(f".{target.name}.old-{token}")
                locks.enter_context(_locked(target))
                target.rename(old)
                temporary.rename(target)
                shutil.rmtree(old)
            else:
                temporary.rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _require_free(target: Path, *, overwrite: bool, sources: Sequence[Path]) -> None:
    """Make sure that nothing is lost where the folder is to be.

    Raises:
        ConfigError: `target` exists, or would replace what is read from, or the folder that this runs in.
    """
    if any(source.exists() and _within(source.resolve(), target) for source in sources):
        raise ConfigError(f"output_dir {target} holds what is exported", hint="choose another --output_dir")
    if target.exists() and not overwrite:
        raise ConfigError(
            f"output_dir {target} exists", hint="choose another --output_dir, or replace it with --exist_ok true"
        )
    if target.exists() and not target.is_dir():
        raise ConfigError(f"output_dir {target} is a file", hint="choose another --output_dir")
    if target.exists() and _within(Path.cwd().resolve(), target):
        why = f"output_dir {target} is the folder that this runs in, or one around it, and cannot be replaced"
        raise ConfigError(why, hint="choose another --output_dir, such as a new folder in it")


def clean_up(target: Path) -> None:
    """Undo what exports to `target` have left half done whose process is gone, and tell of it.

    Raises:
        ResourceError: A folder cannot be removed.
    """
    pattern = re.compile(re.escape(f".{target.name}.") + r"(new|old)-[0-9a-f]{8}")
    found = sorted(target.parent.iterdir()) if target.parent.is_dir() else []
    for path in found:
        match = pattern.fullmatch(path.name)
        if match is None or path.is_symlink() or not path.is_dir():
            continue
        try:
            with _locked(path) as ours:
                if not ours:
                    continue  # its process lives
                if match[1] == "old" and not target.exists():
                    path.rename(target)
                    say(f"{target} is back: an export that was to replace it was killed")
                else:
                    shutil.rmtree(path)
                    say(f"removed {path}, which an export that was killed has left behind")
        except OSError as error:
            raise ResourceError(f"{path}, left behind by an export, cannot be removed: {error.strerror}") from error


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """A lock on a folder itself, which ends with this process, however that ends, and stays with it under other names.

    Yields whether it is ours: it is not where another process has it, or where the file system knows no locks.

    Raises:
        OSError: The folder cannot be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def keep_failed(folder: Path, target: Path, sources: Sequence[Path]) -> Path:
    """Move a result that is not what it should be beside where it should have gone; returns where it is now.

    An earlier one that failed is replaced. What else is there stays, and the result gets a number behind its name.

    Args:
        folder: The result.
        target: Where it should have gone.
        sources: Folders that it was made of, which may be results that failed themselves.
    """
    name = f"{target.resolve().name}-failed"
    kept = [source.resolve() for source in sources]
    for number in itertools.count(1):
        place = folder.with_name(name if number == 1 else f"{name}-{number}")
        if not os.path.lexists(place):
            break
        held = any(_within(source, place.resolve()) for source in kept)
        if place.is_dir() and not place.is_symlink() and _failed(place) and not held:
            shutil.rmtree(place)
            break
    folder.rename(place)
    return place


def _failed(folder: Path) -> bool:
    """Whether a folder holds a result that did not pass; one whose certificate cannot be read is not ours to judge."""
    try:
        found = orjson.loads((folder / "certificate.json").read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("passed") is False


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
