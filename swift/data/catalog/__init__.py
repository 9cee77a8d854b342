"""Data sets known by name: data only, no code per data set."""

from __future__ import annotations

from swift.data.catalog.entry import Entry, find, known_names, search
from swift.data.catalog.text import ENTRIES

__all__ = ["ENTRIES", "Entry", "find", "known_names", "search"]
