"""Sizes of files, as they are written on the command line."""

from __future__ import annotations

import re

_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]B)", re.IGNORECASE)


def bytes_of(size: str) -> int:
    """A size such as 5GB or 500 MB, in bytes.

    Raises:
        ValueError: It is none, or of no bytes.
    """
    found = _SIZE.fullmatch(size.strip())
    count = int(float(found[1]) * _UNITS[found[2].upper()]) if found else 0
    if not count:
        raise ValueError(f"{size!r} is no size: a number above 0 with KB, MB, GB or TB, such as 5GB")
    return count


def require_size(size: str) -> str:
    """The same text, which must be a size.

    Raises:
        ValueError: It is none.
    """
    bytes_of(size)
    return size
