"""Videos that are given as pictures: a folder of them, or a list."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from swift.config.media import MediaConfig
from swift.media.clip import Video
from swift.media.failing import failure
from swift.media.image import image_size, load_image
from swift.media.reasons import EMPTY, UNREADABLE
from swift.media.sampling import chosen, frames_per_second, room_for
from swift.types import Media

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".avif", ".jp2")
_DIGITS = re.compile(r"(\d+)")


def frames_of_folder(folder: Path, media: Media) -> list[str]:
    """The pictures in a folder, in the order in which people count: `2.jpg` before `10.jpg`.

    Raises:
        RowError: There are none, or the folder may not be read.
    """
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError as error:
        raise failure(UNREADABLE, media.source, f"cannot be read: {error.strerror}") from error
    frames = [name for name in names if name.lower().endswith(_SUFFIXES) and not name.startswith(".")]
    if not frames:
        raise failure(EMPTY, media.source, "a folder without pictures")
    return [str(folder / name) for name in sorted(frames, key=_natural)]


def load_pictures(sources: Sequence[str | bytes], media: Media, config: MediaConfig) -> Video:
    """Load frames that are files of their own; see `swift.media.load_video`.

    They are taken to be `fps` a second, so that all are used unless there are more than `max_frames`.

    Args:
        sources: Path, address or bytes of each frame.
        media: The video.
        config: Where media may come from, and the limits.

    Raises:
        RowError: As there; also for frames of different sizes.
    """
    rate = frames_per_second(media, config)
    times = np.arange(len(sources)) / rate
    picked = chosen(times, rate, media, config)
    own = {name: value for name, value in media.options.items() if name.endswith("_pixels")}
    frames = [Media("image", sources[number], media.folder, own) for number in picked.tolist()]
    size = image_size(frames[0], config)
    pixels = room_for(len(frames), *size, media)
    for at, frame in enumerate(frames):
        picture = load_image(frame, config)
        if picture.size != size:
            what = f"{picture.width} x {picture.height} pixels, and the video's first frame has {size[0]} x {size[1]}"
            raise failure(UNREADABLE, frame.source, what)
        pixels[at] = np.asarray(picture)
    return Video.of(pixels, times, rate, picked)


def _natural(name: str) -> tuple[tuple[int, int, str], ...]:
    parts = _DIGITS.split(name.lower())
    return (*((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts), (2, 0, name))
