"""Pictures, videos and sounds: where they may come from, and how large they become."""

from swift.config.option import Config, option


class MediaConfig(Config):
    """Media of multimodal rows. Limits hold for every medium; a row's own limits win."""

    root: str | None = option(
        None,
        "Folder that media paths are relative to and may not leave; default: the data file's own folder. "
        "Use / to allow every file.",
        "media_root",
        "media_dir",
    )
    hosts: tuple[str, ...] = option(
        (),
        "Hosts that media may be fetched from, such as images.example.org or *.example.org; default: every public "
        "one. Private and local addresses are never asked unless they are named here.",
        "media_hosts",
    )
    max_pixels: int | None = option(
        None, "Larger pictures and frames are shrunk to so many pixels, in their own shape.", "max_pixels", ge=1
    )
    min_pixels: int | None = option(
        None, "Smaller pictures and frames are enlarged to so many pixels, in their own shape.", "min_pixels", ge=1
    )
    fps: float = option(2.0, "Frames taken from each second of a video.", "video_fps", gt=0)
    min_frames: int = option(4, "Fewest frames taken from a video, if it has them.", "video_min_frames", ge=1)
    max_frames: int = option(64, "Most frames taken from a video, evenly spread.", "video_max_frames", ge=1)
    max_seconds: float | None = option(
        None, "Longest sound; a longer one is a bad row. Default: no limit.", "audio_max_seconds", gt=0
    )
    max_megabytes: int = option(512, "Largest media file that is read or fetched.", "media_max_megabytes", ge=1)
    timeout: float = option(20.0, "Seconds that fetching a medium may take.", "media_timeout", gt=0)
    cache_megabytes: int = option(
        256, "Decoded media kept in memory by each process that loads them.", "media_cache_megabytes", ge=0
    )
