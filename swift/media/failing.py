"""How a medium is named in messages, and how other libraries' errors become one line for the ledger."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from swift.errors import RowError, SwiftError
from swift.media.reasons import TOO_LARGE, UNREADABLE
from swift.types import Media

Source = str | bytes | tuple[str | bytes, ...]
"""What a medium is loaded from; see `swift.types.Media`."""

_LONGEST = 120


def shown(source: Source) -> str:
    """A medium's source on one line of at most about 120 characters, without the secrets of an address."""
    if isinstance(source, bytes):
        return f"a value of {len(source):,} bytes"
    if isinstance(source, tuple):
        return f"a list of {len(source):,} frames"
    if source[:5].lower() == "data:":
        return f"{_short(source[:60], 40)} ({len(source):,} characters)"
    if source[:8].lower().startswith(("http://", "https://")):
        return _short(_without_secrets(source), _LONGEST)
    return _short(source, _LONGEST)


def failure(reason: str, source: Source, what: str) -> RowError:
    """The error for one medium.

    Args:
        reason: One of `swift.media.reasons`.
        source: What the medium was to be loaded from.
        what: What is wrong with it, in words.
    """
    return RowError(reason, f"{shown(source)}: {what}")


def one_line(error: object, limit: int = 160) -> str:
    """An error's text on one line, shortened."""
    return _short(str(error), limit) or type(error).__name__


@contextmanager
def decoding(media: Media, kind: str) -> Iterator[None]:
    """Turn whatever a decoder raises inside the block into an error of the row.

    Decoders meet arbitrary bytes and raise arbitrary types, so every one is caught, except those that the user
    can fix outside the row, such as a missing library.

    Args:
        media: The medium that is decoded.
        kind: What it should be, such as "picture".

    Raises:
        RowError: The contents cannot be decoded, or need more memory than there is.
    """
    try:
        yield
    except (RowError, SwiftError):
        raise
    except (MemoryError, Image.DecompressionBombError) as error:
        raise failure(TOO_LARGE, media.source, f"too large a {kind} to decode: {one_line(error)}") from error
    except Exception as error:
        # Errors of other types speak of a decoder's insides.
        told = one_line(error) if isinstance(error, (OSError, ValueError, SyntaxError, RuntimeError)) else ""
        raise failure(UNREADABLE, media.source, f"not a readable {kind}: {told or 'damaged or cut off'}") from error


def _short(text: str, limit: int) -> str:
    # Surrogates and control characters would break the ledger's lines or their encoding.
    line = "".join(character if character.isprintable() else " " for character in text[: limit * 4])
    line = " ".join(line.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _without_secrets(url: str) -> str:
    """Signed addresses carry their signature in the query, others a password before the host."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return url.partition("?")[0]
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{'?…' if parts.query else ''}"
