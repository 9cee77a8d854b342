"""What a processor is given, as bytes in the token store: the length of a header, the header, the media."""

from __future__ import annotations

import orjson

from swift.media.store import dump, load
from swift.types import Illustrated

_LENGTH = 8


def to_bytes(shown: Illustrated | None) -> bytes:
    """Bytes of it; none for nothing."""
    if shown is None:
        return b""
    header = orjson.dumps([shown.text, shown.identity])
    return len(header).to_bytes(_LENGTH, "little") + header + dump(shown.media)


def from_bytes(data: bytes) -> Illustrated | None:
    """What `to_bytes` was given."""
    if not data:
        return None
    end = _LENGTH + int.from_bytes(data[:_LENGTH], "little")
    text, identity = orjson.loads(data[_LENGTH:end])
    return Illustrated(text, load(data[end:]), identity)
