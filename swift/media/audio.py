"""Sounds: from an encoded file, or a video's sound track, to samples of one channel."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swift.config.media import MediaConfig
from swift.errors import MissingExtraError
from swift.media.failing import decoding, failure
from swift.media.limits import clip
from swift.media.reasons import EMPTY, TOO_LARGE, UNREADABLE
from swift.media.source import reading, single
from swift.media.tracks import Blocks, sound_blocks
from swift.types import Media

LARGEST_SAMPLES = 1 << 28
"""Samples of the longest sound that is loaded, after resampling: 1 GiB, or 4.6 hours at 16 kHz."""


def load_audio(media: Media, config: MediaConfig, sampling_rate: int) -> NDArray[np.float32]:
    """Load a sound: the mean of its channels, resampled, from `start` to `end`.

    Args:
        media: The sound, or a video whose sound track is meant.
        config: Where media may come from, and the longest sound.
        sampling_rate: Samples a second that are wanted.

    Returns:
        float32 [samples], from about -1 to 1.

    Raises:
        RowError: The sound cannot be had or decoded, is cut off, empty, longer than `max_seconds`, or has samples
            that are no finite numbers.
        MissingExtraError: soundfile, soxr or PyAV is needed and not installed.
    """
    start, end = clip(media)
    with (
        reading(single(media), media.folder, config) as file,
        decoding(media, "sound"),
        sound_blocks(file, media) as blocks,
    ):
        part = _part(blocks, start, end, media, config)
        samples = _joined(_resampled(part, blocks.rate, sampling_rate), media)
    if len(samples) == 0:
        raise failure(EMPTY, media.source, "a sound of 0 s" if start == 0 else f"no sound from {start:g} s on")
    return samples


def _part(blocks: Blocks, start: float, end: float, media: Media, config: MediaConfig) -> Iterator[NDArray[np.float32]]:
    """The samples from `start` to `end` seconds, checked as they pass."""
    first, last = round(start * blocks.rate), math.inf if math.isinf(end) else round(end * blocks.rate)
    most = math.inf if config.max_seconds is None else config.max_seconds * blocks.rate
    at = 0
    for block in blocks.samples:
        begin, at = at, at + len(block)
        part = block[max(first - begin, 0) : int(min(last - begin, len(block)))]
        if min(at, last) - first > most:
            raise failure(TOO_LARGE, media.source, f"longer than media.max_seconds, {config.max_seconds:g} s")
        if not np.isfinite(part).all():
            raise failure(UNREADABLE, media.source, "a sound with samples that are no finite numbers")
        if len(part):
            yield part
        if at >= last:
            return


def _resampled(blocks: Iterable[NDArray[np.float32]], rate: int, sampling_rate: int) -> Iterator[NDArray[np.float32]]:
    if rate == sampling_rate:
        yield from blocks
        return
    stream = _soxr().ResampleStream(rate, sampling_rate, 1, dtype="float32")
    some = False
    for block in blocks:
        some = True
        yield stream.resample_chunk(block)
    if some:
        yield stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True)


def _joined(blocks: Iterable[NDArray[np.float32]], media: Media) -> NDArray[np.float32]:
    kept: list[NDArray[np.float32]] = []
    total = 0
    for block in blocks:
        total += len(block)
        if total > LARGEST_SAMPLES:
            raise failure(TOO_LARGE, media.source, f"more than {LARGEST_SAMPLES:,} samples")
        kept.append(block)
    return np.concatenate(kept) if kept else np.zeros(0, dtype=np.float32)


def _soxr() -> Any:
    try:
        import soxr
    except ImportError as error:
        raise MissingExtraError("soxr", extra="media", why="a sound of another sampling rate") from error
    return soxr
