"""Readers: one file format a module, each a pair of functions `read` and `count`."""

from __future__ import annotations

from swift.data.readers.base import FileSource, Format
from swift.data.readers.formats import FORMATS, format_of, open_file, suffixes

__all__ = ["FORMATS", "FileSource", "Format", "format_of", "open_file", "suffixes"]
