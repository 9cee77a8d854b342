from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swift.errors import DataError
from swift.media.store import dump, load
from swift.types import Media

TEXTS = st.text(st.characters(codec=None), max_size=30)  # lone surrogates too, as file names have them
ENCODED = TEXTS | st.binary(max_size=50)
NUMBERS = st.floats(allow_nan=False) | st.integers()
MEDIA = st.builds(
    Media,
    kind=st.sampled_from(["image", "video", "audio"]),
    source=ENCODED | st.lists(ENCODED, max_size=5).map(tuple),
    folder=TEXTS,
    options=st.dictionaries(st.text(max_size=10), NUMBERS, max_size=4),
)


@given(st.lists(MEDIA, max_size=5))
def test_round_trip(media: list[Media]) -> None:
    found = load(dump(media))
    assert found == tuple(media)
    for one, other in zip(found, media, strict=True):
        assert {name: type(value) for name, value in one.options.items()} == {
            name: type(value) for name, value in other.options.items()
        }


def test_numbers_that_json_does_not_know() -> None:
    options = load(dump([Media("image", b"", options={"a": math.nan, "b": -math.inf, "c": -0.0, "d": 2**80})]))[
        0
    ].options
    assert math.isnan(options["a"])
    assert options["b"] == -math.inf
    assert math.copysign(1, options["c"]) == -1
    assert options["d"] == 2**80


def test_bytes_are_stored_as_they_are() -> None:
    assert len(dump([Media("image", b"\xff" * 10_000)])) < 10_100


@given(st.lists(MEDIA, max_size=3), st.data())
def test_damage_is_noticed_or_harmless(media: list[Media], data: st.DataObject) -> None:
    stored = bytearray(dump(media))
    at = data.draw(st.integers(0, len(stored) - 1))
    stored[at] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(DataError):
        load(bytes(stored))


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"x", lambda data: data[:3]])
def test_a_wrong_length_is_noticed(change: object) -> None:
    with pytest.raises(DataError, match="damaged"):
        load(change(dump([Media("image", b"abc")])))  # type: ignore[operator]
