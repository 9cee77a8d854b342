"""Loading of pictures, videos and sounds: from what a row names to pixels and samples. No torch here.

    media = as_media("image", {"path": "cats/1.jpg"}, folder="/data")
    picture = load_image(media, MediaConfig())

What may be read is bounded by `MediaConfig`: a folder for files, hosts for addresses, bytes, pixels and seconds. A
medium that cannot be used raises `RowError` with one of `swift.media.reasons`, whatever its bytes are.
"""

from __future__ import annotations

from swift.media.audio import load_audio
from swift.media.cache import MediaCache
from swift.media.clip import Video
from swift.media.image import image_size, load_image
from swift.media.source import identity
from swift.media.values import as_media
from swift.media.video import load_video

__all__ = ["MediaCache", "Video", "as_media", "identity", "image_size", "load_audio", "load_image", "load_video"]
