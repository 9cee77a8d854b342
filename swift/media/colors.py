"""From every kind of pixel that files hold to red, green and blue."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_WHITE = (255, 255, 255, 255)


def to_rgb(picture: Image.Image) -> Image.Image:
    """A decoded picture in mode RGB.

    Transparency is laid on white. Of 16 bits the upper 8 are kept. Floating-point pixels may go to 1 or to 255.

    Raises:
        ValueError: Its values fit no such range, or its color space is unknown.
    """
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture.copy()
    if picture.mode.startswith("I"):
        return _gray(_from_16_bits(np.asarray(picture)))
    if picture.mode == "F":
        return _gray(_from_float(np.asarray(picture)))
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, _WHITE), layer).convert("RGB")
    return picture.convert("RGB")


def _gray(values: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(values).convert("RGB")


def _from_16_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65_535:
        raise ValueError(f"integer pixels from {low:,} to {high:,}; known are 0 to 65,535")
    return np.asarray(values >> 8, dtype=np.uint8)


def _from_float(values: NDArray[Any]) -> NDArray[np.uint8]:
    low, high = float(values.min()), float(values.max())
    # Comparisons with NaN are false.
    if not (low >= 0 and high <= 255):
        raise ValueError(f"floating-point pixels from {low:g} to {high:g}; known are 0 to 1 and 0 to 255")
    scaled = values * 255 if high <= 1 else values
    return np.asarray(np.rint(scaled), dtype=np.uint8)
