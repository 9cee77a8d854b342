from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from swift.config.media import MediaConfig
from swift.errors import RowError
from swift.media import as_media, load_audio, load_image, load_video
from swift.types import Media, MediaKind
from tests.media.support import encoded, picture, sound, tone

CONFIG = MediaConfig()
PNG = encoded(picture())
WAV = sound(tone(0.1), subtype="FLOAT")


@pytest.mark.parametrize(
    ("value", "source"),
    [
        ("a.png", "a.png"),
        (Path("b") / "a.png", "b/a.png"),
        ("https://example.org/a.png", "https://example.org/a.png"),
        (PNG, PNG),
        (bytearray(PNG), PNG),
        (memoryview(PNG), PNG),
        ({"bytes": PNG, "path": None}, PNG),
        ({"bytes": PNG, "path": "a.png"}, PNG),
        ({"bytes": None, "path": "a.png"}, "a.png"),
        ({"path": "a.png"}, "a.png"),
        ({"url": "https://example.org/a.png", "detail": "high"}, "https://example.org/a.png"),
        ({"data": base64.b64encode(PNG).decode(), "format": "png"}, PNG),
        ({"data": "data:,abc", "format": "png"}, "data:,abc"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_encoded_values(value: Any, source: str | bytes) -> None:
    assert as_media("image", value) == Media("image", source)


def test_folder_and_options_go_along() -> None:
    found = as_media("video", "a.mp4", "/data", {"fps": 1.5})
    assert found == Media("video", "a.mp4", "/data", {"fps": 1.5})


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_pillow_images(mode: str) -> None:
    image = Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40)) if mode == "I;16" else picture(mode=mode)
    found = load_image(as_media("image", image), CONFIG)
    written = image.convert("RGB") if mode == "YCbCr" else image  # PNG knows no such mode
    expected = load_image(Media("image", encoded(written, "TIFF" if mode == "CMYK" else "PNG")), CONFIG)
    assert np.array_equal(np.asarray(found), np.asarray(expected))


def test_a_pillow_image_of_a_turned_camera() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.open(io.BytesIO(encoded(picture(), exif=exif)))
    assert load_image(as_media("image", image), CONFIG).size == (30, 40)


def test_a_pillow_image_that_turns_out_cut_off() -> None:
    image = Image.open(io.BytesIO(encoded(picture(300, 300), "JPEG")[:2000]))
    with pytest.raises(RowError, match="media_bad_source"):
        as_media("image", image)


@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 1), (6, 8, 3), (6, 8, 4)])
@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
def test_arrays_of_pixels(shape: tuple[int, ...], kind: type) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    if shape[-1] == 4:
        pixels[..., 3] = 255
    found = np.asarray(
        load_image(as_media("image", pixels if kind is np.uint8 else (pixels / 255).astype(kind)), CONFIG)
    )
    assert np.array_equal(found, np.broadcast_to(pixels[..., :3] if pixels.ndim == 3 else pixels[..., None], (6, 8, 3)))


def test_arrays_need_not_be_contiguous_nor_numeric() -> None:
    pixels = np.asarray(picture())[::-2, ::-2]
    assert np.array_equal(np.asarray(load_image(as_media("image", pixels), CONFIG)), pixels)
    mask = np.eye(5, dtype=bool)
    assert np.array_equal(np.asarray(load_image(as_media("image", mask), CONFIG))[..., 0] == 255, mask)


def test_an_array_is_a_video() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, 6, 8, 3)).astype(np.uint8)
    for value in (frames, frames / 255, {"array": frames}):
        assert np.array_equal(load_video(as_media("video", value), CONFIG).frames, frames)


def test_frames_of_every_kind_make_a_video(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    values = ["a.png", PNG, picture(), np.asarray(picture()), {"bytes": PNG, "path": None}, tmp_path / "a.png"]
    found = load_video(as_media("video", values, str(tmp_path)), CONFIG)
    assert found.frames.shape == (6, 30, 40, 3)
    assert (found.frames == np.asarray(picture())).all()


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int16, np.int32])
@pytest.mark.parametrize("shape", ["flat", "samples first", "channels first"])
def test_arrays_of_samples(kind: type, shape: str) -> None:
    samples = tone(0.1)
    scaled = samples.astype(kind) if np.issubdtype(kind, np.floating) else (samples * np.iinfo(kind).max).astype(kind)
    stereo = np.stack([scaled, scaled], 1)
    array = {"flat": scaled, "samples first": stereo, "channels first": stereo.T}[shape]
    for value in ({"array": array, "sampling_rate": 16000, "path": None}, (array, 16000)):
        assert load_audio(as_media("audio", value), CONFIG, 16000) == pytest.approx(samples, abs=1e-4)


def test_samples_as_a_list() -> None:
    found = load_audio(as_media("audio", {"array": [0.0, 0.5, -0.5], "sampling_rate": 16000.0}), CONFIG, 16000)
    assert found.tolist() == [0.0, 0.5, -0.5]


def test_openai_audio() -> None:
    media = as_media("audio", {"data": base64.b64encode(WAV).decode(), "format": "wav"})
    assert load_audio(media, CONFIG, 16000) == pytest.approx(tone(0.1))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("image", None),
        ("image", 3),
        ("image", ""),
        ("image", object()),
        ("image", ["a.png"]),
        ("image", {}),
        ("image", {"bytes": None, "path": None}),
        ("image", {"bytes": "iVBORw0KGgo="}),
        ("image", {"data": "not base64!"}),
        ("image", {"url": 5}),
        ("image", np.zeros((3,), np.uint8)),
        ("image", np.zeros((0, 4, 3), np.uint8)),
        ("image", np.zeros((3, 4, 4, 3), np.uint8)),
        ("image", np.zeros((4, 4, 2), np.uint8)),
        ("image", np.full((4, 4), 1.5)),
        ("image", np.full((4, 4), np.nan)),
        ("image", np.zeros((4, 4), np.int64)),
        ("image", np.array(["a"])),
        ("image", "ftp://example.org/a.png"),
        ("video", [None]),
        ("video", [["a.png"]]),
        ("video", {"a.mp4"}),
        ("video", np.zeros((4, 4, 3), object)),
        ("audio", tone()),
        ("audio", picture()),
        ("audio", (tone(), "16000")),
        ("audio", (tone(), 0)),
        ("audio", (tone(), float("nan"))),
        ("audio", {"array": tone(), "sampling_rate": None}),
        ("audio", (np.zeros((2, 2, 2)), 16000)),
        ("audio", (np.zeros((99, 99)), 16000)),
        ("audio", (np.zeros(5, bool), 16000)),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_medium(kind: MediaKind, value: Any) -> None:
    with pytest.raises(RowError) as caught:
        as_media(kind, value)
    assert caught.value.reason == "media_bad_source"
    assert "\n" not in caught.value.detail


def test_options_are_checked() -> None:
    with pytest.raises(RowError, match="media_bad_option: 'max_pixel'"):
        as_media("image", PNG, options={"max_pixel": 3})
