"""Pictures, videos, sounds and a web site to test with."""

from __future__ import annotations

import io
import ssl
import struct
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

STEP = 4
"""Frame number i of a test film is gray of brightness 4 i."""


def picture(width: int = 40, height: int = 30, mode: str = "RGB") -> Image.Image:
    """Red grows to the right and green downwards."""
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([across, down, across * 0 + 90], -1).astype(np.uint8)).convert(mode)


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def animated(count: int, format: str, size: tuple[int, int] = (32, 24), milliseconds: int = 100) -> bytes:
    frames = [Image.new("RGB", size, (number * 20, 0, 0)) for number in range(count)]
    return encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=milliseconds, lossless=True)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds nearly nothing."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 100)
    chunks = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in ((b"IHDR", head), (b"IDAT", body), (b"IEND", b""))
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


def film(
    count: int = 50,
    *,
    size: tuple[int, int] = (64, 48),
    format: str = "mp4",
    codec: str = "libx264",
    rate: int = 25,
    times: list[int] | None = None,
    rotation: int = 0,
    sound: NDArray[np.float32] | None = None,
    options: dict[str, str] | None = None,
) -> bytes:
    """A video whose frame number i is gray of brightness `STEP` i; `times` are in units of 1 / rate."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film"
        with av.open(str(path), "w", format=format, options={"movflags": "faststart"}) as container:
            stream = container.add_stream(codec, rate=rate, options={"g": "10", **(options or {})})
            stream.width, stream.height = size
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            if rotation:
                stream.set_display_rotation(rotation)
            track = container.add_stream("aac", rate=16000, layout="mono") if sound is not None else None
            container.start_encoding()
            for number in range(count):
                gray = np.full((size[1], size[0], 3), number * STEP % 256, np.uint8)
                gray[: size[1] // 2, : size[0] // 2, 0] = 255 if rotation else gray[0, 0, 0]
                frame = av.VideoFrame.from_ndarray(gray, format="rgb24")
                frame.pts = number if times is None else times[number]
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
            if track is not None and sound is not None:
                wave = av.AudioFrame.from_ndarray(sound[None, :], format="fltp", layout="mono")
                wave.sample_rate = 16000
                wave.pts = 0
                container.mux(track.encode(wave))
                container.mux(track.encode())
        return path.read_bytes()


def numbers(frames: NDArray[np.uint8]) -> list[int]:
    """Which frames of a test film these are, by their brightness."""
    return np.rint(frames.mean(axis=(1, 2, 3)) / STEP).astype(int).tolist()


def tone(seconds: float = 1.0, rate: int = 16000, hertz: float = 440.0) -> NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def sound(samples: NDArray[np.float32], rate: int = 16000, format: str = "WAV", subtype: str | None = None) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=format, subtype=subtype)
    return out.getvalue()


Answer = Callable[[BaseHTTPRequestHandler], None]


def send(
    handler: BaseHTTPRequestHandler, data: bytes, status: int = 200, length: int | None = None, **headers: str
) -> None:
    """Answer with bytes; `length` is what is said about them."""
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(data) if length is None else length))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(data)


@contextmanager
def site(answers: dict[str, Answer], security: ssl.SSLContext | None = None) -> Iterator[str]:
    """A web site on this machine, with an answer for each path; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers.get(self.path.partition("?")[0])
            try:
                if answer is None:
                    send(self, b"no such page", 404)
                else:
                    answer(self)
            except OSError:  # the other side has hung up
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if security is not None:
        server.socket = security.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True, kwargs={"poll_interval": 0.01}).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
