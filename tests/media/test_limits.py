from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swift.config.media import MediaConfig
from swift.errors import RowError
from swift.media.limits import check_options, clip, fitted, frame_limits, pixel_limits
from swift.types import Media

SIDES = st.integers(1, 30_000)


@given(SIDES, SIDES, st.integers(1, 10_000_000), st.integers(1, 10_000_000))
def test_fitted(width: int, height: int, one: int, other: int) -> None:
    least, most = sorted((one, other))
    wide, high = fitted(width, height, (least, most))
    assert wide >= 1
    assert high >= 1
    assert wide * high <= most or (wide, high) == (1, 1)
    if least <= width * height <= most:
        assert (wide, high) == (width, height)
    elif min(wide, high) > 20:  # elsewhere whole pixels change the shape
        assert abs(math.log(wide / high) - math.log(width / height)) < 0.11


@given(SIDES, SIDES, st.integers(1, 1_000_000))
def test_what_fits_stays(width: int, height: int, most: int) -> None:
    once = fitted(width, height, (1, most))
    assert fitted(*once, (1, most)) == once


@given(SIDES, SIDES, st.integers(1, 1_000_000))
def test_small_ones_are_enlarged_to_the_limit(width: int, height: int, least: int) -> None:
    wide, high = fitted(width, height, (least, math.inf))
    assert wide * high >= least


@pytest.mark.parametrize(
    ("size", "limits", "expected"),
    [
        ((20_000, 1), (1, 100), (100, 1)),
        ((1, 20_000), (1, 100), (1, 100)),
        ((20_000, 3), (1, 1), (1, 1)),
        ((100, 50), (1, 1250), (50, 25)),
        ((100, 50), (20_000, math.inf), (200, 100)),
    ],
)
def test_edges(size: tuple[int, int], limits: tuple[int, float], expected: tuple[int, int]) -> None:
    assert fitted(*size, limits) == expected


@pytest.mark.parametrize(
    "options",
    [
        {"max_pixel": 3},
        {"max_pixels": 0},
        {"max_pixels": 1.5},
        {"max_pixels": math.nan},
        {"max_pixels": True},
        {"max_pixels": "large"},
        {"fps": 0},
        {"fps": math.inf},
        {"fps": 1e-320},
        {"max_pixels": 10**400},
        {"start": -1},
        {"max_frames": -2},
    ],
    ids=str,
)
def test_bad_options(options: dict[str, float]) -> None:
    with pytest.raises(RowError) as caught:
        check_options(options)
    assert caught.value.reason == "media_bad_option"


def test_a_rows_own_limit_wins_over_the_runs_other_one() -> None:
    config = MediaConfig(min_pixels=100, max_pixels=200)
    assert pixel_limits(Media("image", b"", options={"max_pixels": 50}), config) == (50, 50)
    assert pixel_limits(Media("image", b"", options={"min_pixels": 500}), config) == (500, 500)
    with pytest.raises(RowError, match="min_pixels"):
        pixel_limits(Media("image", b"", options={"min_pixels": 3, "max_pixels": 2}), config)
    with pytest.raises(RowError, match="at most"):
        pixel_limits(Media("image", b"", options={"min_pixels": 10**12}), MediaConfig())


def test_frame_limits() -> None:
    assert frame_limits(Media("video", b"", options={"max_frames": 2}), MediaConfig()) == (2, 2)
    assert frame_limits(Media("video", b""), MediaConfig(max_frames=2)) == (2, 2)
    assert frame_limits(Media("video", b"", options={"min_frames": 80}), MediaConfig()) == (80, 80)


def test_a_clip_ends_behind_its_start() -> None:
    assert clip(Media("video", b"")) == (0.0, math.inf)
    with pytest.raises(RowError, match="behind start"):
        clip(Media("video", b"", options={"start": 2, "end": 2}))
