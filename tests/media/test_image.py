from __future__ import annotations

import io
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from swift.config.media import MediaConfig
from swift.errors import RowError
from swift.media import image_size, load_image
from swift.types import Media
from tests.media.support import animated, encoded, picture

CONFIG = MediaConfig()


def of(data: bytes, **options: float) -> Media:
    return Media("image", data, options=options)


def pixels(data: bytes, **options: float) -> np.ndarray:
    return np.asarray(load_image(of(data, **options), CONFIG))


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM", "TGA", "DIB"])
def test_lossless_formats_keep_every_pixel(format: str) -> None:
    assert np.array_equal(pixels(encoded(picture(), format)), np.asarray(picture()))


def test_of_an_icon_the_largest_size_is_taken() -> None:
    media = of(encoded(picture(64, 64), "ICO", sizes=[(16, 16), (48, 48), (32, 32)]))
    assert load_image(media, CONFIG).size == image_size(media, CONFIG) == (48, 48)


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF", "JPEG2000"])
def test_lossy_formats(format: str) -> None:
    smooth = picture(64, 48)
    assert np.abs(pixels(encoded(smooth, format)).astype(int) - np.asarray(smooth)).mean() < 8


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
@pytest.mark.parametrize("format", ["TIFF"])
def test_color_modes(mode: str, format: str) -> None:
    image = picture(mode=mode)
    data = encoded(image, format)
    try:
        Image.open(io.BytesIO(data)).load()
    except OSError as error:  # YCbCr in 12.3
        pytest.skip(f"Pillow does not read what it has written: {error}")
    assert np.array_equal(pixels(data), np.asarray(image.convert("RGB")))


def test_a_cmyk_jpeg_is_not_inverted() -> None:
    found = pixels(encoded(picture(mode="CMYK"), "JPEG", quality=95))
    assert np.abs(found.astype(int) - np.asarray(picture())).mean() < 6


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_what_is_transparent_becomes_white(mode: str) -> None:
    image = Image.new("RGBA", (4, 2), (10, 10, 10, 255))
    image.putpixel((1, 0), (200, 200, 200, 0))
    data = encoded(image.quantize(4), "PNG") if mode == "PA" else encoded(image.convert(mode), "PNG")
    found = pixels(data)
    assert found[0, 1].tolist() == [255, 255, 255]
    assert found[1, 1].tolist() == [10, 10, 10]


def test_a_half_transparent_pixel_is_mixed_with_white() -> None:
    assert pixels(encoded(Image.new("RGBA", (1, 1), (0, 0, 0, 128))))[0, 0].tolist() == [127, 127, 127]


@pytest.mark.parametrize("color", [7, (7, 7, 7)])
def test_a_transparent_color_becomes_white(color: int | tuple[int, int, int]) -> None:
    image = Image.new("L" if isinstance(color, int) else "RGB", (2, 1), color)
    image.putpixel((0, 0), 90 if isinstance(color, int) else (90, 90, 90))
    assert pixels(encoded(image, transparency=color))[0].tolist() == [[90] * 3, [255] * 3]


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_of_16_bits_the_upper_8_are_kept(format: str) -> None:
    values = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    assert np.array_equal(pixels(encoded(Image.fromarray(values), format))[..., 0], np.arange(256).reshape(16, 16))


@pytest.mark.parametrize("top", [1.0, 255.0])
def test_floating_point_pixels(top: float) -> None:
    values = (np.arange(256, dtype=np.float32) / 255 * top).reshape(16, 16)
    assert np.array_equal(pixels(encoded(Image.fromarray(values), "TIFF"))[..., 1], np.arange(256).reshape(16, 16))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_turned_camera(format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(), format, exif=exif)
    media = of(data)
    found = load_image(media, CONFIG)
    with Image.open(io.BytesIO(data)) as image:
        expected = ImageOps.exif_transpose(image).convert("RGB")
    assert np.array_equal(np.asarray(found), np.asarray(expected))
    assert image_size(media, CONFIG) == found.size
    assert found.getexif().get(0x0112) is None


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0rubbish", b"Exif\0\0MM\0*\0\0\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01"]
)
def test_broken_exif_harms_nobody(exif: bytes) -> None:
    assert load_image(of(encoded(picture(), "JPEG", exif=exif)), CONFIG).size == (40, 30)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_taken(format: str) -> None:
    assert pixels(animated(3, format))[0, 0].tolist() == [0, 0, 0]


