"""Media that cannot be used, and a few that only look like it: each ends in one line and a reason, not in a crash."""

from __future__ import annotations

import base64
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swift.config.media import MediaConfig
from swift.errors import RowError
from swift.media import image_size, load_audio, load_image, load_video, reasons
from swift.types import Media, MediaKind
from tests.media.support import animated, encoded, film, picture, png_header, sound, tone

Source = str | bytes | tuple[str | bytes, ...]
REASONS = {value for name, value in vars(reasons).items() if name.isupper()}


@dataclass(frozen=True)
class Case:
    """One bad medium.

    Attributes:
        kind: What it is loaded as.
        source: It, or how it is made in an empty folder.
        reason: Which reason it must end in; empty where it must be loaded.
        says: What the one line must contain.
    """

    kind: MediaKind
    source: Source | Callable[[Path], Source]
    reason: str
    says: str = ""
    options: dict[str, float] = field(default_factory=dict)
    config: MediaConfig = field(default_factory=MediaConfig)


def noise(format: str, **options: object) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (120, 160, 3)).astype(np.uint8)
    return encoded(Image.fromarray(pixels), format, **options)


def cut(data: bytes, share: float = 0.6) -> bytes:
    return data[: int(len(data) * share)]


def file(name: str, data: bytes) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        (folder / name).write_bytes(data)
        return name

    return make


def pipe(folder: Path) -> str:
    os.mkfifo(folder / "pipe.png")
    return "pipe.png"


def link(folder: Path) -> str:
    (folder / "link.png").symlink_to("/etc/hostname")
    return "link.png"


def forbidden(folder: Path) -> str:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (folder / "forbidden.png").write_bytes(b"x")
    (folder / "forbidden.png").chmod(0)
    return "forbidden.png"


def beside(folder: Path) -> str:
    (folder.parent / "beside.png").write_bytes(encoded(picture()))
    return "../beside.png"


