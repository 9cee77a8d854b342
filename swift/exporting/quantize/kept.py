"""Layers that a quantization has done, kept until it has done all: where it is interrupted, it goes on from there."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from swift.environments import compressor_file
from swift.environments.specs import SPECS
from swift.errors import EngineError
from swift.exporting.quantize.method import QuantPlan
from swift.hub.cache import cache_root, folder_size
from swift.hub.located import say
from swift.models.weights import require_weights

DAYS = 7
"""How long the layers of an interrupted quantization are kept."""
BYTES = 20 * 1024**3
"""How much all of them may be together, besides those that are being made."""
_LOCK = ".lock"
_PLACES = ("source", "target", "rows", "media", "shard")
"""What of a job may be different the next time: a merged source lies elsewhere, and its weights are what counts."""


@contextmanager
def kept_layers(job: Mapping[str, Any], plan: QuantPlan, environment: str) -> Iterator[str]:
    """A folder for the layers that are done, the same for the same job; it goes when the job has come to its end.

    Those of other jobs that nobody has gone on with are removed, and told.

    Args:
        job: What the worker is given.
        plan: Its weights and rows.
        environment: Name of the environment that the worker runs in.

    Raises:
        EngineError: Another process does the same job.
    """
    whole = hashlib.sha256(compressor_file().read_bytes())
    for path in [plan.source.path / "config.json", *require_weights(plan.source.path)]:
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    for row in plan.rows:
        shown = "" if row.shown is None or plan.media is None else plan.media.identity(row.shown.media)
        whole.update(row.ids.astype(np.int32).tobytes() + shown.encode() + b"|")
    fixed = {name: value for name, value in job.items() if name not in _PLACES}
    whole.update(json.dumps(fixed, sort_keys=True).encode())
    whole.update(SPECS[environment].fingerprint.encode())
    shelf = cache_root() / "quantizing"
    folder = shelf / whole.hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise EngineError("the same quantization is running already", hint="wait for it") from error
    try:
        sweep(shelf, keep=folder)
        yield str(folder)
    finally:
        lock.release()
    shutil.rmtree(folder)


def sweep(shelf: Path, keep: Path, *, days: float = DAYS, limit: int = BYTES) -> list[Path]:
    """Remove what interrupted quantizations have left: after some days, and the oldest where all are too large.

    Args:
        shelf: The folder of their folders.
        keep: One that stays. So do those that another process is at.
        days: How long they are kept behind the last layer.
        limit: Bytes of all that stay besides `keep`.

    Returns:
        The folders that were removed.
    """
    others = sorted((path for path in shelf.iterdir() if path.is_dir() and path != keep), key=_last, reverse=True)
    removed, total = [], 0
    for path in others:
        size = folder_size(path)
        total += size
        if (time.time() - _last(path) > days * 86400 or total > limit) and _remove(path):
            total -= size
            say(f"removed {size / 1e6:.1f} MB that a quantization which was interrupted had done, in {path}")
            removed.append(path)
    return removed


def _last(folder: Path) -> float:
    """When the latest layer was done, in seconds since the epoch."""
    return max((path.stat().st_mtime for path in (folder, *folder.iterdir())), default=0.0)


def _remove(folder: Path) -> bool:
    """Delete a folder, unless another process is at it."""
    try:
        with FileLock(folder / _LOCK, timeout=0):
            shutil.rmtree(folder)
    except Timeout:
        return False
    return True
