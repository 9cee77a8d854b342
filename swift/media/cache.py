"""Decoded media kept in memory, so that an epoch, or a row that shows a picture twice, decodes it once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from swift.config.media import MediaConfig
from swift.media.audio import load_audio
from swift.media.clip import Video
from swift.media.image import load_image
from swift.media.source import identity
from swift.media.video import load_video
from swift.types import Media

T = TypeVar("T")

# What an entry costs besides its pixels or samples, roughly.
_OVERHEAD = 1024


class MediaCache:
    """The most recently used pictures, videos and sounds, up to a number of bytes; for any number of threads.

    What it returns is shared with later callers, and must not be changed. A file that changes is loaded again; what
    stands behind an address is taken to stay.

    Args:
        megabytes: How much is kept; 0 keeps nothing.
    """

    def __init__(self, megabytes: float) -> None:
        self._room = int(megabytes * 1_000_000)
        self._held = 0
        self._entries: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def held_bytes(self) -> int:
        """Bytes that are kept now."""
        return self._held

    def image(self, media: Media, config: MediaConfig) -> Image.Image:
        """As `load_image`."""
        return self._get("image", media, config, lambda: load_image(media, config), _image_bytes)

    def video(self, media: Media, config: MediaConfig) -> Video:
        """As `load_video`."""
        return self._get("video", media, config, lambda: load_video(media, config), _video_bytes)

    def audio(self, media: Media, config: MediaConfig, sampling_rate: int) -> NDArray[np.float32]:
        """As `load_audio`."""
        what = f"audio at {sampling_rate}"
        return self._get(what, media, config, lambda: load_audio(media, config, sampling_rate), _audio_bytes)

    def _get(self, what: str, media: Media, config: MediaConfig, load: Callable[[], T], size: Callable[[T], int]) -> T:
        if self._room == 0:
            return load()
        # The whole configuration, since it also says what may be loaded at all.
        key = (what, identity(media, config), media.folder, tuple(sorted(media.options.items())), config)
        with self._lock:
            found = self._entries.get(key)
            if found is not None:
                self._entries.move_to_end(key)
                value: T = found[0]
                return value
        # Not under the lock: two threads may load the same, and none waits for another's medium.
        value = load()
        self._keep(key, value, size(value) + _OVERHEAD)
        return value

    def _keep(self, key: Hashable, value: object, size: int) -> None:
        if size > self._room:
            return
        with self._lock:
            replaced = self._entries.pop(key, None)
            self._entries[key] = (value, size)
            self._held += size - (replaced[1] if replaced else 0)
            while self._held > self._room:
                _, (_, freed) = self._entries.popitem(last=False)
                self._held -= freed


def _image_bytes(picture: Image.Image) -> int:
    return picture.width * picture.height * 4  # Pillow keeps RGB in 32 bits


def _video_bytes(video: Video) -> int:
    return video.frames.nbytes


def _audio_bytes(samples: NDArray[np.float32]) -> int:
    return samples.nbytes
