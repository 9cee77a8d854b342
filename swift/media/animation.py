"""Animated pictures (GIF, WebP, PNG) as videos."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from swift.config.media import MediaConfig
from swift.media.clip import Video
from swift.media.failing import decoding, failure
from swift.media.image import opened_picture, upright
from swift.media.limits import fitted, pixel_limits
from swift.media.reasons import TOO_LARGE, UNREADABLE
from swift.media.sampling import chosen, room_for, source_rate
from swift.types import Media

# A pixel that does not change costs no byte of the file, but time.
_MOST_PIXELS = 50_000_000_000
_DEFAULT_MS = 100.0


def is_animation(head: bytes) -> bool:
    """Whether a file with these first bytes (at least 64) is of a kind of picture that can move."""
    return head.startswith((b"GIF8", b"\x89PNG")) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def load_animation(file: BinaryIO, media: Media, config: MediaConfig) -> Video:
    """Load frames of an animated picture; see `swift.media.load_video`.

    Raises:
        RowError: As there; also for a picture that does not move, except a GIF.
    """
    limits = pixel_limits(media, config)
    with opened_picture(file, media) as picture, decoding(media, "video"):
        count = int(getattr(picture, "n_frames", 1))
        if count < 2 and picture.format != "GIF":
            raise failure(UNREADABLE, media.source, f"a {picture.format} picture that does not move is no video")
        if count * picture.width * picture.height > _MOST_PIXELS:
            raise failure(TOO_LARGE, media.source, f"{count:,} frames of {picture.width:,} x {picture.height:,} pixels")
        times = _times(picture)
        rate = source_rate(times, 0.0)
        picked = chosen(times, rate, media, config)
        pixels = room_for(len(picked), *fitted(*picture.size, limits), media)
        for at, number in enumerate(picked.tolist()):
            picture.seek(number)
            pixels[at] = np.asarray(upright(picture.copy(), limits))
    return Video.of(pixels, times, rate, picked)


def _times(picture: Image.Image) -> NDArray[np.float64]:
    """When each frame is shown, in seconds; frames without a duration stand for a tenth, as in browsers."""
    lengths: list[float] = []
    for frame in ImageSequence.Iterator(picture):
        frame.load()  # WebP says how long a frame is shown only then
        lengths.append(float(frame.info.get("duration") or _DEFAULT_MS))
    return np.concatenate(([0.0], np.cumsum(lengths[:-1]))) / 1000
