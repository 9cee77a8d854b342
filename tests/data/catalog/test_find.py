"""Data sets known by name: well formed, found by either hub's id, and open to plugins."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

import swift.data
from swift.config.data import DataConfig
from swift.data import catalog
from swift.data.catalog import Entry, all_entries, find, known_names, search
from swift.data.catalog.entry import CATEGORIES, MEDIA, TASKS, UNUSED
from swift.data.columns import to_sample
from swift.data.plugins import load_plugins
from swift.data.shapes.instruction import ANSWERS, QUESTIONS
from swift.data.shapes.messages import COLUMNS
from swift.data.source import open_sources, rename
from swift.data.syntax import parse
from swift.errors import ConfigError
from swift.types import Origin, Row

FOLDER = Path(catalog.__file__).parent
LANGUAGES = {"en", "zh", "multi"}
SUBJECTS = {"tools", "thinking", "long", "translation", "sql", "medical", "law", "finance", "ocr", "grounding"}
MEDIA_COLUMNS = {"image", "images", "video", "videos", "audio", "audios"}
PREFERENCE = {"chosen", "rejected", "label"}
TEXTS = {*QUESTIONS, *ANSWERS, "input", "text", "system", "system_prompt"}
ENTRIES = all_entries()


def test_names_and_ids_are_unique() -> None:
    keys = [key for entry in ENTRIES for key in {entry.name, entry.hf.lower(), entry.ms.lower()} if key]
    assert len(keys) == len(set(keys))
    assert known_names() == sorted(entry.name for entry in ENTRIES)


def test_counts() -> None:
    counts = {category: len(search(category=category)) for category in CATEGORIES}
    least = {"text": 65, "agent": 16, "preference": 20, "math": 40, "code": 20}
    least |= {"multimodal": 60, "pretrain": 28, "other": 18}
    assert all(counts[category] >= number for category, number in least.items()), counts


def test_an_entry_is_few_lines_and_no_key_is_there_twice() -> None:
    for category in CATEGORIES:
        lines = (FOLDER / f"{category}.yaml").read_text().splitlines()
        assert max(map(len, lines)) <= 120
        starts = [place for place, line in enumerate(lines) if re.match(r"[a-z0-9]", line)] + [len(lines)]
        assert all(after - before < 6 for before, after in itertools.pairwise(starts))
        assert len(starts) - 1 == len(search(category=category)), category


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_each_is_well_formed(entry: Entry) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", entry.name)
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+", name) for name in (entry.hf, entry.ms) if name)
    assert bool(entry.hf or entry.ms) != bool(entry.file)
    assert entry.about
    assert entry.about[-1] != "."
    assert set(entry.tags) <= {*TASKS, *MEDIA, *LANGUAGES, *SUBJECTS}
    assert set(entry.tags) & set(TASKS), "says what it is for"
    assert entry.rows >= 0
    assert re.fullmatch(r"([a-z0-9][a-z0-9.-]*)?", entry.licence)
    if entry.file:
        assert (Path(swift.data.__path__[0]) / entry.file).is_file()


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.columns], ids=lambda entry: entry.name)
def test_columns_become_what_a_shape_recognises(entry: Entry) -> None:
    ours = set(entry.columns.values())
    assert ours <= {*TEXTS, *COLUMNS, *MEDIA_COLUMNS, *PREFERENCE, UNUSED}
    assert ours.isdisjoint(entry.columns), "a name that is given away is not taken again"
    if entry.task and ours & {"response", "output", "text", "messages"}:
        # The rows have what they declare and, where only the answer is declared, a question under a usual name.
        said = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
        values: dict[str, object] = {theirs: said if our in COLUMNS else "x" for theirs, our in entry.columns.items()}
        if entry.task == "sft" and not ours & {*QUESTIONS, *COLUMNS, "input"}:
            values["question"] = "q"
        row = Row(rename(values, entry.columns), Origin(entry.name, 1))
        to_sample(row, DataConfig(), "pt" if entry.task == "pt" else "sft")


def test_either_hubs_id_finds_it() -> None:
    for name in ("alpaca-gpt4-zh", "AI-ModelScope/alpaca-gpt4-data-zh", "LLM-Wizard/alpaca-gpt4-data-zh"):
        entry = find(name)
        assert entry is not None
        assert entry.hf == "llm-wizard/alpaca-gpt4-data-zh"
    assert find("swift/self-cognition") is find("modelscope/self-cognition")
    assert find("nothing") is None
    assert find("") is None


def test_search() -> None:
    found = {entry.name for entry in search("ALPACA")}
    assert {"alpaca", "alpaca-cleaned", "alpaca-gpt4-en", "alpaca-gpt4-zh", "code-alpaca-20k"} <= found
    assert "gsm8k" not in found
    assert search("no such thing") == []
    assert len(search()) == len(ENTRIES)
    assert {entry.name for entry in search("alpaca", category="code")} >= {"code-alpaca-20k", "python-18k-alpaca"}
    assert all("law" in entry.tags for entry in search(tag="law"))
    assert "disc-law" in {entry.name for entry in search(tag="law")}


PLUGIN = """
from swift.data.catalog import Entry, entries

entries.register("mine")(Entry("mine", "rows of mine", hf="me/mine", columns={"q": "query", "a": "response"}))
entries.register("gsm8k")(Entry("gsm8k", "another", file=FILE, columns={"q": "query", "a": "response"}))
"""


def test_a_plugin_adds_data_sets_and_replaces_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog.entries, "_entries", {})
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"q": "why", "a": "so"}\n')
    plugin = tmp_path / "plugin.py"
    plugin.write_text(PLUGIN.replace("FILE", repr(str(rows))))
    load_plugins([str(plugin)])
    mine = find("ME/mine")
    assert mine is not None
    assert mine.name == "mine"
    assert len(all_entries()) == len(ENTRIES) + 1
    (source,) = open_sources(parse("gsm8k"), DataConfig())
    assert [row.values for row in source.rows() if isinstance(row, Row)] == [{"query": "why", "response": "so"}]
    with pytest.raises(ConfigError, match="registered twice"):
        catalog.entries.register("mine")(mine)
