"""How large a medium becomes: a row's own options over the run's, and sizes that fit them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from swift.config.media import MediaConfig
from swift.errors import RowError
from swift.media.reasons import BAD_OPTION
from swift.types import Media

LARGEST_PIXELS = 178_956_970
"""Pixels of the largest picture or frame that is decoded: where Pillow takes a file for an attack."""

_HUGE = 1e15
_SLOWEST = 1e-6
_WHOLE = ("max_pixels", "min_pixels", "min_frames", "max_frames")
_NAMES = (*_WHOLE, "fps", "start", "end")


def check_options(options: Mapping[str, float]) -> None:
    """Check a row's own limits.

    Raises:
        RowError: One is unknown, no number, or out of range.
    """
    for name, value in options.items():
        if name not in _NAMES:
            raise RowError(BAD_OPTION, f"{str(name)[:40]!r} is no option of a medium; known are {', '.join(_NAMES)}")
        # Comparisons with NaN are false.
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not -_HUGE < value < _HUGE:
            raise RowError(BAD_OPTION, f"{name} must be a number, not {str(value)[:40]!r}")
        if name in _WHOLE and (value != int(value) or value < 1):
            raise RowError(BAD_OPTION, f"{name} must be a whole number of at least 1, not {value:g}")
        if name == "fps" and value < _SLOWEST:
            raise RowError(BAD_OPTION, f"fps must be at least {_SLOWEST:g}, not {value:g}")
        if name in ("start", "end") and value < 0:
            raise RowError(BAD_OPTION, f"{name} must be at least 0 s, not {value:g}")


def pixel_limits(media: Media, config: MediaConfig) -> tuple[int, float]:
    """Fewest and most pixels of a picture or frame; `inf` where there is no limit.

    Raises:
        RowError: The limits are out of range or exclude each other.
    """
    check_options(media.options)
    own = media.options
    least, most = _ordered(
        "pixels", own, own.get("min_pixels", config.min_pixels or 1), own.get("max_pixels", config.max_pixels)
    )
    if least > LARGEST_PIXELS:
        raise RowError(BAD_OPTION, f"min_pixels must be at most {LARGEST_PIXELS:,}, not {int(least):,}")
    return int(least), most


def frame_limits(media: Media, config: MediaConfig) -> tuple[int, int]:
    """Fewest and most frames taken from a video.

    Raises:
        RowError: The limits are out of range or exclude each other.
    """
    check_options(media.options)
    own = media.options
    least, most = _ordered(
        "frames", own, own.get("min_frames", config.min_frames), own.get("max_frames", config.max_frames)
    )
    return int(least), int(most)


def clip(media: Media) -> tuple[float, float]:
    """Where the wanted part begins and ends, in seconds; `inf` is the end of the medium.

    Raises:
        RowError: The part is empty.
    """
    check_options(media.options)
    start, end = media.options.get("start", 0.0), media.options.get("end", math.inf)
    if end <= start:
        raise RowError(BAD_OPTION, f"end ({end:g} s) must be behind start ({start:g} s)")
    return float(start), float(end)


def fitted(width: int, height: int, limits: tuple[int, float]) -> tuple[int, int]:
    """The size to which a picture is brought, in its own shape as nearly as whole pixels allow.

    Args:
        width: The picture's width in pixels.
        height: The picture's height in pixels.
        limits: Fewest and most pixels.

    Returns:
        Width and height, each at least 1. Their product is not above the upper limit.
    """
    least, most = limits
    area = width * height
    if area > most:
        scale = math.sqrt(most / area)
        # A side that cannot become shorter than 1 leaves the other one to be cut further.
        width, height = max(1, math.floor(width * scale)), max(1, math.floor(height * scale))
        return min(width, int(most) // height) or 1, min(height, int(most) // width) or 1
    if area < least:
        scale = math.sqrt(least / area)
        wide, high = math.ceil(width * scale), math.ceil(height * scale)
        if wide * high <= most:
            return wide, high
        return max(1, math.floor(width * scale)), max(1, math.floor(height * scale))
    return width, height


def _ordered(unit: str, own: Mapping[str, float], least: float, most: float | None) -> tuple[float, float]:
    """Where the two limits exclude each other, the row's own one wins over the run's."""
    if most is None:
        return least, math.inf
    if least <= most:
        return least, most
    lower, upper = f"min_{unit}" in own, f"max_{unit}" in own
    if lower == upper and (lower or unit == "pixels"):
        raise RowError(BAD_OPTION, f"min_{unit} ({least:g}) is above max_{unit} ({most:g})")
    return (least, least) if lower else (most, most)
