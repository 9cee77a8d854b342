"""Boxes and points drawn into pictures, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from swift.types import Spot

_COLORS = ("#e6194b", "#2f7ed8", "#f58231", "#0f9d58", "#9b30c8", "#00a0a0", "#d81b9a", "#7a5c00", "#4a4ae0", "#b00020")
_LONGEST_NAME = 40


def draw(picture: Image.Image, spots: Sequence[Spot]) -> Image.Image:
    """A copy of a picture with boxes, points and their names in it, in one color for each name.

    Args:
        picture: Of any mode.
        spots: In its pixels; which of several pictures they are in does not count.

    Returns:
        Mode RGB, of the same size.
    """
    drawn = picture.convert("RGB")
    if drawn is picture:
        drawn = picture.copy()
    pen = ImageDraw.Draw(drawn)
    width = max(2, round(min(drawn.size) / 200))
    font = ImageFont.load_default(max(11, round(min(drawn.size) / 32)))
    names = list(dict.fromkeys(spot.ref for spot in spots))
    colors = {name: _COLORS[number % len(_COLORS)] for number, name in enumerate(names)}
    for spot in spots:
        _shape(pen, spot, colors[spot.ref], width)
    # Behind all shapes, so that no name is crossed out.
    for spot in spots:
        if spot.ref:
            _name(pen, spot, colors[spot.ref], font, drawn.size)
    return drawn


def scaled(spots: Sequence[Spot], size: tuple[int, int], target: tuple[int, int]) -> list[Spot]:
    """Places in a picture of one size, in pixels of the same picture in another size."""
    ratios = (target[0] / size[0], target[1] / size[1])
    return [
        Spot(tuple(value * ratios[place % 2] for place, value in enumerate(spot.box)), spot.ref, spot.image)
        for spot in spots
    ]


def _shape(pen: ImageDraw.ImageDraw, spot: Spot, color: str, width: int) -> None:
    if len(spot.box) == 4:
        # Pillow's edges are pixels that belong to the shape: the last one is before the box's end.
        left, upper, right, lower = spot.box
        pen.rectangle((left, upper, max(left, right - 1), max(upper, lower - 1)), outline=color, width=width)
        return
    x, y = spot.box
    radius = width * 2
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color, outline="white")


def _name(
    pen: ImageDraw.ImageDraw,
    spot: Spot,
    color: str,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    size: tuple[int, int],
) -> None:
    """The name on a ground of its color: above the upper left corner, or inside where there is no room."""
    text = " ".join((spot.ref or "").split())
    text = text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 3]}..."
    try:
        left, upper, right, lower = pen.textbbox((0, 0), text, font=font)
    except UnicodeEncodeError:  # Pillow's simplest font has Latin letters only
        text = text.encode("ascii", "replace").decode()
        left, upper, right, lower = pen.textbbox((0, 0), text, font=font)
    wide, high = right - left + 4, lower - upper + 4
    x = max(0, min(spot.box[0], size[0] - wide))
    y = spot.box[1] - high if spot.box[1] >= high else min(spot.box[1], max(size[1] - high, 0))
    pen.rectangle((x, y, x + wide, y + high), fill=color)
    pen.text((x + 2 - left, y + 2 - upper), text, fill="white", font=font)
