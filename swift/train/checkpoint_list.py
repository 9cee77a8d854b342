"""The checkpoints of a run folder: finding, marking, deleting, and tidying up after a kill."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from swift.errors import CheckpointError
from swift.hub.durable import fsync
from swift.train.atomic import link_atomic
from swift.train.manifest import damage, read_manifest

PREFIX = "checkpoint-"
TEMPORARY, REPLACED = ".tmp-", ".old-"


def print_warning(line: str) -> None:
    """Show a line on standard error."""
    print(f"warning: {line}", file=sys.stderr)


def find_checkpoint(where: str | Path, run_dir: Path, *, warn: Callable[[str], None] = print_warning) -> Path:
    """The checkpoint that `where` means, every file of it checked against its hash.

    Args:
        where: `last`, or the path of a checkpoint, or its name within the run folder. `last` means the one saved
            last that is not damaged.
        run_dir: The run folder.
        warn: Is called with one line for each damaged checkpoint that is passed over.

    Raises:
        CheckpointError: There is none, or the one that was named is damaged.
    """
    if str(where) == "last":
        return _newest_undamaged(run_dir, warn)
    path = next((p for p in (Path(where), run_dir / where) if p.is_dir()), None)
    if path is None:
        known = ", ".join(p.name for _, p in reversed(by_age(run_dir))) or "none"
        raise CheckpointError(f"there is no checkpoint {str(where)!r}", hint=f"checkpoints in {run_dir}: {known}")
    if path.is_symlink() and path.name == "last":
        return _newest_undamaged(path.parent, warn)
    path = path.resolve()
    if problem := damage(path):
        raise CheckpointError(f"checkpoint {path} is damaged: {problem}", hint="resume from last, or an older one")
    return path


def mark_best(run_dir: Path, path: Path) -> None:
    """Point the run folder's `best` at checkpoint `path`."""
    link_atomic(run_dir / "best", path.name)


def prune(run_dir: Path, limit: int | None, keep: Sequence[Path] = ()) -> list[Path]:
    """Delete all checkpoints but the `limit` newest, those that `best` and `last` point at, and `keep`.

    Folders without a readable manifest are not ours to delete and stay. None as the limit keeps everything.

    Returns:
        What was deleted.
    """
    if limit is None:
        return []
    links = [run_dir / name for name in ("best", "last")]
    kept = {path.resolve() for path in (*keep, *(link for link in links if link.exists()))}
    older = [path for _, path in by_age(run_dir)][:-limit]
    doomed = [path for path in older if path.resolve() not in kept]
    for path in doomed:
        _remove(path)
    return doomed


def clean_temporary(run_dir: Path) -> list[Path]:
    """Undo what a killed process left half done; call it at the start, with no other process in the folder.

    Returns:
        The leftovers that were deleted. A checkpoint that was being replaced comes back.
    """
    for old in sorted(run_dir.glob(f"{REPLACED}*")):
        original = run_dir / old.name.removeprefix(REPLACED).partition("-")[2]
        if original.exists():
            os.rename(old, run_dir / f"{TEMPORARY}{old.name.removeprefix(REPLACED)}")
        else:
            os.rename(old, original)
    leftovers = sorted(run_dir.glob(f"{TEMPORARY}*"))
    for path in leftovers:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return leftovers


def _newest_undamaged(run_dir: Path, warn: Callable[[str], None]) -> Path:
    for path in _unreadable(run_dir):
        warn(f"{path} is passed over: {damage(path)}")
    for _, path in reversed(by_age(run_dir)):
        problem = damage(path)
        if not problem:
            return path
        warn(f"{path} is damaged ({problem}); falling back to the one before")
    raise CheckpointError(
        f"{run_dir} holds no undamaged checkpoint", hint="start the run anew, without --resume_from_checkpoint"
    )


def by_age(run_dir: Path) -> list[tuple[int, Path]]:
    """Checkpoints with a readable manifest and their sequence numbers, the oldest first."""
    unreadable = set(_unreadable(run_dir))
    return sorted((read_manifest(path).sequence, path) for path in _folders(run_dir) if path not in unreadable)


def _unreadable(run_dir: Path) -> list[Path]:
    found = []
    for path in _folders(run_dir):
        try:
            read_manifest(path)
        except CheckpointError:
            found.append(path)
    return found


def _folders(run_dir: Path) -> list[Path]:
    return sorted(
        path for path in run_dir.glob(f"{PREFIX}*") if path.is_dir() and path.name.removeprefix(PREFIX).isdigit()
    )


def _remove(path: Path) -> None:
    """Delete a checkpoint so that a kill in between leaves no half of one under its name."""
    doomed = path.with_name(f"{TEMPORARY}{secrets.token_hex(4)}-{path.name}")
    os.rename(path, doomed)
    fsync(path.parent)
    shutil.rmtree(doomed)
