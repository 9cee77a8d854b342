"""Whether a video or sound file is all there, by what its own containers say about their lengths.

Decoders take a file whose download broke off for a shorter one, and half a video would be trained on as a whole one.
"""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

from swift.media.failing import failure
from swift.media.reasons import UNREADABLE
from swift.types import Media

# Programs that write to a pipe do not know the length, and put one that no such file has.
_UNKNOWN_RIFF = 0x7FFF0000
_MOST_PARTS = 10_000
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def require_whole(file: BinaryIO, media: Media) -> None:
    """Check a WAV, AVI, MP4 (and its relatives), Matroska or WebM file; others cannot tell.

    Args:
        file: The encoded video or sound. It is left at its beginning.
        media: What it is the file of.

    Raises:
        RowError: It ends earlier than it says.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(12)
    file.seek(0)
    end = 0
    if head[:4] == b"RIFF":
        end = _riff_end(file)
    elif head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
        end = _mp4_end(file, size)
    elif head[:4] == _EBML:
        end = _matroska_end(file)
    file.seek(0)
    if end > size:
        raise failure(UNREADABLE, media.source, f"cut off: {size:,} of {end:,} bytes are there")


def _riff_end(file: BinaryIO) -> int:
    """End of a WAV's sound, or of an AVI; 0 where it is not said."""
    _, length, form = struct.unpack("<4sI4s", file.read(12))
    if form == b"AVI ":
        return 8 + length if length < _UNKNOWN_RIFF else 0
    if form != b"WAVE":
        return 0
    for _ in range(_MOST_PARTS):
        part = file.read(8)
        if len(part) < 8:
            return 0
        name, length = struct.unpack("<4sI", part)
        if name == b"data":
            return file.tell() + length if length < _UNKNOWN_RIFF else 0
        file.seek(length + length % 2, io.SEEK_CUR)
    return 0


def _mp4_end(file: BinaryIO, size: int) -> int:
    """End of the last box that begins within the file."""
    end = 0
    for _ in range(_MOST_PARTS):
        begin = end
        file.seek(begin)
        part = file.read(16)
        if len(part) < 8 or not part[4:8].isalnum():
            return begin  # nothing more, or bytes that belong to no box
        length = int.from_bytes(part[:4], "big")
        if length == 1:
            length = int.from_bytes(part[8:16], "big")
        if length < 8:
            return begin  # it goes on to the end of the file, or is damaged
        end = begin + length
        if end > size:
            return end
    return 0


def _matroska_end(file: BinaryIO) -> int:
    """End of the segment, which holds everything; 0 where it is not said."""
    file.seek(len(_EBML))
    header = _matroska_length(file)
    if header is None:
        return 0
    file.seek(header, io.SEEK_CUR)
    if file.read(len(_SEGMENT)) != _SEGMENT:
        return 0
    length = _matroska_length(file)
    return 0 if length is None else file.tell() + length


def _matroska_length(file: BinaryIO) -> int | None:
    """A number whose leading zero bits say how many bytes it has; all ones mean that it is unknown."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    more = 8 - first[0].bit_length()
    value = int.from_bytes(first + file.read(more), "big")
    ones = (1 << 7 * (more + 1)) - 1
    return None if value & ones == ones else value & ones
