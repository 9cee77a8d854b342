"""Drawn boxes: where they are, in which color, and that nothing else changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops

from swift.media.boxes import draw, scaled
from swift.types import Spot

GRAY = (120, 120, 120)


def changed(before: Image.Image, after: Image.Image) -> tuple[int, int, int, int] | None:
    return ImageChops.difference(before, after).getbbox()


def test_a_box_is_drawn_on_its_edges_and_not_inside() -> None:
    picture = Image.new("RGB", (200, 100), GRAY)
    drawn = draw(picture, [Spot((20, 10, 120, 60))])
    assert drawn.size == picture.size
    assert changed(picture, drawn) == (20, 10, 120, 60)
    color = drawn.getpixel((20, 10))
    assert color != GRAY
    assert [drawn.getpixel(at) for at in ((119, 59), (20, 59), (70, 10))] == [color] * 3
    assert drawn.getpixel((70, 35)) == GRAY


def test_the_picture_itself_stays_as_it_was() -> None:
    picture = Image.new("RGB", (50, 50), GRAY)
    draw(picture, [Spot((0, 0, 50, 50), "cat")])
    assert picture.getcolors() == [(2500, GRAY)]


def test_a_point_is_drawn_around_its_place() -> None:
    picture = Image.new("RGB", (100, 100), GRAY)
    found = changed(picture, draw(picture, [Spot((40, 70))]))
    assert found is not None
    assert (found[0] + found[2] - 1) / 2 == pytest.approx(40, abs=1)
    assert (found[1] + found[3] - 1) / 2 == pytest.approx(70, abs=1)


def test_one_color_for_each_name() -> None:
    picture = Image.new("RGB", (300, 300), GRAY)
    corners = [(20.0, 60.0), (20.0, 160.0), (150.0, 60.0)]
    names = ["cat", "dog", "cat"]
    spots = [Spot((*at, at[0] + 50, at[1] + 50), name) for at, name in zip(corners, names, strict=True)]
    drawn = draw(picture, spots)
    colors = [drawn.getpixel((int(x) + 49, int(y) + 49)) for x, y in corners]
    assert colors[0] == colors[2] != colors[1]


def test_a_name_is_written_above_the_box_or_inside_at_the_upper_edge() -> None:
    picture = Image.new("RGB", (300, 200), GRAY)
    above = changed(picture, draw(picture, [Spot((100, 100, 200, 150), "cat")]))
    assert above is not None
    assert above[1] < 98
    assert changed(picture, draw(picture, [Spot((100, 0, 200, 50), "cat")])) == (100, 0, 200, 50)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1", "CMYK"])
def test_pictures_of_any_mode(mode: str) -> None:
    drawn = draw(Image.new(mode, (40, 30)), [Spot((1, 1, 20, 20), "naïve 猫 🐈")])
    assert drawn.mode == "RGB"
    assert drawn.size == (40, 30)


@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.lists(st.tuples(*[st.floats(0, 1)] * 4), max_size=3),
    st.text(max_size=60),
)
def test_any_place_and_name_in_any_size(
    size: tuple[int, int], shares: list[tuple[float, float, float, float]], name: str
) -> None:
    spots = []
    for x1, y1, x2, y2 in shares:
        left, right = sorted((x1 * size[0], x2 * size[0]))
        upper, lower = sorted((y1 * size[1], y2 * size[1]))
        spots += [Spot((left, upper, right, lower), name), Spot((left, lower), name)]
    assert draw(Image.new("RGB", size), spots).size == size


def test_scaled() -> None:
    spots = [Spot((10, 20, 30, 40), "a", 2), Spot((5, 5))]
    assert scaled(spots, (100, 100), (50, 200)) == [Spot((5, 40, 15, 80), "a", 2), Spot((2.5, 10))]
