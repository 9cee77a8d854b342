"""What is known of a data set, and looking it up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache


@dataclass(frozen=True)
class Entry:
    """A data set known by name.

    Attributes:
        name: Its short name.
        about: One line on what is in it.
        hf: Its id on Hugging Face, or empty.
        ms: Its id on ModelScope, or empty.
        file: A file of our own beside `swift/data`, for built-in rows, or empty.
        subset: Taken where the user names none; "all" takes every one.
        split: Taken where the user names none, if it is not train.
        columns: Its column names to ours.
        placeholders: Whether rows hold {{name}} and {{author}}.
    """

    name: str
    about: str
    hf: str = ""
    ms: str = ""
    file: str = ""
    subset: str = ""
    split: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    placeholders: bool = False


def find(name: str) -> Entry | None:
    """The entry with this short name or hub id, in any case of letters."""
    return _by_name().get(name.lower())


def known_names() -> list[str]:
    """Short names, sorted."""
    return sorted({entry.name for entry in _by_name().values()})


def search(word: str) -> list[Entry]:
    """Entries that mention a word in name, ids or description, by name."""
    word = word.lower()
    found = {
        entry.name: entry
        for entry in _by_name().values()
        if word in f"{entry.name} {entry.hf} {entry.ms} {entry.about}".lower()
    }
    return [found[name] for name in sorted(found)]


@cache
def _by_name() -> dict[str, Entry]:
    from swift.data.catalog.text import ENTRIES

    return {key.lower(): entry for entry in ENTRIES for key in (entry.name, entry.hf, entry.ms) if key}
