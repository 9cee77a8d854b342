"""The frames of a video."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """Frames taken from a video.

    Attributes:
        frames: uint8 [n, height, width, 3], RGB.
        times: float64 [n], when each of them is shown, in seconds from the first frame of the source.
        indices: int64 [n], their numbers in the source, from 0, rising.
        source_fps: Frames a second of the source.
        source_frames: Frames of the source.
        duration: Seconds of the source.
    """

    frames: NDArray[np.uint8]
    times: NDArray[np.float64]
    indices: NDArray[np.int64]
    source_fps: float
    source_frames: int
    duration: float

    @staticmethod
    def of(frames: NDArray[np.uint8], times: NDArray[np.float64], rate: float, indices: NDArray[np.int64]) -> Video:
        """Frames `indices` of a source.

        Args:
            frames: uint8 [n, height, width, 3].
            times: float64 [source frames], of every frame of the source.
            rate: Frames a second of the source.
            indices: int64 [n].
        """
        duration = float(times[-1]) + 1 / rate
        return Video(frames, times[indices], indices, rate, len(times), duration)
