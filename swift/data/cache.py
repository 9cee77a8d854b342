"""Where tokenized rows are kept between runs, and under which name."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from swift.data.chunk import Encoder
from swift.data.rows import Source
from swift.errors import ResourceError
from swift.hub.cache import folder_size

CACHE_BYTES = 20 * 1024**3
"""Entries that were not used for longest are removed until the rest is no larger."""

_LAST_USED = "last_used"


def store_fingerprint(sources: Sequence[Source], wanted: NDArray[np.int64], encoder: Encoder) -> str:
    """Hash of everything that decides what is in a store.

    That is: the content of the sources, which of their rows are wanted, the encoder (tokenizer, template,
    options, plugins), the libraries that do the work, and our own code that does.
    """
    parts = [
        [source.fingerprint() for source in sources],
        hashlib.sha256(wanted.tobytes()).hexdigest(),
        encoder.fingerprint,
        [importlib.metadata.version(name) for name in ("tokenizers", "jinja2")],
        code_fingerprint(),
    ]
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()[:32]


@lru_cache(maxsize=1)
def code_fingerprint() -> str:
    """Hash of the code between a row and its tokens: a change of it must never meet older tokens."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(file for part in ("types", "chat", "data") for file in (package / part).rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


@contextmanager
def entry_folder(cache: Path, name: str) -> Iterator[Path]:
    """The folder of one entry, created if needed, ours alone until the block ends.

    Another process that wants the same entry waits, and then finds it done.

    Raises:
        ResourceError: The cache cannot be written.
    """
    folder = cache / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(
            f"tokenized rows cannot be kept in {cache}: {error.strerror}",
            hint="choose another place with --data_cache_dir, or none with --load_from_cache_file false",
        ) from error
    with open(cache / f"{name}.lock", "wb") as lock:  # the system releases the lock however the process ends
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / _LAST_USED).touch()
        yield folder


def prune(cache: Path, *, keep: str, limit: int = CACHE_BYTES) -> list[str]:
    """Remove entries that were not used for longest until the rest is no larger than `limit` bytes.

    Entries in use by another process stay; so does `keep`.

    Returns:
        The names of the removed entries.
    """
    entries = sorted((path for path in cache.iterdir() if (path / _LAST_USED).is_file()), key=_last_use)
    sizes = {path: folder_size(path) for path in entries}
    excess = sum(sizes.values()) - limit
    removed: list[str] = []
    for path in entries:
        if excess <= 0:
            break
        if path.name != keep and _remove(path):
            excess -= sizes[path]
            removed.append(path.name)
    return removed


def _last_use(folder: Path) -> int:
    return (folder / _LAST_USED).stat().st_mtime_ns


def _remove(folder: Path) -> bool:
    """Delete an entry unless another process has it."""
    lock_path = folder.with_name(f"{folder.name}.lock")
    with open(lock_path, "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        shutil.rmtree(folder)
        os.unlink(lock_path)
    return True
