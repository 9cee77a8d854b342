"""From what a row names to a file that can be read, and to a fingerprint of it."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import xxhash

from swift.config.media import MediaConfig
from swift.media.failing import failure
from swift.media.fetch import fetch
from swift.media.inline import data_url_bytes
from swift.media.local import located, opened, path_of_url, require_size
from swift.media.reasons import BAD_SOURCE, MISSING
from swift.types import Media

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
# Schemes without slashes; any other word before a colon may be part of a file's name.
_WITHOUT_SLASHES = frozenset({"javascript", "blob", "about", "cid", "mailto", "urn", "vbscript"})


def scheme_of(source: str) -> str:
    """The scheme of an address in lower case, such as "https"; empty for a path.

    Raises:
        RowError: It is an address of a kind that media are not loaded from.
    """
    found = _SCHEME.match(source[:40])
    if found is None:
        return ""
    scheme = found.group(1).lower()
    if scheme == "data":
        return scheme
    if source.startswith("//", found.end()) or scheme in _WITHOUT_SLASHES:
        if scheme not in ("file", "http", "https"):
            raise failure(BAD_SOURCE, source, f"{scheme}: is not fetched; known are paths, file, http, https and data")
        return scheme
    return ""


def local_path(source: str, folder: str, config: MediaConfig) -> Path | None:
    """Where a path or `file://` address leads; None for an address of another kind.

    Raises:
        RowError: As `swift.media.local.located`.
    """
    scheme = scheme_of(source)
    if scheme not in ("", "file"):
        return None
    return located(path_of_url(source) if scheme else source, folder, config)


@contextmanager
def reading(source: str | bytes, folder: str, config: MediaConfig) -> Iterator[BinaryIO]:
    """An encoded medium, as a file that can be read and sought in; closed at the end of the block.

    Args:
        source: A path, an address, or the bytes themselves.
        folder: What relative paths are relative to where the configuration names no root.
        config: Where media may come from, and how large they may be.

    Raises:
        RowError: It cannot be had.
    """
    path = local_path(source, folder, config) if isinstance(source, str) else None
    if path is not None:
        with opened(path, str(source), config) as file:
            yield file
        return
    data = source if isinstance(source, bytes) else _remote(source, config)
    require_size(len(data), source, config)
    with io.BytesIO(data) as file:
        yield file


def single(media: Media) -> str | bytes:
    """The source of a medium that is one file. Raises RowError for a list of frames."""
    if isinstance(media.source, tuple):
        raise failure(BAD_SOURCE, media.source, f"frames make a video, not one {media.kind}")
    return media.source


def identity(media: Media, config: MediaConfig) -> str:
    """A fingerprint of what a medium is loaded from, without reading a file: a changed file has another one.

    For a file these are its path, size and time; for bytes their hash; for an address the address itself.

    Raises:
        RowError: A file is missing or lies outside the folder of media.
    """
    if not isinstance(media.source, tuple):
        return _identity(media.source, media.folder, config)
    parts = [_identity(frame, media.folder, config) for frame in media.source]
    return f"frames:{xxhash.xxh3_128_hexdigest(_bytes('|'.join(parts)))}"


def _identity(source: str | bytes, folder: str, config: MediaConfig) -> str:
    if isinstance(source, bytes):
        return f"bytes:{xxhash.xxh3_128_hexdigest(source)}"
    path = local_path(source, folder, config)
    if path is None:
        return source if scheme_of(source) != "data" else f"data:{xxhash.xxh3_128_hexdigest(_bytes(source))}"
    try:
        parts = [_stamp(path)]
        if path.is_dir():
            parts += sorted(_stamp(frame) for frame in path.iterdir())
    except OSError as error:
        raise failure(MISSING, source, "there is no such file") from error
    if len(parts) == 1:
        return f"file:{parts[0]}"
    return f"folder:{path}:{xxhash.xxh3_128_hexdigest(_bytes('|'.join(parts)))}"


def _stamp(path: Path) -> str:
    found = os.stat(path)
    return f"{path}:{found.st_size}:{found.st_mtime_ns}"


def _bytes(text: str) -> bytes:
    # File names may hold bytes that are no text, which Python keeps as surrogates.
    return text.encode("utf-8", "surrogatepass")


def _remote(source: str, config: MediaConfig) -> bytes:
    return data_url_bytes(source) if scheme_of(source) == "data" else fetch(source, config)
