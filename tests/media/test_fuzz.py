"""Bytes that nobody meant: whatever they are, they are loaded or refused as a row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swift.config.media import MediaConfig
from swift.errors import RowError
from swift.media import as_media, identity, image_size, load_audio, load_image, load_video
from swift.types import Media
from tests.media.support import animated, encoded, film, picture, sound, tone

CONFIG = MediaConfig(max_pixels=10_000, max_frames=4, timeout=0.001, hosts=("nowhere.invalid",))
OPTIONS = {"max_pixels": 5000}
SEEDS = {
    "image": [encoded(picture(), name) for name in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000")],
    "video": [
        film(8, size=(32, 32)),
        film(8, size=(32, 32), format="avi", codec="mjpeg"),
        film(8, size=(32, 32), format="webm", codec="libvpx-vp9"),
        film(8, size=(32, 32), format="mpegts", codec="mpeg4"),
        animated(4, "GIF"),
    ],
    "audio": [
        sound(tone(0.05)),
        sound(tone(0.05), format="FLAC"),
        sound(tone(0.05), format="OGG"),
        sound(tone(0.05), format="MP3"),
        film(4, size=(32, 32), sound=tone(0.2)),
    ],
}


def assert_in_words(error: RowError) -> None:
    """One line with a reason by which rows are counted."""
    assert error.reason.startswith("media_")
    assert error.detail.isprintable()


def attempt(kind: str, source: str | bytes) -> None:
    """Load it; any error but that of a row fails the test."""
    media = Media(kind, source, options=OPTIONS)  # type: ignore[arg-type]
    try:
        if kind == "image":
            size = image_size(media, CONFIG)
            assert load_image(media, CONFIG).size == size
        elif kind == "video":
            assert load_video(media, CONFIG).frames.size > 0
        else:
            assert np.isfinite(load_audio(media, CONFIG, 16000)).all()
    except RowError as error:
        assert_in_words(error)


@pytest.mark.parametrize("kind", ["image", "video", "audio"])
@given(data=st.binary(max_size=300))
def test_random_bytes(kind: str, data: bytes) -> None:
    attempt(kind, data)


@pytest.mark.parametrize("kind", ["image", "video", "audio"])
@given(data=st.data())
@settings(max_examples=150)
def test_flipped_bits_and_cuts(kind: str, data: st.DataObject) -> None:
    broken = bytearray(data.draw(st.sampled_from(SEEDS[kind])))
    # Headers break more than pixels do.
    places = st.one_of(st.integers(0, min(199, len(broken) - 1)), st.integers(0, len(broken) - 1))
    for at, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=6)):
        broken[at] = value
    attempt(kind, bytes(broken[: data.draw(st.sampled_from([None, len(broken) // 2, len(broken) - 1]))]))


@pytest.mark.parametrize("kind", ["image", "video", "audio"])
@given(source=st.text(st.characters(codec=None), max_size=80) | st.from_regex(r"(?i)(https?|file|data|ftp):[^a]{0,30}"))
def test_random_texts(kind: str, source: str) -> None:
    attempt(kind, source)
    try:
        identity(Media(kind, source), CONFIG)  # type: ignore[arg-type]
    except RowError as error:
        assert_in_words(error)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["bytes", "path", "url", "array", "sampling_rate", "data", "format"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("kind", ["image", "video", "audio"])
@given(value=VALUES)
@settings(max_examples=200)
def test_random_values(kind: str, value: object) -> None:
    try:
        as_media(kind, value)  # type: ignore[arg-type]
    except RowError as error:
        assert_in_words(error)
