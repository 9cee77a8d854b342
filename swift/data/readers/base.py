"""What every file reader shares: the source type, opening, decompressing, hashing."""

from __future__ import annotations

import gzip
import io
import itertools
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, cast

import xxhash
import zstandard

from swift.data.rows import BadRow
from swift.errors import DataError
from swift.types import Row

BOM = b"\xef\xbb\xbf"
_BLOCK = 1 << 20
_ZSTD_BLOCK = 1 << 17


@dataclass(frozen=True, slots=True)
class Format:
    """A file format.

    Attributes:
        name: Its name, part of every fingerprint.
        read: Yields the rows of (path, display name) from a row number on.
        count: How many that are, more cheaply than by reading them.
    """

    name: str
    read: Callable[[Path, str, int], Iterator[Row | BadRow]]
    count: Callable[[Path, str], int]


@dataclass(frozen=True)
class FileSource:
    """One local file as a source of rows; see `swift.data.rows.Source`.

    Attributes:
        path: The file.
        name: What the user called it.
        format: A key of `FORMATS`.
    """

    path: Path
    name: str
    format: str

    def fingerprint(self) -> str:
        """Hash of the format and the file's bytes."""
        return f"{self.format}:{content_hash(self.path, self.name)}"

    def count(self) -> int:
        """Rows in the file, bad ones included. Raises DataError where there are none."""
        return _count(self, *_stat(self.path, self.name))

    def rows(self, start: int = 0) -> Iterator[Row | BadRow]:
        """Rows from number `start` on. Raises DataError for an empty or broken file."""
        from swift.data.readers.formats import FORMATS

        items = FORMATS[self.format].read(self.path, self.name, start)
        first = next(items, None)
        if first is None:
            if start == 0:
                raise _no_rows(self.name)
            return
        folder = str(self.path.parent.resolve())
        for item in itertools.chain((first,), items):
            yield Row(item.values, item.origin, folder) if isinstance(item, Row) else item


def content_hash(path: Path, name: str) -> str:
    """Hash of a file's bytes; remembered while size and modification time stay."""
    return _content_hash(path, name, *_stat(path, name))


@contextmanager
def open_bytes(path: Path, name: str) -> Iterator[BinaryIO]:
    """A file's bytes, decompressed where its name ends in .gz or .zst.

    Raises:
        DataError: It cannot be opened, or turns out damaged while the body reads it.
    """
    try:
        with path.open("rb") as raw:
            if path.suffix.lower() == ".gz":
                with gzip.open(raw) as unzipped:
                    yield cast(BinaryIO, unzipped)
            elif path.suffix.lower() == ".zst":
                with io.BufferedReader(cast(io.RawIOBase, _ZstdFrames(raw)), _BLOCK) as buffered:
                    yield cast(BinaryIO, buffered)
            else:
                yield raw
    except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise DataError(
            f"{name} is damaged or cut off: {_one_line(error)}", hint="download or compress it again"
        ) from error
    except OSError as error:
        raise DataError(f"cannot read {name}: {error.strerror or _one_line(error)}") from error


@contextmanager
def open_utf8(path: Path, name: str) -> Iterator[BinaryIO]:
    """As `open_bytes`, for text: the byte order mark is skipped.

    Raises:
        DataError: As there; also for UTF-16.
    """
    with open_bytes(path, name) as file:
        buffered = cast(io.BufferedReader, file)
        start = buffered.peek(4)[:4]
        if start.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise DataError(f"{name} is UTF-16 text; only UTF-8 is read", hint="save it as UTF-8")
        if start.startswith(BOM):
            buffered.read(len(BOM))
        yield file


class _ZstdFrames(io.RawIOBase):
    """The text of one or more zstd frames; a frame that ends too early is an error, not an end."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._compressed = b""
        self._ready = memoryview(b"")
        self._inside = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        while not self._ready:
            data = self._compressed or self._raw.read(_ZSTD_BLOCK)
            if not data:
                if self._inside:
                    raise EOFError("the last zstd frame has no end")
                return 0
            self._inside = True
            self._ready = memoryview(self._frame.decompress(data))
            self._compressed = b""
            if self._frame.eof:
                self._compressed = self._frame.unused_data
                self._frame = zstandard.ZstdDecompressor().decompressobj()
                self._inside = False
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size


def _stat(path: Path, name: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError as error:
        raise DataError(f"cannot read {name}: {error.strerror}") from error
    return found.st_size, found.st_mtime_ns


@lru_cache(maxsize=4096)
def _content_hash(path: Path, name: str, size: int, modified: int) -> str:
    state = xxhash.xxh3_128()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                state.update(block)
    except OSError as error:
        raise DataError(f"cannot read {name}: {error.strerror}") from error
    return state.hexdigest()


@lru_cache(maxsize=4096)
def _count(source: FileSource, size: int, modified: int) -> int:
    from swift.data.readers.formats import FORMATS

    count = FORMATS[source.format].count(source.path, source.name)
    if count == 0:
        raise _no_rows(source.name)
    return count


def _no_rows(name: str) -> DataError:
    return DataError(f"{name} holds no rows", hint="every data file needs at least one row")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
