"""One entry: how it is written down, and what it tells of itself."""

from __future__ import annotations

import pytest

from swift.data.catalog import Entry
from swift.data.catalog.entry import read_entry


def test_notation() -> None:
    values = {"both": "a/b", "tags": "sft en", "rows": 5, "columns": {"q": "query"}, "about": "some rows"}
    entry = read_entry("x", values, "math")
    assert entry == Entry(
        "x", "some rows", hf="a/b", ms="a/b", category="math", tags=("sft", "en"), rows=5, columns={"q": "query"}
    )


def test_a_key_that_means_nothing_is_refused() -> None:
    with pytest.raises(TypeError, match="license"):
        read_entry("x", {"hf": "a/b", "tags": "sft", "about": "x", "license": "mit"}, "text")


@pytest.mark.parametrize(
    ("tags", "task", "warned"),
    [
        (("sft", "rl"), "sft", ""),
        (("pt",), "pt", ""),
        (("preference",), None, "not trained on yet (a better and a worse answer): swift trains sft and pt"),
        (("rl", "tts"), None, "not trained on yet (questions whose answers can be checked; texts to be spoken)"),
        (("sft", "image", "video"), "sft", ""),
    ],
)
def test_what_is_not_trained_on_yet(tags: tuple[str, ...], task: str | None, warned: str) -> None:
    entry = Entry("x", "some rows", hf="a/b", tags=tags, licence="mit")
    assert entry.task == task
    assert len(entry.warnings) == bool(warned)
    assert warned in "".join(entry.warnings)


def test_an_unknown_licence_is_told() -> None:
    (warning,) = Entry("x", "some rows", hf="a/b").warnings
    assert "licence is not known" in warning
