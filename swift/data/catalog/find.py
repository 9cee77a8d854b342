"""Looking data sets up by name, hub id, word, tag or category."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from swift.data.catalog.entry import CATEGORIES, Category, Entry, read_entry
from swift.registry import Registry

entries: Registry[Entry] = Registry("data set")
"""Data sets that plugins and other distributions add; one that has a name of ours takes its place."""


def all_entries() -> list[Entry]:
    """Ours and registered ones, by name."""
    registered = [entries.get(name) for name in entries]
    found = {entry.name: entry for entry in (*_builtin(), *registered)}
    return [found[name] for name in sorted(found)]


def find(name: str) -> Entry | None:
    """The entry with this short name or hub id, in any case of letters; a short name wins."""
    wanted = name.lower()
    known = all_entries()
    named = next((entry for entry in known if wanted == entry.name.lower()), None)
    return named or next((entry for entry in known if wanted and wanted in (entry.hf.lower(), entry.ms.lower())), None)


def known_names() -> list[str]:
    """Short names, sorted."""
    return [entry.name for entry in all_entries()]


def search(word: str = "", *, tag: str = "", category: Category | None = None) -> list[Entry]:
    """Entries by name: those that mention a word in name, ids, tags or description, with this tag and category."""
    word = word.lower()
    return [
        entry
        for entry in all_entries()
        if word in f"{entry.name} {entry.hf} {entry.ms} {entry.about} {' '.join(entry.tags)}".lower()
        and (not tag or tag in entry.tags)
        and category in (None, entry.category)
    ]


@cache
def _builtin() -> tuple[Entry, ...]:
    return tuple(
        read_entry(name, values, category) for category in CATEGORIES for name, values in _load(category).items()
    )


def _load(category: Category) -> dict[str, Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with (Path(__file__).parent / f"{category}.yaml").open(encoding="utf-8") as stream:
        loaded: dict[str, Any] = yaml.load(stream, Loader=loader)
    return loaded
