"""Media inside the row itself: data URLs."""

from __future__ import annotations

import base64
import binascii
import re
import urllib.parse

from swift.errors import RowError
from swift.media.failing import failure
from swift.media.reasons import BAD_SOURCE

_SPACE = re.compile(r"[ \t\r\n\f]+")
_NEITHER = re.compile(r"[^A-Za-z0-9+/=_-]")


def data_url_bytes(url: str) -> bytes:
    """The bytes that a data URL (RFC 2397) holds, as base64 or percent-encoded.

    Raises:
        RowError: It has no comma, or text that is not in its encoding.
    """
    head, comma, body = url[5:].partition(",")
    if not comma:
        raise failure(BAD_SOURCE, url, "a data URL needs a comma before its contents")
    if ";base64" not in head.lower().replace(" ", ""):
        # The text may hold characters above ASCII that someone did not encode.
        return urllib.parse.unquote_to_bytes(body.encode("utf-8", "surrogatepass"))
    return base64_bytes(urllib.parse.unquote(body), url)


def base64_bytes(text: str, source: str) -> bytes:
    """The bytes that base64 text stands for; line breaks, the URL-safe letters and missing `=` are fine.

    Args:
        text: The base64 text.
        source: How errors name it.

    Raises:
        RowError: It is not base64.
    """
    packed = _SPACE.sub("", text)
    strange = _NEITHER.search(packed)
    if strange is not None:
        raise _bad(source, f"{strange.group()!r} at character {strange.start() + 1:,}")
    packed = packed.rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _bad(source, str(error)) from error


def _bad(source: str, what: str) -> RowError:
    return failure(BAD_SOURCE, source, f"not base64: {what}")
