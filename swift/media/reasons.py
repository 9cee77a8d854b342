"""Why a medium cannot be used: the constants by which ledgers count."""

from __future__ import annotations

from typing import Final

MISSING: Final = "media_missing"
"""There is no such file or folder."""
OUTSIDE_ROOT: Final = "media_outside_root"
"""The file lies outside the folder that media may come from, itself or behind a link."""
REFUSED_HOST: Final = "media_refused_host"
"""The host is not one that media may be fetched from, or has a private or local address."""
UNREACHABLE: Final = "media_unreachable"
"""The host does not answer in time, or answers with an error."""
TOO_LARGE: Final = "media_too_large"
"""More bytes, pixels or seconds than may be loaded."""
UNREADABLE: Final = "media_unreadable"
"""The contents are not what they should be: cut off, damaged, or something else altogether."""
EMPTY: Final = "media_empty"
"""No frame, or no sound."""
BAD_SOURCE: Final = "media_bad_source"
"""What the row names is no path, address or value that a medium can be loaded from."""
BAD_OPTION: Final = "media_bad_option"
"""A limit that the row sets for this medium is unknown or out of range."""