def test_of_several_pages_the_first_one_is_taken() -> None:
    data = encoded(picture(), "TIFF", save_all=True, append_images=[Image.new("RGB", (9, 9))])
    assert np.array_equal(pixels(data), np.asarray(picture()))


def test_the_contents_count_and_not_the_name(tmp_path: Path) -> None:
    (tmp_path / "picture.txt").write_bytes(encoded(picture(), "WEBP", lossless=True))
    found = load_image(Media("image", "picture.txt", str(tmp_path)), CONFIG)
    assert np.array_equal(np.asarray(found), np.asarray(picture()))


@pytest.mark.parametrize("name", ["astronaut", "camera", "coffee", "page", "rocket"])
def test_photographs(name: str) -> None:
    expected = np.asarray(Image.fromarray(getattr(skimage.data, name)()).convert("RGB"))
    assert np.array_equal(pixels(encoded(Image.fromarray(expected))), expected)


@given(
    width=st.integers(1, 60),
    height=st.integers(1, 60),
    least=st.integers(1, 3000),
    most=st.integers(1, 3000),
    format=st.sampled_from(["PNG", "JPEG"]),
    orientation=st.sampled_from([1, 6]),
)
def test_the_size_is_known_from_the_header(
    width: int, height: int, least: int, most: int, format: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(width, height), format, exif=exif)
    media = of(data, max_pixels=max(least, most), min_pixels=min(least, most))
    found = load_image(media, CONFIG)
    assert image_size(media, CONFIG) == found.size
    assert found.width * found.height <= max(least, most)


def test_only_the_header_is_read() -> None:
    data = encoded(picture(400, 300))
    assert image_size(of(data[:200]), CONFIG) == (400, 300)


def test_shrinking_a_photograph_looks_as_it_does_elsewhere() -> None:
    photo = Image.fromarray(skimage.data.astronaut())
    for data in (encoded(photo), encoded(photo, "JPEG", quality=98)):
        found = pixels(data, max_pixels=100 * 100)
        expected = np.asarray(photo.resize((100, 100), Image.Resampling.BICUBIC))
        assert found.shape == (100, 100, 3)
        assert np.abs(found.astype(int) - expected).mean() < 3


def test_the_runs_limits_hold_where_the_row_has_none() -> None:
    config = MediaConfig(max_pixels=300, min_pixels=200)
    assert image_size(of(encoded(picture())), config) == (20, 15)
    assert image_size(of(encoded(picture()), max_pixels=75), config) == (10, 7)
    assert image_size(of(encoded(picture(4, 3))), config) == (17, 13)
    assert image_size(of(encoded(picture(4, 3)), min_pixels=12), config) == (4, 3)


def test_a_large_picture_that_is_to_be_small_is_fine() -> None:
    data = encoded(Image.new("L", (20_000, 5_000), 77), "JPEG")
    found = load_image(of(data, max_pixels=10_000), CONFIG)
    assert found.size == (200, 50)
    assert found.getpixel((5, 5)) == (77, 77, 77)


def test_warnings_of_pillow_are_no_errors_and_the_filters_stay() -> None:
    data = encoded(Image.new("1", (9_500, 9_500)))  # where Pillow warns of an attack
    sizes: list[tuple[int, int]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        threads = [threading.Thread(target=lambda: sizes.append(image_size(of(data), CONFIG))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert warnings.filters == before
    assert sizes == [(9_500, 9_500)] * 8


@pytest.mark.parametrize("name", ["1.jpg", "2.jpg", "3.jpg"])
def test_real_pictures(real_data: Path, name: str) -> None:
    media = Media("image", f"mllm_demo_data/{name}", str(real_data))
    found = load_image(media, CONFIG)
    assert found.size == image_size(media, CONFIG)
    assert len(np.unique(np.asarray(found))) > 100


def test_frames_are_no_picture() -> None:
    with pytest.raises(RowError, match="media_bad_source"):
        load_image(Media("image", (b"a", b"b")), CONFIG)
