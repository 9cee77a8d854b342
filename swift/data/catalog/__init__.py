"""Data sets known by name: data only, no code per data set."""

from __future__ import annotations

from swift.data.catalog.entry import Category, Entry
from swift.data.catalog.find import all_entries, entries, find, known_names, search

__all__ = ["Category", "Entry", "all_entries", "entries", "find", "known_names", "search"]
