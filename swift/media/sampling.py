"""Which frames of a video are taken."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from swift.config.media import MediaConfig
from swift.errors import RowError
from swift.media.failing import failure
from swift.media.limits import clip, frame_limits
from swift.media.reasons import EMPTY, TOO_LARGE
from swift.types import Media

LARGEST_VIDEO = 4_000_000_000
"""Bytes of all frames of one video together, at most."""

_TOLERANCE = 1e-6


def frames_per_second(media: Media, config: MediaConfig) -> float:
    """How many frames of each second are wanted."""
    return float(media.options.get("fps", config.fps))


def source_rate(times: NDArray[np.float64], stated: float) -> float:
    """Frames a second of a video.

    Args:
        times: float64 [frames], when each is shown, in seconds.
        stated: What the file says; 0 where it says nothing. It is believed if it fits.
    """
    span = float(times[-1] - times[0])
    if len(times) < 2 or span <= 0:
        return stated if stated > 0 else 1.0
    measured = (len(times) - 1) / span
    return stated if abs(stated - measured) <= 0.01 * measured else measured


def chosen(times: NDArray[np.float64], rate: float, media: Media, config: MediaConfig) -> NDArray[np.int64]:
    """Numbers of the frames to be taken, rising: evenly spread, both ends included.

    Args:
        times: float64 [frames], when each is shown, in seconds from the beginning.
        rate: The video's frames a second.
        media: Its options may have `start`, `end` and limits.
        config: The limits of the run.

    Raises:
        RowError: There are no frames, none between start and end, or a limit is out of range.
    """
    start, end = clip(media)
    least, most = frame_limits(media, config)
    if len(times) == 0:
        raise failure(EMPTY, media.source, "a video without frames")
    length = float(times[-1]) + 1 / rate
    if start >= length:
        raise failure(EMPTY, media.source, f"no frame from {start:g} s on; it is {length:.2f} s long")
    # What is on the screen at `start` began earlier.
    first = int(np.searchsorted(times, start + _TOLERANCE, side="right")) - 1
    last = int(np.searchsorted(times, end - _TOLERANCE, side="left")) - 1
    first, last = max(first, 0), max(last, first, 0)
    available = last - first + 1
    wanted = round(available / rate * frames_per_second(media, config))
    count = min(max(wanted, least), most, available)
    return np.rint(np.linspace(first, last, count)).astype(np.int64)


def room_for(count: int, width: int, height: int, media: Media) -> NDArray[np.uint8]:
    """An array uint8 [count, height, width, 3] for frames.

    Raises:
        RowError: It would take more than `LARGEST_VIDEO` bytes.
    """
    size = count * width * height * 3
    if size > LARGEST_VIDEO:
        raise too_much(count, width, height, media)
    return np.empty((count, height, width, 3), dtype=np.uint8)


def too_much(count: int, width: int, height: int, media: Media) -> RowError:
    """The error for a video whose frames do not fit."""
    what = f"{count:,} frames of {width:,} x {height:,} pixels; set media.max_pixels or media.max_frames lower"
    return failure(TOO_LARGE, media.source, what)
