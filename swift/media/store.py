"""Media as bytes, for files and other processes: an index as JSON, then all texts and files one behind the other."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from swift.errors import DataError
from swift.types import Media

_LENGTH = struct.Struct("<I")


def dump(media: Sequence[Media]) -> bytes:
    """Media as bytes, which `load` turns into equal ones.

    Nothing is loaded: what is stored is what the rows name, with the bytes that they hold themselves.
    """
    index: list[list[Any]] = []
    pieces: list[bytes] = []
    for one in media:
        sources = one.source if isinstance(one.source, tuple) else (one.source,)
        texts = [_bytes(one.folder), *(_bytes(source) for source in sources)]
        # A negative length is that of a text.
        lengths = [
            ~len(text) if isinstance(source, str) else len(text)
            for source, text in zip(sources, texts[1:], strict=True)
        ]
        options = {name: repr(value) for name, value in one.options.items()}
        index.append([one.kind, len(texts[0]), isinstance(one.source, tuple), lengths, options])
        pieces += texts
    head = orjson.dumps(index)
    return b"".join((_LENGTH.pack(len(head)), head, *pieces))


def load(data: bytes) -> tuple[Media, ...]:
    """What `dump` has stored.

    Raises:
        DataError: The bytes are damaged.
    """
    try:
        begin = _LENGTH.size + _LENGTH.unpack_from(data)[0]
        index = orjson.loads(data[_LENGTH.size : begin])
        reader = _Pieces(data, begin)
        media = tuple(_media(entry, reader) for entry in index)
        reader.require_end()
    except (struct.error, ValueError, TypeError, IndexError, AttributeError) as error:
        raise DataError(f"stored media are damaged: {error}", hint="delete the cache folder") from error
    return media


class _Pieces:
    """Takes pieces off the bytes behind the index, in order."""

    def __init__(self, data: bytes, begin: int) -> None:
        self._data = data
        self._at = begin

    def take(self, length: int) -> bytes:
        """The next piece. Raises ValueError where it does not fit."""
        end = self._at + length
        if length < 0 or end > len(self._data):
            raise ValueError("cut off")
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def require_end(self) -> None:
        """Raises ValueError where bytes are left."""
        if self._at != len(self._data):
            raise ValueError(f"{len(self._data) - self._at} bytes too many")


def _media(entry: list[Any], pieces: _Pieces) -> Media:
    kind, folder, many, lengths, options = entry
    name = _text(pieces.take(folder))
    sources = tuple(_sources(lengths, pieces))
    return Media(kind, sources if many else sources[0], name, {key: _number(value) for key, value in options.items()})


def _sources(lengths: list[int], pieces: _Pieces) -> Iterator[str | bytes]:
    for length in lengths:
        yield _text(pieces.take(~length)) if length < 0 else pieces.take(length)


def _number(text: str) -> float:
    """`repr` is exact for both kinds of number, and knows `inf` and whole numbers beyond JSON's."""
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _bytes(source: str | bytes) -> bytes:
    # File names may hold bytes that are no text, which Python keeps as surrogates.
    return source if isinstance(source, bytes) else source.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")
