"""Loading of pictures, videos and sounds: from what a row names to pixels and samples. No torch here."""

from __future__ import annotations

from swift.media.image import image_size, load_image
from swift.media.source import identity

__all__ = ["identity", "image_size", "load_image"]
