"""Videos: from whatever holds frames to the pixels of some of them."""

from __future__ import annotations

from swift.config.media import MediaConfig
from swift.media.animation import is_animation, load_animation
from swift.media.clip import Video
from swift.media.film import load_film
from swift.media.pictures import frames_of_folder, load_pictures
from swift.media.source import local_path, reading
from swift.types import Media


def load_video(media: Media, config: MediaConfig) -> Video:
    """Load frames of a video: a file, an animated picture, a folder of pictures, or a list of them.

    `fps` frames of each second are taken, but at least `min_frames` (or all there are) and at most `max_frames`,
    evenly spread over the part from `start` to `end`. Each is shrunk or enlarged as a picture is.

    Args:
        media: The video; its own limits win over the configuration's.
        config: Where media may come from, and the limits.

    Raises:
        RowError: The video cannot be had or decoded, is cut off, has no frames, or is too large.
        MissingExtraError: It is a file for which PyAV is needed, which is not installed.
    """
    if isinstance(media.source, tuple):
        return load_pictures(media.source, media, config)
    if isinstance(media.source, str):
        path = local_path(media.source, media.folder, config)
        if path is not None and path.is_dir():
            return load_pictures(frames_of_folder(path, media), media, config)
    with reading(media.source, media.folder, config) as file:
        head = file.read(64)
        file.seek(0)
        return (load_animation if is_animation(head) else load_film)(file, media, config)
