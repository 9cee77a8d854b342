"""What a message says: a text, or a list of typed parts as OpenAI, Anthropic and Hugging Face clients write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swift.data.reasons import BAD_MEDIA, WRONG_TYPE
from swift.data.shapes.values import kind, text_value
from swift.errors import RowError
from swift.media import as_media
from swift.types import Media, MediaKind, Placed

_KINDS: dict[str, MediaKind] = {
    **dict.fromkeys(("image", "image_url", "input_image"), "image"),
    **dict.fromkeys(("video", "video_url", "input_video"), "video"),
    **dict.fromkeys(("audio", "audio_url", "input_audio"), "audio"),
}
OPTIONS = ("max_pixels", "min_pixels", "fps", "min_frames", "max_frames", "start", "end")
"""Limits of its own that a medium may have."""
_OTHER_NAMES = {"video_start": "start", "video_end": "end", "nframes": "max_frames"}


def spoken(content: Any, what: str) -> tuple[str, tuple[Placed, ...]]:
    """The text of a message, and its media with their places in it.

    A medium that a part announces but does not name (`{"type": "image"}`) has an empty source: it is to be found in
    the row's media columns.

    Raises:
        RowError: `wrong_type`; or `bad_media` for a part that cannot be understood.
    """
    if not isinstance(content, list) or not any(isinstance(part, dict) and _is_media(part) for part in content):
        return text_value(content, what), ()
    text = ""
    media = []
    for part in content:
        if isinstance(part, dict) and _is_media(part):
            media.append(Placed(len(text), _medium(part, what)))
        else:
            text += text_value([part], what)
    return text, tuple(media)


def media_options(values: Mapping[str, Any], what: str) -> dict[str, float]:
    """Limits among some values.

    Raises:
        RowError: `wrong_type`, for one that is no number.
    """
    found: dict[str, float] = {}
    for name in (*OPTIONS, *_OTHER_NAMES):
        value = values.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RowError(WRONG_TYPE, f"{what}: {name} is {kind(value)}, not a number")
        found[_OTHER_NAMES.get(name, name)] = value
    return found


def _is_media(part: Mapping[str, Any]) -> bool:
    return part.get("type") in _KINDS


def _medium(part: Mapping[str, Any], what: str) -> Media:
    named = str(part["type"])
    which = _KINDS[named]
    inner = part.get(named)
    options = media_options(part, what) | (media_options(inner, what) if isinstance(inner, Mapping) else {})
    value = inner if inner is not None else part.get(which)
    if value is None:
        value = next((part[name] for name in ("url", "path", "source", "data") if part.get(name) is not None), None)
    if value is None and part.get("base64") is not None:
        value = {"data": part["base64"]}
    if value is None:
        if set(part) - {"type"} - set(options) - set(_OTHER_NAMES):
            raise RowError(BAD_MEDIA, f"{what} has a part of type {named!r} that names no {which}")
        return Media(which, "", options=options)
    return as_media(which, value, options=options)
