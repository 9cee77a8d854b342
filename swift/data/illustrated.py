"""What a processor is given, as bytes in the token store: kinds of media, a header and its length, the media."""

from __future__ import annotations

import orjson

from swift.media.store import dump, load
from swift.types import Illustrated, MediaKind

_LENGTH = 8
_BITS: dict[MediaKind, int] = {"image": 1, "video": 2, "audio": 4}


def to_bytes(shown: Illustrated | None) -> bytes:
    """Bytes of it; none for nothing."""
    if shown is None:
        return b""
    header = orjson.dumps([shown.text, shown.identity])
    kinds = sum({_BITS[media.kind] for media in shown.media})
    return bytes([kinds]) + len(header).to_bytes(_LENGTH, "little") + header + dump(shown.media)


def from_bytes(data: bytes) -> Illustrated | None:
    """What `to_bytes` was given."""
    if not data:
        return None
    begin = 1 + _LENGTH
    end = begin + int.from_bytes(data[1:begin], "little")
    text, identity = orjson.loads(data[begin:end])
    return Illustrated(text, load(data[end:]), identity)


def kinds_of(first: int) -> frozenset[MediaKind]:
    """The kinds of media that a first byte, or several of them joined by `or`, tells of."""
    return frozenset(kind for kind, bit in _BITS.items() if first & bit)