def empty_folder(folder: Path) -> str:
    (folder / "frames").mkdir()
    (folder / "frames/notes.txt").write_text("no picture")
    return "frames"


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes that is honest about its many pixels."""
    rows = zlib.compressobj(9)
    body = rows.compress(bytes(width // 8 + 1) * height) + rows.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", body), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def false_wav(length: int) -> bytes:
    data = sound(tone(), subtype="PCM_16")
    at = data.index(b"data") + 4
    return data[:at] + struct.pack("<I", length) + data[at + 4 :]


def wide_film(width: int, height: int) -> bytes:
    """An AVI that claims frames of another size."""
    data = film(5, format="avi", codec="rawvideo")
    return data.replace(struct.pack("<II", 64, 48), struct.pack("<II", width, height))


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///etc/passwd"/></svg>'
HLS = b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
CONCAT = b"ffconcat version 1.0\nfile /etc/passwd\n"
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(/etc/passwd) run\nshowpage\n"
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF"
HTML = b"<!DOCTYPE html><html><body>404</body></html>"
PNG = encoded(picture())

BAD: dict[str, Case] = {
    # Nowhere, or somewhere else.
    "missing file": Case("image", "nothing.png", "media_missing", "there is no such file"),
    "missing folder": Case("image", "nowhere/a.png", "media_missing"),
    "file as folder": Case("image", lambda at: file("a.png", PNG)(at) + "/b.png", "media_missing"),
    "missing video": Case("video", "nothing.mp4", "media_missing"),
    "missing sound": Case("audio", "nothing.wav", "media_missing"),
    "outside by dots": Case("image", beside, "media_outside_root", "media.root=/"),
    "outside by an absolute path": Case("image", "/etc/hostname", "media_outside_root"),
    "outside by a link": Case("image", link, "media_outside_root", "a link that leads outside"),
    "outside by a file address": Case("audio", "file:///etc/hostname", "media_outside_root"),
    "outside by encoded dots": Case("image", "file:///%2e%2e/etc/hostname", "media_outside_root"),
    "outside as a frame": Case("video", ("/etc/hostname",), "media_outside_root"),
    "folder as picture": Case("image", empty_folder, "media_unreadable", "a folder, not a file"),
    "folder as sound": Case("audio", empty_folder, "media_unreadable"),
    "pipe": Case("image", pipe, "media_unreadable", "a pipe"),
    "device": Case("video", "/dev/zero", "media_unreadable", config=MediaConfig(root="/")),
    "file without permission": Case("image", forbidden, "media_unreadable", "permission denied"),
    # No source at all.
    "empty path": Case("image", "", "media_bad_source"),
    "NUL in a path": Case("image", "a\0b.png", "media_bad_source"),
    "lone surrogate in a path": Case("image", "a\ud800b.png", "media_bad_source"),
    "too long a path": Case("image", "a/" * 3000 + "a.png", "media_bad_source"),
    "too long a name": Case("image", "a" * 300 + ".png", "media_bad_source"),
    "bare base64": Case("image", base64.b64encode(noise("PNG")).decode(), "media_bad_source", "needs data:image/png"),
    "unknown scheme": Case("image", "gopher://example.org/a.png", "media_bad_source", "gopher"),
    "ftp": Case("image", "ftp://example.org/a.png", "media_bad_source"),
    "s3": Case("video", "s3://bucket/a.mp4", "media_bad_source"),
    "javascript": Case("image", "javascript:alert(1)", "media_bad_source"),
    "blob address": Case("image", "blob:https://example.org/1234", "media_bad_source"),
    "data URL without a comma": Case("image", "data:image/png;base64", "media_bad_source", "comma"),
    "data URL without contents": Case("image", "data:image/png;base64,", "media_unreadable", "0 bytes"),
    "data URL with bad base64": Case("image", "data:image/png;base64,@@@@", "media_bad_source", "not base64"),
    "data URL with cut base64": Case("image", "data:image/png;base64,iVBORw0KG", "media_bad_source"),
    "data URL of a text": Case("image", "data:text/plain,hello%20world", "media_unreadable", "text"),
    "frames as picture": Case("image", (PNG, PNG), "media_bad_source"),
    "frames as sound": Case("audio", (PNG,), "media_bad_source"),
    # The web; more in test_fetch.py.
    "private address": Case("image", "http://192.168.0.1/a.png", "media_refused_host"),
    "loopback address": Case("video", "http://127.0.0.1/a.mp4", "media_refused_host"),
    "metadata address": Case("image", "http://169.254.169.254/latest/meta-data", "media_refused_host"),
    "decimal address": Case("audio", "http://2130706433/a.wav", "media_refused_host"),
    "mapped address": Case("image", "https://[::ffff:10.0.0.1]/a.png", "media_refused_host"),
    "host that is not named": Case(
        "image", "https://example.com/a.png", "media_refused_host", config=MediaConfig(hosts=("example.org",))
    ),
    "address with a password": Case("image", "https://user:secret@example.org/a.png", "media_bad_source"),
    # Pictures.
    "zero bytes": Case("image", file("a.png", b""), "media_unreadable", "0 bytes"),
    "too many bytes": Case(
        "image", b"\x89PNG" + bytes(1_000_001), "media_too_large", "max_megabytes", config=MediaConfig(max_megabytes=1)
    ),
    "HTML instead of a picture": Case("image", file("a.jpg", HTML), "media_unreadable", "HTML"),
    "text with .png": Case("image", file("a.png", b"hello, world\n"), "media_unreadable", "text"),
    "JSON instead of a picture": Case("image", b'{"error": "expired"}', "media_unreadable", "JSON"),
    "Git LFS pointer": Case("image", b"version https://git-lfs.github.com/spec/v1\n", "media_unreadable", "Git LFS"),
    "SVG": Case("image", SVG, "media_unreadable", "SVG"),
    "SVG with a head": Case("image", b'<?xml version="1.0"?>\n' + SVG, "media_unreadable", "SVG"),
    "PDF": Case("image", PDF, "media_unreadable", "PDF"),
    "PostScript": Case("image", EPS, "media_unreadable", "PostScript"),
    "HEIC": Case("image", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "media_unreadable", "HEIF"),
    "video as picture": Case("image", film(3), "media_unreadable", "an MP4 file"),
    "sound as picture": Case("image", sound(tone()), "media_unreadable", "RIFF"),
    "random bytes": Case("image", np.random.default_rng(0).bytes(999), "media_unreadable"),
    "only the beginning of a PNG": Case("image", b"\x89PNG\r\n\x1a\n", "media_unreadable"),
    "cut JPEG": Case("image", cut(noise("JPEG")), "media_unreadable"),
    "cut JPEG, nearly whole": Case("image", cut(noise("JPEG"), 0.97), "media_unreadable"),
    "cut progressive JPEG": Case("image", cut(noise("JPEG", progressive=True)), "media_unreadable"),
    "cut PNG": Case("image", cut(noise("PNG")), "media_unreadable"),
    "cut PNG, nearly whole": Case("image", cut(noise("PNG"), 0.97), "media_unreadable"),
    "cut WebP": Case("image", cut(noise("WEBP")), "media_unreadable"),
    "cut GIF": Case("image", cut(noise("GIF")), "media_unreadable"),
    "cut BMP": Case("image", cut(noise("BMP")), "media_unreadable"),
    "cut TIFF": Case("image", cut(noise("TIFF")), "media_unreadable"),
    "cut AVIF": Case("image", cut(noise("AVIF")), "media_unreadable"),
    "cut JPEG 2000": Case("image", cut(noise("JPEG2000"), 0.1), "media_unreadable"),
    "cut PPM": Case("image", cut(noise("PPM")), "media_unreadable"),
    "PNG with a wrong checksum": Case("image", PNG.replace(PNG[-20:-16], b"\0\0\0\0"), "media_unreadable"),
    "PNG that claims 60,000 x 60,000": Case("image", png_header(60_000, 60_000), "media_too_large"),
    "PNG that claims the largest size": Case("image", png_header(2**31 - 1, 2**31 - 1), "media_too_large"),
    "PNG of no width": Case("image", png_header(0, 10), "media_unreadable"),
    "PNG that claims more than it holds": Case("image", png_header(300, 300), "media_unreadable"),
    "PNG bomb": Case("image", bomb(20_000, 20_000), "media_too_large", "pixels"),
    "floating-point pixels of any range": Case(
        "image", encoded(Image.fromarray(np.float32([[-5, 9000]])), "TIFF"), "media_unreadable", "-5 to 9000"
    ),
    "integer pixels of any range": Case(
        "image", encoded(Image.fromarray(np.int32([[-5, 9000]])), "TIFF"), "media_unreadable", "-5 to 9,000"
    ),
    "broken frame": Case("video", (PNG, cut(PNG)), "media_unreadable"),
    # Videos.
    "video of zero bytes": Case("video", file("a.mp4", b""), "media_unreadable"),
    "HTML instead of a video": Case("video", HTML, "media_unreadable", "HTML"),
    "text as video": Case("video", file("a.mp4", b"hello"), "media_unreadable"),
    "playlist of other files": Case("video", HLS, "media_unreadable"),
    "list of other files": Case("video", CONCAT, "media_unreadable"),
    "cut MP4": Case("video", cut(film(50)), "media_unreadable", "cut off"),
    "cut MP4, nearly whole": Case("video", film(50)[:-20], "media_unreadable", "cut off"),
    "MP4 without its index": Case("video", film(50)[:900], "media_unreadable"),
    "cut AVI": Case("video", cut(film(50, format="avi", codec="mjpeg"), 0.62), "media_unreadable"),
    "cut animated GIF": Case("video", cut(noise("GIF")), "media_unreadable"),
    "AVI that claims frames of 60,000 x 60,000": Case("video", wide_film(60_000, 60_000), "media_unreadable"),
    "AVI that claims frames of 16,000 x 12,000": Case("video", wide_film(16_000, 12_000), "media_too_large", "16,000"),
    "AVI that claims frames of 6,000 x 4,000": Case("video", wide_film(6_000, 4_000), "media_unreadable"),
    "sound as video": Case("video", sound(tone()), "media_empty", "no video"),
    "picture as video": Case("video", encoded(picture(), "JPEG"), "media_unreadable"),
    "still PNG as video": Case("video", PNG, "media_unreadable", "does not move"),
    "video without frames": Case("video", film(0, format="avi", codec="mjpeg"), "media_empty"),
    "folder without frames": Case("video", empty_folder, "media_empty", "a folder without pictures"),
    "list without frames": Case("video", (), "media_empty"),
    "clip behind the end": Case("video", film(50), "media_empty", "2.00 s long", {"start": 2.0}),
    "clip that ends before it starts": Case("video", film(5), "media_bad_option", options={"start": 2, "end": 1}),
    "more frames than fit": Case(
        "video", (encoded(Image.new("1", (12_000, 12_000))),) * 64, "media_too_large", "max_frames"
    ),
    # Sounds.
    "sound of zero bytes": Case("audio", file("a.wav", b""), "media_unreadable"),
    "sound of 0 s": Case("audio", sound(tone(0.0)), "media_empty", "0 s"),
    "OGG of 0 s": Case("audio", sound(tone(0.0), format="OGG"), "media_empty"),
    "HTML instead of a sound": Case("audio", HTML, "media_unreadable", "HTML"),
    "picture as sound": Case("audio", PNG, "media_unreadable", "PNG"),
    "silent video as sound": Case("audio", film(3), "media_empty", "it has no sound"),
    "cut WAV": Case("audio", cut(sound(tone())), "media_unreadable", "cut off"),
    "cut FLAC": Case("audio", cut(sound(tone(), format="FLAC")), "media_unreadable"),
    "cut sound track": Case("audio", cut(film(25, sound=tone()), 0.5), "media_unreadable"),
    "WAV that claims 1 GB": Case("audio", false_wav(1_000_000_000), "media_unreadable", "32,044 of 1,000,000,044"),
    "WAV of only a header": Case("audio", sound(tone())[:44], "media_unreadable"),
    "WAV without a format": Case("audio", b"RIFF\x24\0\0\0WAVEdata\x04\0\0\0abcd", "media_unreadable"),
    "WAV with NaN": Case("audio", sound(tone() * np.float32(np.nan), subtype="FLOAT"), "media_unreadable", "finite"),
    "WAV with infinities": Case(
        "audio", sound(np.full(99, -np.inf, np.float32), subtype="FLOAT"), "media_unreadable", "finite"
    ),
    "too long a sound": Case("audio", sound(tone(2.0)), "media_too_large", config=MediaConfig(max_seconds=1)),
    "random bytes as sound": Case("audio", np.random.default_rng(1).bytes(999), "media_unreadable"),
    # Options.
    "unknown option": Case("image", PNG, "media_bad_option", "'max_pixel'", {"max_pixel": 9}),
    "no pixels": Case("image", PNG, "media_bad_option", options={"max_pixels": 0}),
    "limits that exclude each other": Case(
        "image", PNG, "media_bad_option", options={"min_pixels": 9, "max_pixels": 8}
    ),
    "fps of 0": Case("video", film(3), "media_bad_option", options={"fps": 0}),
}

FINE: dict[str, Case] = {
    "20,000 px wide": Case("image", encoded(Image.new("L", (20_000, 50)), "PNG"), "", options={"max_pixels": 10_000}),
    "20,000 px wide, one high": Case("image", encoded(Image.new("L", (20_000, 1))), "", options={"max_pixels": 100}),
    "one pixel": Case("image", encoded(Image.new("L", (1, 1))), ""),
    "wrong extension": Case("image", file("a.mp3", encoded(picture(), "WEBP")), ""),
    "no extension": Case("image", file("a", encoded(picture(), "JPEG")), ""),
    "animated GIF": Case("image", animated(3, "GIF"), ""),
    "TIFF of several pages": Case(
        "image", encoded(picture(), "TIFF", save_all=True, append_images=[picture(9, 9)]), ""
    ),
    "16 bits": Case("image", encoded(Image.fromarray(np.full((9, 9), 40_000, np.uint16))), ""),
    "rubbish behind a JPEG": Case("image", encoded(picture(), "JPEG") + b"rubbish" * 99, ""),
    "data URL with spaces and line breaks": Case(
        "image", "data:image/png;base64," + base64.encodebytes(PNG).decode().replace("\n", "\r\n "), ""
    ),
    "data URL in percents": Case("image", "data:image/png," + "".join(f"%{byte:02x}" for byte in PNG), ""),
    "data URL of another type": Case("image", "DATA:;base64," + base64.urlsafe_b64encode(PNG).decode().rstrip("="), ""),
    "strange name": Case("image", file("ä 日本 %41 #?&.png", PNG), ""),
    "video with wrong extension": Case("video", file("a.jpg", film(5)), ""),
    "animated WebP as video": Case("video", animated(3, "WEBP"), ""),
    "still GIF as video": Case("video", encoded(picture(), "GIF"), ""),
    "one frame": Case("video", film(1), ""),
    "one sample": Case("audio", sound(tone(1 / 16000)), ""),
    "WAV that was written to a pipe": Case("audio", false_wav(0xFFFFFFFF), ""),
    "MP3 behind a WAV's name": Case("audio", file("a.wav", sound(tone(), format="MP3")), ""),
}


def load(case: Case, folder: Path) -> object:
    source = case.source(folder) if callable(case.source) else case.source
    media = Media(case.kind, source, str(folder), case.options)
    if case.kind == "image":
        return load_image(media, case.config)
    if case.kind == "video":
        return load_video(media, case.config)
    return load_audio(media, case.config, 16000)


@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_bad(case: Case, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    with pytest.raises(RowError) as caught:
        load(case, tmp_path / "root")
    error = caught.value
    assert error.reason == case.reason
    assert error.reason in REASONS
    assert case.says in error.detail
    assert error.detail.isprintable()
    assert error.detail.encode("utf-8", "strict")
    assert 0 < len(error.detail) < 420
    assert "secret" not in error.detail


@pytest.mark.parametrize("case", FINE.values(), ids=FINE.keys())
def test_fine(case: Case, tmp_path: Path) -> None:
    assert load(case, tmp_path) is not None


SAME = [name for name, case in BAD.items() if case.kind == "image" and case.reason not in ("", "media_unreadable")]


@pytest.mark.parametrize("name", SAME)
def test_the_size_is_refused_for_the_same_reason(name: str, tmp_path: Path) -> None:
    case = BAD[name]
    (tmp_path / "root").mkdir()
    source = case.source(tmp_path / "root") if callable(case.source) else case.source
    with pytest.raises(RowError) as caught:
        image_size(Media("image", source, str(tmp_path / "root"), case.options), case.config)
    assert caught.value.reason == case.reason
