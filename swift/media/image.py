"""Pictures: from an encoded file to upright RGB pixels of the wanted size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import Image, TiffImagePlugin, UnidentifiedImageError
from PIL.ExifTags import Base as Tag

from swift.config.media import MediaConfig
from swift.errors import RowError
from swift.media.colors import to_rgb
from swift.media.contents import kind_of_contents
from swift.media.failing import decoding, failure
from swift.media.limits import LARGEST_PIXELS, fitted, pixel_limits
from swift.media.quiet import PILLOW_QUIET
from swift.media.reasons import TOO_LARGE, UNREADABLE
from swift.media.source import reading, single
from swift.types import Media

# What people publish pictures in. Others of Pillow's formats start programs (EPS) or need ones (WMF).
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "MPO", "AVIF", "JPEG2000", "ICO", "PPM", "DIB", "TGA")

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)


def load_image(media: Media, config: MediaConfig) -> Image.Image:
    """Load a picture: mode RGB, upright, and of a size within the limits.

    Transparent parts become white; of an animation the first frame is taken. Larger pictures than `max_pixels`
    are shrunk and smaller ones than `min_pixels` enlarged, in their own shape.

    Args:
        media: The picture; its own limits win over the configuration's.
        config: Where media may come from, and the limits.

    Raises:
        RowError: The picture cannot be had or decoded, is cut off, or has more pixels than `LARGEST_PIXELS`.
    """
    limits = pixel_limits(media, config)
    with (
        reading(single(media), media.folder, config) as file,
        opened_picture(file, media) as picture,
        decoding(media, "picture"),
    ):
        return upright(picture, limits)


def image_size(media: Media, config: MediaConfig) -> tuple[int, int]:
    """Width and height in pixels of what `load_image` returns, from the file's header alone.

    Raises:
        RowError: As `load_image`; damage behind the header is not noticed.
    """
    limits = pixel_limits(media, config)
    with (
        reading(single(media), media.folder, config) as file,
        opened_picture(file, media) as picture,
        decoding(media, "picture"),
    ):
        return fitted(*_upright_size(picture), limits)


@contextmanager
def opened_picture(file: BinaryIO, media: Media) -> Iterator[Image.Image]:
    """A file as a Pillow image whose pixels are not decoded yet.

    Args:
        file: The encoded picture.
        media: What it is the file of.

    Raises:
        RowError: It is no picture, or has more pixels than `LARGEST_PIXELS`.
    """
    with PILLOW_QUIET:
        with decoding(media, "picture"):
            picture = _identified(file, media)
        with picture:
            width, height = picture.size
            if width * height > LARGEST_PIXELS:
                raise failure(
                    TOO_LARGE, media.source, f"{width:,} x {height:,} pixels; at most {LARGEST_PIXELS:,} are decoded"
                )
            if width < 1 or height < 1:
                raise failure(UNREADABLE, media.source, f"a picture of {width} x {height} pixels")
            yield picture


def upright(picture: Image.Image, limits: tuple[int, float]) -> Image.Image:
    """Decode an opened picture, and bring it into color, size and position.

    Args:
        picture: From `opened_picture`.
        limits: Fewest and most pixels.

    Raises:
        Exception: Of many types, where it cannot be decoded: call it inside `decoding`.
    """
    orientation = _orientation(picture)
    # As the file has it, still lying on its side.
    width, height = _turned(fitted(*_upright_size(picture), limits), orientation)
    # JPEG can be decoded at a half, a quarter or an eighth of its size, at a fraction of the time and memory. Twice
    # the wanted size is left for a good filter.
    picture.draft(None, (2 * width, 2 * height))
    picture.load()
    plain = to_rgb(picture)
    if plain.size != (width, height):
        plain = plain.resize((width, height), Image.Resampling.BICUBIC)
    turn = _TURNS.get(orientation)
    plain = plain if turn is None else plain.transpose(turn)
    plain.info.clear()  # or someone turns it again
    return plain


def _identified(file: BinaryIO, media: Media) -> Image.Image:
    Image.init()
    try:
        return Image.open(file, formats=[name for name in _FORMATS if name in Image.OPEN])
    except UnidentifiedImageError as error:
        raise _not_a_picture(file, media) from error


def _not_a_picture(file: BinaryIO, media: Media) -> RowError:
    file.seek(0)
    found = kind_of_contents(file.read(4096))
    return failure(UNREADABLE, media.source, f"not a picture: {found}" if found else "not a picture that is known")


def _turned(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    return (size[1], size[0]) if orientation in _SIDEWAYS else size


def _upright_size(picture: Image.Image) -> tuple[int, int]:
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        # Before it is loaded, some versions of Pillow give its size as it lies and others as it will be.
        tags = picture.tag_v2
        return _turned((tags[Tag.ImageWidth], tags[Tag.ImageLength]), tags.get(Tag.Orientation, 1))
    return _turned(picture.size, _orientation(picture))


def _orientation(picture: Image.Image) -> int:
    """How the camera was held (1 to 8, by EXIF or XMP), as far as it stands before the pixels."""
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        return 1  # Pillow turns a TIFF while it loads it
    try:
        # PNG's own method decodes all pixels to look behind them.
        found = Image.Image.getexif(picture).get(Tag.Orientation, 1)
    except Exception:
        return 1  # what cameras and editors write there is often broken, and the picture is not
    return found if found in _TURNS else 1
