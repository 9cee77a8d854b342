"""Pixels and samples that are already in memory, as the bytes of a file that loses nothing."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from swift.errors import RowError
from swift.media.colors import to_rgb
from swift.media.reasons import BAD_SOURCE

_IN_PNG = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
_MOST_CHANNELS = 32


def png_of_image(image: Image.Image) -> bytes:
    """A Pillow image as a PNG, upright.

    Raises:
        RowError: Its pixels cannot be read.
    """
    try:
        turned = ImageOps.exif_transpose(image)
        return _png(turned if turned.mode in _IN_PNG else to_rgb(turned))
    except Exception as error:  # a lazily opened file: as many types as in `swift.media.failing.decoding`
        raise RowError(BAD_SOURCE, f"a Pillow image that cannot be read: {error}") from error


def png_of_array(pixels: NDArray[Any]) -> bytes:
    """An array of pixels as a PNG.

    Args:
        pixels: uint8, or floating-point from 0 to 1; [height, width] or [height, width, channels] with 1 (gray),
            3 (RGB) or 4 (RGBA) channels.

    Raises:
        RowError: It has another type, shape or range.
    """
    shape = pixels.shape
    flat = pixels[..., 0] if pixels.ndim == 3 and shape[2] == 1 else pixels
    if flat.ndim not in (2, 3) or (flat.ndim == 3 and shape[2] not in (3, 4)) or 0 in shape:
        raise RowError(BAD_SOURCE, f"an array of shape {shape} is no picture; expected height x width x 1, 3 or 4")
    return _png(Image.fromarray(np.ascontiguousarray(_bytes_of(flat))))


def wav_of_array(samples: NDArray[Any], rate: object) -> bytes:
    """An array of samples as a WAV of 32-bit floats.

    Args:
        samples: Floating-point from -1 to 1, or integers of the full range of their type; [samples],
            [samples, channels] or [channels, samples]: the shorter axis is the channels'.
        rate: Samples a second.

    Raises:
        RowError: It has another type or shape, or the rate is no positive number.
    """
    if isinstance(rate, bool) or not isinstance(rate, (int, float, np.integer, np.floating)) or not 1 <= rate < 2**31:
        raise RowError(BAD_SOURCE, 'samples need their rate: {"array": samples, "sampling_rate": 16000}')
    if samples.ndim == 2 and samples.shape[0] < samples.shape[1]:
        samples = samples.T
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and not 1 <= samples.shape[1] <= _MOST_CHANNELS):
        raise RowError(BAD_SOURCE, f"an array of shape {samples.shape} is no sound; expected samples x channels")
    channels = samples.shape[1] if samples.ndim == 2 else 1
    data = _floats_of(samples).tobytes()
    form = struct.pack("<HHIIHH", 3, channels, int(rate), int(rate) * channels * 4, channels * 4, 32)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()


def _bytes_of(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.bool_:
        return np.asarray(pixels, dtype=np.uint8) * np.uint8(255)
    if not np.issubdtype(pixels.dtype, np.floating):
        raise RowError(BAD_SOURCE, f"pixels of type {pixels.dtype}; expected uint8, or floating-point from 0 to 1")
    # Comparisons with NaN are false.
    if not (pixels.min() >= 0 and pixels.max() <= 1):
        raise RowError(BAD_SOURCE, f"pixels from {pixels.min():g} to {pixels.max():g}; floating-point ones go to 1")
    return np.asarray(np.rint(pixels * 255), dtype=np.uint8)


def _floats_of(samples: NDArray[Any]) -> NDArray[np.float32]:
    if np.issubdtype(samples.dtype, np.floating):
        return np.asarray(samples, dtype="<f4", order="C")
    if samples.dtype in (np.int16, np.int32):
        return np.asarray(samples / -float(np.iinfo(samples.dtype).min), dtype="<f4", order="C")
    raise RowError(BAD_SOURCE, f"samples of type {samples.dtype}; expected floating-point, int16 or int32")
