"""Data sets known by name."""

from __future__ import annotations

from pathlib import Path

import pytest

import swift.data
from swift.data.catalog import ENTRIES, find, known_names, search


def test_names_and_ids_are_unique() -> None:
    keys = [key.lower() for entry in ENTRIES for key in {entry.name, entry.hf, entry.ms} if key]
    assert len(keys) == len(set(keys))
    assert len(ENTRIES) >= 20
    assert known_names() == sorted(entry.name for entry in ENTRIES)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_each_lies_somewhere(entry: swift.data.catalog.Entry) -> None:  # type: ignore[name-defined]
    assert entry.file or entry.hf or entry.ms
    assert entry.about
    if entry.file:
        assert (Path(swift.data.__path__[0]) / entry.file).is_file()


def test_either_hubs_id_finds_it() -> None:
    for name in ("alpaca-gpt4-zh", "AI-ModelScope/alpaca-gpt4-data-zh", "LLM-Wizard/alpaca-gpt4-data-zh"):
        entry = find(name)
        assert entry is not None
        assert entry.hf == "llm-wizard/alpaca-gpt4-data-zh"
    assert find("swift/self-cognition") is find("modelscope/self-cognition")
    assert find("nothing") is None


def test_search() -> None:
    assert {entry.name for entry in search("ALPACA")} == {"alpaca-cleaned", "alpaca-gpt4-en", "alpaca-gpt4-zh"}
    assert search("no such thing") == []
    assert len(search("")) == len(ENTRIES)
