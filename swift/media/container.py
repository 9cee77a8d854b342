"""Opening video and sound files with FFmpeg (through PyAV)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from swift.errors import MissingExtraError
from swift.media.contents import kind_of_contents
from swift.media.failing import failure
from swift.media.reasons import UNREADABLE
from swift.types import Media

# Files of frames and samples. Others of FFmpeg's formats are lists of further files or addresses (HLS, concat) that it
# would open itself, devices, or guesses from a name.
_FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dv,eac3,flac,flv,gif,h264,hevc,ivf,m4v,matroska,mjpeg,mov,mp3,mpeg,mpegts,"
    "mpegvideo,mxf,nut,obu,ogg,rm,tta,voc,w64,wav,wv"
)
_BUFFER = 1 << 18


def require_av(why: str) -> Any:
    """The PyAV library.

    Args:
        why: What needs it, in words.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import av
        import av.error
        import av.video.reformatter
    except ImportError as error:
        raise MissingExtraError("av", extra="media", why=why) from error
    return av


@contextmanager
def opened_container(file: BinaryIO, media: Media) -> Iterator[Any]:
    """A file as a PyAV container, read from its beginning. Only this file is read, whatever it says.

    Args:
        file: The encoded video or sound.
        media: What it is the file of.

    Raises:
        RowError: It is of no known format, or damaged where the streams are described.
        MissingExtraError: PyAV is not installed.
    """
    av = require_av(f"a {media.kind}")
    file.seek(0)
    head = file.read(4096)
    file.seek(0)
    try:
        container = av.open(file, options={"format_whitelist": _FORMATS}, buffer_size=_BUFFER)
    except (av.error.FFmpegError, ValueError) as error:
        found = kind_of_contents(head)
        raise failure(
            UNREADABLE, media.source, f"not a {media.kind} that can be opened{found and f': {found}'}"
        ) from error
    with container:
        yield container


def packets(container: Any, stream: Any, media: Media) -> Iterator[Any]:
    """The packets of a stream, the one that flushes the decoder included.

    Raises:
        RowError: The file ends within a packet, or one is marked as damaged.
    """
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise failure(UNREADABLE, media.source, "cut off or damaged")
        yield packet
