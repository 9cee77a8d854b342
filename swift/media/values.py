"""Values that rows hold in memory or in tables, as media."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from swift.errors import RowError
from swift.media.encode import png_of_array, png_of_image, wav_of_array
from swift.media.failing import one_line, shown
from swift.media.inline import base64_bytes
from swift.media.limits import check_options
from swift.media.reasons import BAD_SOURCE
from swift.media.source import scheme_of
from swift.types import Media, MediaKind

_Encoded = str | bytes


def as_media(kind: MediaKind, value: object, folder: str = "", options: Mapping[str, float] | None = None) -> Media:
    """A value of a row as a medium that can be loaded, stored and sent to another process.

    Args:
        kind: What it is to be.
        value: One of

            - a path, `file://`, http(s) or data URL, or the bytes of an encoded file;
            - a Pillow image, or an array of pixels (see `swift.media.encode.png_of_array`);
            - for a video: a folder of frames, a list of frames of these kinds, or an array of pixels
              [frames, height, width, channels];
            - for a sound: `{"array": samples, "sampling_rate": rate}` or the pair of both;
            - `{"bytes": ..., "path": ...}`, `{"path": ...}`, `{"url": ...}`, or, as OpenAI's API has it,
              `{"data": base64, "format": "wav"}`.
        folder: What relative paths are relative to where the configuration names no root.
        options: The row's own limits for it.

    Raises:
        RowError: It is none of these, or an option is wrong.
    """
    own = dict(options or {})
    check_options(own)
    return Media(kind, _source(kind, value), folder, own)


def _source(kind: MediaKind, value: Any) -> str | bytes | tuple[_Encoded, ...]:
    if isinstance(value, Mapping):
        return _from_mapping(kind, value)
    encoded = _encoded(value)
    if encoded is not None:
        return encoded
    if kind == "audio":
        return _sound(value)
    if kind == "image":
        return _picture(value)
    if isinstance(value, np.ndarray) and value.ndim == 4:
        return _frames(list(value))
    if isinstance(value, Sequence):
        return _frames(value)
    raise _unknown(kind, value)


def _encoded(value: object) -> _Encoded | None:
    """A path or address, or an encoded file; None for anything else."""
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, str):
        if not value:
            raise RowError(BAD_SOURCE, "an empty path")
        scheme_of(value)
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    return None


def _frames(values: Sequence[Any]) -> tuple[_Encoded, ...]:
    frames: list[_Encoded] = []
    for value in values:
        frame = _source("image", value)
        if isinstance(frame, tuple):
            raise _unknown("image", value)
        frames.append(frame)
    return tuple(frames)


def _picture(value: object) -> bytes:
    if isinstance(value, Image.Image):
        return png_of_image(value)
    if isinstance(value, np.ndarray):
        return png_of_array(value)
    raise _unknown("image", value)


def _sound(value: object) -> bytes:
    if isinstance(value, np.ndarray):
        return wav_of_array(value, None)
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], np.ndarray):
        return wav_of_array(value[0], value[1])
    raise _unknown("audio", value)


def _from_mapping(kind: MediaKind, value: Mapping[Any, Any]) -> str | bytes | tuple[_Encoded, ...]:
    """Tables of pictures and sounds have columns of structures, and chat APIs have parts."""
    if value.get("array") is not None:
        array = _array(value["array"])
        return _source(kind, (array, value.get("sampling_rate")) if kind == "audio" else array)
    if value.get("bytes") is not None:
        data = value["bytes"]
        if not isinstance(data, bytes | bytearray | memoryview):
            raise RowError(BAD_SOURCE, f'"bytes" must be bytes, not {type(data).__name__}; for base64 use a data URL')
        return bytes(data)
    if value.get("data") is not None and isinstance(value["data"], str):
        text = value["data"]
        return text if text[:5].lower() == "data:" else base64_bytes(text, f'"data": {text[:20]}')
    for key in ("path", "url"):
        found = _encoded(value.get(key))
        if found is not None:
            return found
    keys = ", ".join(str(key)[:20] for key in list(value)[:6])
    raise RowError(
        BAD_SOURCE, f"a mapping of {keys or 'nothing'} names no {kind}: none of bytes, path, url, array, data"
    )


def _array(value: object) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except Exception as error:  # lists of whatever, and whatever turns itself into an array
        raise RowError(BAD_SOURCE, f'"array" is no array: {one_line(error)}') from error


def _unknown(kind: str, value: object) -> RowError:
    named = shown(value) if isinstance(value, str | bytes) else type(value).__name__
    return RowError(BAD_SOURCE, f"a value of type {named} is no {kind}")
