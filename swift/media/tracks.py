"""The samples of a sound file or a video's sound track, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from swift.errors import MissingExtraError
from swift.media.container import opened_container, packets, require_av
from swift.media.failing import failure
from swift.media.reasons import EMPTY, UNREADABLE
from swift.media.whole import require_whole
from swift.types import Media

_BLOCK = 1 << 16
# Formats whose header says how many samples follow, so that a file that was cut off is noticed.
_COUNTED = ("WAV", "WAVEX", "FLAC", "AIFF", "W64", "RF64", "AU", "CAF")


@dataclass(frozen=True, slots=True)
class Blocks:
    """A sound that is being decoded.

    Attributes:
        rate: Samples a second.
        samples: float32 [n] each: the mean of the channels. Can be gone through once.
    """

    rate: int
    samples: Iterator[NDArray[np.float32]]


@contextmanager
def sound_blocks(file: BinaryIO, media: Media) -> Iterator[Blocks]:
    """Decode a sound while the block of code runs.

    Args:
        file: An encoded sound or video.
        media: What it is the file of.

    Raises:
        RowError: It is no sound. Taking blocks raises it where the sound is cut off.
        MissingExtraError: A library that is needed is not installed.
    """
    soundfile = _soundfile()
    require_whole(file, media)
    try:
        sound = soundfile.SoundFile(file)
    except (soundfile.SoundFileError, TypeError, ValueError):  # not one of its formats
        with opened_container(file, media) as container:
            yield _track(container, media)
    else:
        with sound:
            yield Blocks(sound.samplerate, _of_sound(sound, media))


def _of_sound(sound: Any, media: Media) -> Iterator[NDArray[np.float32]]:
    promised, got = sound.frames, 0
    while len(block := sound.read(_BLOCK, dtype="float32", always_2d=True)):
        got += len(block)
        yield _mean(block, 1)
    if got < promised and sound.format in _COUNTED:
        raise failure(UNREADABLE, media.source, f"cut off after {got:,} of {promised:,} samples")


def _track(container: Any, media: Media) -> Blocks:
    if not container.streams.audio:
        raise failure(EMPTY, media.source, "it has no sound")
    stream = container.streams.audio[0]
    rate = int(stream.codec_context.sample_rate)
    resampler = require_av("a sound").AudioResampler(format="fltp", rate=rate)
    return Blocks(rate, _of_track(container, stream, resampler, media))


def _of_track(container: Any, stream: Any, resampler: Any, media: Media) -> Iterator[NDArray[np.float32]]:
    for packet in packets(container, stream, media):
        for frame in packet.decode():
            for planar in resampler.resample(frame):
                yield _mean(planar.to_ndarray(), 0)
    for planar in resampler.resample(None):
        yield _mean(planar.to_ndarray(), 0)


def _mean(block: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    mean: NDArray[np.float32] = block.mean(axis=axis, dtype=np.float32)
    return mean


def _soundfile() -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: its own library is missing
        raise MissingExtraError("soundfile", extra="media", why="a sound") from error
    return soundfile
