"""Which files make up a subset and a split."""

from __future__ import annotations

from typing import Any

import pytest

from swift.errors import DataError, SwiftError, UnknownNameError
from swift.hub.layout import choose_files, layout_of

CARD = """---
license: mit
configs:
- config_name: en
  data_files:
  - split: train
    path: en/train-*
  - split: test
    path:
    - en/test-0.parquet
    - en/extra/**
- config_name: zh
  default: true
  data_files: zh/*.jsonl
- config_name: dir
  data_dir: folder
---
# Text
"""
FILES = [
    "en/train-1.parquet",
    "en/train-0.parquet",
    "en/test-0.parquet",
    "en/extra/deep/x.parquet",
    "zh/a.jsonl",
    "folder/train.jsonl",
    "folder/dev.jsonl",
    "other/b.jsonl",
]


@pytest.mark.parametrize(
    ("subset", "split", "expected"),
    [
        ((), None, ["zh/a.jsonl"]),
        (("en",), None, ["en/train-0.parquet", "en/train-1.parquet"]),
        (("en",), "test", ["en/extra/deep/x.parquet", "en/test-0.parquet"]),
        (("en", "zh"), None, ["en/train-0.parquet", "en/train-1.parquet", "zh/a.jsonl"]),
        (("en",), "zh", ["en/train-0.parquet", "en/train-1.parquet", "zh/a.jsonl"]),
        (("en",), "train", ["en/train-0.parquet", "en/train-1.parquet"]),
        (("dir",), "validation", ["folder/dev.jsonl"]),
        (("all",), None, ["en/train-0.parquet", "en/train-1.parquet", "zh/a.jsonl", "folder/train.jsonl"]),
    ],
)
def test_card(subset: tuple[str, ...], split: str | None, expected: list[str]) -> None:
    assert choose_files(layout_of(FILES, CARD), "org/name", subset, split) == expected


@pytest.mark.parametrize(
    ("files", "subset", "split", "expected"),
    [
        (["b.jsonl", "a.jsonl"], (), None, ["a.jsonl", "b.jsonl"]),
        (
            ["data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"],
            (),
            None,
            ["data/train-00000-of-00001.parquet"],
        ),
        (["train.jsonl", "val.jsonl"], ("val",), None, []),
        (["train.jsonl", "val.jsonl"], ("validation",), None, ["val.jsonl"]),
        (["train.jsonl", "val.jsonl"], (), "validation", ["val.jsonl"]),
        (["train/x.jsonl", "test/x.jsonl"], (), "test", ["test/x.jsonl"]),
        (["en/a.jsonl", "zh/a.jsonl"], ("zh",), None, ["zh/a.jsonl"]),
        (["en/train.jsonl", "en/dev.jsonl", "zh/train.jsonl"], ("en",), "validation", ["en/dev.jsonl"]),
        (["en/train.jsonl", "zh/train.jsonl"], ("en",), "zh", ["en/train.jsonl", "zh/train.jsonl"]),
        (["en/train.jsonl"], (), None, ["en/train.jsonl"]),
        (["test.jsonl"], (), None, ["test.jsonl"]),
        (["evaluated.jsonl", "trainee.jsonl"], (), None, ["evaluated.jsonl", "trainee.jsonl"]),
    ],
)
def test_folder_conventions(files: list[str], subset: tuple[str, ...], split: str | None, expected: list[str]) -> None:
    if not expected:
        with pytest.raises(UnknownNameError):
            choose_files(layout_of(files), "d", subset, split)
    else:
        assert choose_files(layout_of(files), "d", subset, split) == expected


@pytest.mark.parametrize(
    ("files", "options", "message", "hint"),
    [
        (["en/a.jsonl", "zh/a.jsonl"], {}, "d has 2 subsets: name one", "as in d:en, or d:all; there are en, zh"),
        (["val.jsonl", "test.jsonl"], {}, "d has no train split: name one of its splits", "there are "),
        (["a.jsonl"], {"subset": ("en",)}, "unknown subset of d 'en'", "there are default"),
        (["en/a.jsonl", "zh/a.jsonl"], {"subset": ("eng",)}, "unknown subset of d 'eng'", "did you mean en?"),
        (["a.jsonl"], {"split": "tarin"}, "unknown split of d 'tarin'", "did you mean train?"),
    ],
)
def test_what_is_not_there(files: list[str], options: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(SwiftError) as caught:
        choose_files(layout_of(files), "d", **options)
    assert isinstance(caught.value, (DataError, UnknownNameError))
    assert caught.value.message == message
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    "card",
    [
        "",
        "# no front matter",
        "---\nconfigs: 3\n---\n",
        "---\n- a\n---\n",
        "---\na: [\n---\n",
        "---\nconfigs:\n- config_name: x\n  data_files: nowhere/*\n---\n",
    ],
)
def test_card_that_says_nothing(card: str) -> None:
    assert choose_files(layout_of(["train.jsonl"], card), "d") == ["train.jsonl"]


@pytest.mark.parametrize(
    "stated", ["a/*.jsonl", "[a/*.jsonl]", "{train: a/*.jsonl}", "[{split: train, path: a/*.jsonl}]"]
)
def test_forms_of_data_files(stated: str) -> None:
    card = f"---\nconfigs:\n- config_name: default\n  data_files: {stated}\n---\n"
    assert choose_files(layout_of(["a/x.jsonl", "b/x.jsonl", "a/b/x.jsonl"], card), "d") == ["a/x.jsonl"]
