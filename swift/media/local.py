"""Media in local files: where a path leads, whether it may be read, and opening it without being fooled or hung."""

from __future__ import annotations

import errno
import os
import re
import stat
import urllib.parse
from pathlib import Path
from typing import BinaryIO

from swift.config.media import MediaConfig
from swift.errors import RowError
from swift.media.failing import failure
from swift.media.reasons import BAD_SOURCE, MISSING, OUTSIDE_ROOT, TOO_LARGE, UNREADABLE

_LONGEST = 4096
_HUB_REPOSITORY = re.compile(r"(.*/(?:models|datasets|spaces)--[^/]+)/snapshots/[^/]+(?:/|$)")


def path_of_url(url: str) -> str:
    """The path that a `file://` address names.

    Raises:
        RowError: It names another machine, or no path.
    """
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError as error:
        raise failure(BAD_SOURCE, url, f"not an address: {error}") from error
    if parts.netloc.lower() not in ("", "localhost"):
        raise failure(BAD_SOURCE, url, f"a file of another machine ({parts.netloc}); write file:///folder/name")
    # What stands behind ? or # belongs to the name if someone did not write it as %3F or %23.
    rest = url.split("://", 1)[1].removeprefix(parts.netloc)
    return urllib.parse.unquote(rest)


def located(path: str, folder: str, config: MediaConfig) -> Path:
    """Where a path leads: absolute, without links, and inside the folder that media may come from.

    Args:
        path: As the row names it, relative or absolute; `~` is the home folder.
        folder: What it is relative to where the configuration names no root.
        config: Its `root` is the folder that may not be left.

    Raises:
        RowError: There is no such file or folder, it lies outside, or this is no path.
    """
    if not path or "\0" in path:
        raise failure(BAD_SOURCE, path, "an empty path" if not path else "a path has no NUL character")
    try:
        if len(os.fsencode(path)) > _LONGEST:
            raise _too_long(path)
        root = os.path.abspath(os.path.expanduser(config.root) if config.root else folder or os.curdir)
        named = os.path.expanduser(path) if path.startswith("~/") else path
        lexical = os.path.normpath(os.path.join(root, named))
        real_root = os.path.realpath(root)
        if not (_inside(lexical, root) or _inside(lexical, real_root)):
            raise _outside(path, root)
        real = os.path.realpath(lexical, strict=True)
    except OSError as error:
        raise _os_failure(path, error) from error
    except ValueError as error:  # characters that no file name has
        raise failure(BAD_SOURCE, path, f"not a path: {error}") from error
    if not _inside(real, real_root) and not _inside_hub_repository(real, real_root):
        raise _outside(path, root, link=True)
    return Path(real)


def opened(path: Path, shown_as: str, config: MediaConfig) -> BinaryIO:
    """Open a regular file for reading; never waits on a pipe or a device.

    Args:
        path: From `located`.
        shown_as: How the row names it.
        config: Its `max_megabytes` bounds the file.

    Raises:
        RowError: It is no regular file, empty, too large, or may not be read.
    """
    try:
        _require_regular(path.lstat(), shown_as)
        # The file may have been exchanged since it was looked at: follow no link, wait for nobody, look again.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _os_failure(shown_as, error) from error
    file = os.fdopen(descriptor, "rb")
    try:
        found = os.fstat(descriptor)
        _require_regular(found, shown_as)
        require_size(found.st_size, shown_as, config)
    except RowError:
        file.close()
        raise
    return file


def require_size(size: int, source: str | bytes, config: MediaConfig) -> None:
    """Check the size in bytes of an encoded medium.

    Raises:
        RowError: It has no bytes, or more than `max_megabytes`.
    """
    if size == 0:
        raise failure(UNREADABLE, source, "it has 0 bytes")
    if size > config.max_megabytes * 1_000_000:
        raise failure(TOO_LARGE, source, f"{size / 1e6:,.0f} MB; media.max_megabytes is {config.max_megabytes}")


def _require_regular(found: os.stat_result, shown_as: str) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise failure(UNREADABLE, shown_as, "a folder, not a file")
    if not stat.S_ISREG(found.st_mode):
        raise failure(UNREADABLE, shown_as, "a pipe, socket or device, not a file")


def _inside(path: str, root: str) -> bool:
    return Path(path).is_relative_to(root)


def _inside_hub_repository(real: str, real_root: str) -> bool:
    """The hub's cache keeps files in `blobs`, and snapshots hold links to them."""
    repository = _HUB_REPOSITORY.match(real_root)
    return repository is not None and _inside(real, f"{repository.group(1)}/blobs")


def _outside(path: str, root: str, *, link: bool = False) -> RowError:
    how = "a link that leads outside" if link else "outside"
    return failure(OUTSIDE_ROOT, path, f"{how} the folder of media, {root}; media.root=/ allows every file")


def _too_long(path: str) -> RowError:
    return failure(BAD_SOURCE, path, "too long for a path; base64 text needs data:image/png;base64, before it")


def _os_failure(path: str, error: OSError) -> RowError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return failure(MISSING, path, "there is no such file")
    if error.errno == errno.ENAMETOOLONG:
        return _too_long(path)
    return failure(UNREADABLE, path, f"cannot be read: {(error.strerror or type(error).__name__).lower()}")
