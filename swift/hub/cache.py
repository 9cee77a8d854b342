"""Where downloads and conversions are kept, and how they get there: whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from swift.hub.durable import fsync, settle


def cache_root() -> Path:
    """The folder that everything cached lies under: `SWIFT_CACHE`, else `swift` in `XDG_CACHE_HOME` or ~/.cache.

    It need not exist yet. Hugging Face and ModelScope downloads stay in those hubs' own caches.
    """
    chosen = os.environ.get("SWIFT_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "swift"


@contextlib.contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """A hidden empty folder beside `target`; it becomes `target`, durably, when the block ends well.

    Should another process have made `target` meanwhile, theirs stays and ours is removed, so the content of
    one name must not depend on who made it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".tmp-{secrets.token_hex(4)}-{target.name}")
    temporary.mkdir()
    try:
        yield temporary
        settle(temporary)
        try:
            temporary.rename(target)
        except OSError:
            if not target.is_dir():
                raise
        fsync(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def folder_size(folder: Path) -> int:
    """Bytes of all files under `folder` (links not followed); 0 where it does not exist."""
    total = 0
    for parent, _, files in os.walk(folder):
        total += sum(os.lstat(os.path.join(parent, name)).st_size for name in files)
    return total
