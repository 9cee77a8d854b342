"""Videos in container files: what frames there are, and the pixels of some of them.

An index is read first, without decoding: when each frame is shown, and from which ones decoding can begin. Frames
that lie far apart are then reached by jumping. The index is not trusted: what is decoded must be exactly what it
promises, and where it is not, or where there is none, the whole video is decoded and its frames are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from swift.config.media import MediaConfig
from swift.media.clip import Video
from swift.media.container import opened_container, packets, require_av
from swift.media.failing import decoding, failure
from swift.media.limits import LARGEST_PIXELS, fitted, pixel_limits
from swift.media.reasons import EMPTY, TOO_LARGE
from swift.media.sampling import chosen, room_for, source_rate
from swift.media.whole import require_whole
from swift.types import Media

# Frames that are rather decoded than jumped over.
_NEAR = 8
# Codecs with packets that show nothing, which the index would count.
_UNCOUNTABLE = ("vp8",)


class _UnlikeIndexError(Exception):
    """What is decoded is not what the index promises."""


@dataclass(frozen=True, slots=True, eq=False)
class _Index:
    """When the frames of a video are shown.

    Attributes:
        shown: int64 [frames], rising, in the stream's units.
        keys: int64 [n], numbers of the frames from which decoding can begin, rising.
    """

    shown: NDArray[np.int64]
    keys: NDArray[np.int64]


def load_film(file: BinaryIO, media: Media, config: MediaConfig) -> Video:
    """Load frames of a video file; see `swift.media.load_video`.

    Raises:
        RowError: As there.
        MissingExtraError: PyAV is not installed.
    """
    with decoding(media, "video"):
        require_whole(file, media)
        index = _index(file, media)
        if index is not None:
            try:
                return _by_index(file, index, media, config)
            except _UnlikeIndexError:
                pass  # slower, and never wrong
        return _by_counting(file, media, config)


def _index(file: BinaryIO, media: Media) -> _Index | None:
    """Read the index; None where the file does not say when frames are shown."""
    shown: list[int] = []
    keys: list[int] = []
    with opened_container(file, media) as container:
        stream = _stream(container, media)
        for packet in packets(container, stream, media):
            if packet.size == 0 or packet.is_discard:
                continue
            if packet.pts is None:
                return None
            shown.append(packet.pts)
            if packet.is_keyframe:
                keys.append(packet.pts)
        if stream.codec_context.name in _UNCOUNTABLE:
            return None
    times = np.unique(np.asarray(shown, dtype=np.int64))
    if len(times) != len(shown) or len(times) == 0 or not keys:
        return None
    return _Index(times, np.searchsorted(times, np.unique(np.asarray(keys, dtype=np.int64))))


def _by_index(file: BinaryIO, index: _Index, media: Media, config: MediaConfig) -> Video:
    with opened_container(file, media) as container:
        stream = _stream(container, media)
        times = (index.shown - index.shown[0]) * float(stream.time_base)
        rate = source_rate(times, float(stream.average_rate or 0))
        picked = chosen(times, rate, media, config)
        frames = _pixels(_at(container, stream, index, picked), len(picked), media, config)
    return Video.of(frames, times, rate, picked)


def _by_counting(file: BinaryIO, media: Media, config: MediaConfig) -> Video:
    times: list[float] = []
    with opened_container(file, media) as container:
        stream = _stream(container, media)
        stated = float(stream.average_rate or 0)
        for frame in _decoded(container, stream, media):
            times.append(len(times) / (stated or 1.0) if frame.time is None else frame.time)
    if not times:
        raise failure(EMPTY, media.source, "a video without frames")
    seconds = np.asarray(times, dtype=np.float64)
    if np.any(np.diff(seconds) < 0):  # damaged clocks
        seconds = np.arange(len(times)) / (stated or 1.0)
    seconds -= seconds[0]
    rate = source_rate(seconds, stated)
    picked = chosen(seconds, rate, media, config)
    wanted = set(picked.tolist())
    with opened_container(file, media) as container:
        every = enumerate(_decoded(container, _stream(container, media), media))
        some = (frame for number, frame in every if number in wanted)
        frames = _pixels(some, len(picked), media, config)
    return Video.of(frames, seconds, rate, picked)


def _at(container: Any, stream: Any, index: _Index, picked: NDArray[np.int64]) -> Iterator[Any]:
    """Decode the frames with these numbers. Raises _UnlikeIndexError."""
    decoded: Iterator[Any] = iter(())
    begin, upcoming = 0, -1 - _NEAR
    for number in picked.tolist():
        key = int(index.keys[max(int(np.searchsorted(index.keys, number, side="right")) - 1, 0)])
        if key > upcoming + _NEAR:
            if key > 0:
                container.seek(int(index.shown[key]), stream=stream)
            decoded = container.decode(stream)
            begin = upcoming = key
        yield _forward(decoded, index, begin, upcoming, number)
        upcoming = number + 1
    if begin == 0 and upcoming == len(index.shown) and next(decoded, None) is not None:
        raise _UnlikeIndexError("more frames than in the index")


def _forward(decoded: Iterator[Any], index: _Index, begin: int, upcoming: int, number: int) -> Any:
    """Decode frame `upcoming` and all others to `number`. Raises _UnlikeIndexError if any of them is missing."""
    frame = None
    for expected in range(upcoming, number + 1):
        frame = next(decoded, None)
        # Behind a jump there may be frames that belong before it.
        while frame is not None and frame.pts is not None and frame.pts < index.shown[begin]:
            frame = next(decoded, None)
        if frame is None or frame.pts != index.shown[expected]:
            raise _UnlikeIndexError("a frame of the index is missing")
    if frame is None:
        raise _UnlikeIndexError("frames before the first key frame")
    return frame


def _decoded(container: Any, stream: Any, media: Media) -> Iterator[Any]:
    for packet in packets(container, stream, media):
        yield from packet.decode()


def _pixels(frames: Iterator[Any], count: int, media: Media, config: MediaConfig) -> NDArray[np.uint8]:
    """The pixels of decoded frames, each brought to its size before the next is decoded."""
    limits = pixel_limits(media, config)
    # One for all frames: to set up the conversion takes ten times as long as to do it.
    reformatter = require_av("a video").video.reformatter.VideoReformatter()
    pixels: NDArray[np.uint8] | None = None
    at = 0
    for frame in frames:
        sideways = frame.rotation in (90, -90, 270)
        if pixels is None:
            width, height = (frame.height, frame.width) if sideways else (frame.width, frame.height)
            pixels = room_for(count, *fitted(width, height, limits), media)
        height, width = pixels.shape[1:3]
        size = {"width": height, "height": width} if sideways else {"width": width, "height": height}
        picture = reformatter.reformat(frame, **size, format="rgb24", interpolation="BICUBIC").to_ndarray()
        pixels[at] = np.rot90(picture, round(frame.rotation / 90))
        at += 1
    if pixels is None or at < count:
        raise _UnlikeIndexError("fewer frames than were counted")
    return pixels


def _stream(container: Any, media: Media) -> Any:
    """The video stream that is shown; a sound's cover picture is none."""
    cover = require_av("a video").stream.Disposition.attached_pic
    for stream in container.streams.video:
        if stream.disposition & cover:
            continue
        context = stream.codec_context
        if context.width * context.height > LARGEST_PIXELS:
            what = f"frames of {context.width:,} x {context.height:,} pixels; at most {LARGEST_PIXELS:,} are decoded"
            raise failure(TOO_LARGE, media.source, what)
        # Also when the size changes later on.
        context.options = {"max_pixels": str(LARGEST_PIXELS)}
        stream.thread_type = "AUTO"
        return stream
    raise failure(EMPTY, media.source, "it has no video")
