"""Files that are either whole or absent, whatever happens while they are written."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from swift.hub.durable import fsync


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A hidden name beside `path` to write to; it becomes `path`, durably, when the block ends well."""
    temporary = path.with_name(f".tmp-{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        fsync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    fsync(path.parent)


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that after a crash it holds the old content or the new, never a part."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def link_atomic(link: Path, target: str) -> None:
    """Make `link` a symbolic link to `target`, replacing an older link in one step."""
    temporary = link.with_name(f".tmp-{secrets.token_hex(4)}-{link.name}")
    os.symlink(target, temporary)
    try:
        os.replace(temporary, link)
    except OSError:
        temporary.unlink()
        raise
    fsync(link.parent)
