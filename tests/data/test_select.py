"""Which rows are trained on."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swift.config.data import DataConfig
from swift.data.ledger import Ledger
from swift.data.select import Selection, select
from swift.errors import ConfigError, DataError


def write(folder: Path, name: str, rows: list[Any]) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


@pytest.fixture
def two(tmp_path: Path) -> tuple[str, str]:
    return (
        write(tmp_path, "a.jsonl", [{"text": f"a{number}"} for number in range(10)]),
        write(tmp_path, "b.jsonl", [{"text": f"b{number}"} for number in range(4)]),
    )


def texts(selection: Selection, rows: np.ndarray[Any, Any]) -> list[str]:
    all_rows = [[item.values["text"] for item in source.rows()] for source in selection.sources]  # type: ignore[union-attr]
    return [all_rows[source][row] for source, row in rows.tolist()]


def test_concatenates_in_order(two: tuple[str, str]) -> None:
    found = select(DataConfig(train=two))
    assert texts(found, found.train) == [f"a{n}" for n in range(10)] + [f"b{n}" for n in range(4)]
    assert len(found.validation) == 0
    assert found.train.dtype == np.int64


def test_counts_are_of_the_set_and_not_of_its_files(tmp_path: Path) -> None:
    for part in range(3):
        write(tmp_path / "parts", f"{part}.jsonl", [{"text": f"{part}{number}"} for number in range(5)])
    found = select(DataConfig(train=(f"{tmp_path}/parts#7",)))
    assert len(found.sources) == 3
    assert len(set(texts(found, found.train))) == 7
    found = select(DataConfig(train=(f"{tmp_path}/parts#40",)))
    assert sorted(set(Counter(texts(found, found.train)).values())) == [2, 3]


def test_same_seed_same_rows(two: tuple[str, str]) -> None:
    config = DataConfig(train=(f"{two[0]}#5", two[1]), weights=(0.5, 0.5), split_ratio=0.2)
    one, again = select(config), select(config)
    assert np.array_equal(one.train, again.train)
    assert np.array_equal(one.validation, again.validation)
    others = [select(config.model_copy(update={"seed": seed})).train.tolist() for seed in range(5)]
    assert any(other != one.train.tolist() for other in others)


def test_split_and_validation_sets(two: tuple[str, str]) -> None:
    found = select(DataConfig(train=(f"{two[0]}#25",), validation=(f"{two[1]}#2",), split_ratio=0.3))
    validation = texts(found, found.validation)
    assert len(validation) == 3 + 2
    assert not set(validation) & set(texts(found, found.train))
    assert {text[0] for text in validation[:3]} == {"a"}
    assert {text[0] for text in validation[3:]} == {"b"}
    only = select(DataConfig(validation=two))
    assert len(only.train) == 0
    assert len(only.validation) == 14


@pytest.mark.parametrize("stopping", ["first_exhausted", "all_exhausted"])
def test_interleaves(two: tuple[str, str], stopping: str) -> None:
    found = select(DataConfig(train=two, mix="interleave", stopping=stopping))  # type: ignore[arg-type]
    rows = texts(found, found.train)
    assert [row[0] for row in rows[:6]] == ["a", "b"] * 3
    count = Counter(rows)
    if stopping == "first_exhausted":
        assert len(rows) == 8
        assert max(count.values()) == 1
    else:
        assert {row for row in count if row[0] == "a"} == {f"a{n}" for n in range(10)}
        assert max(count.values()) > 1


def test_interleaving_takes_a_sample_of_a_set_that_is_not_used_up(two: tuple[str, str]) -> None:
    config = DataConfig(train=two, mix="interleave")
    seeds = [select(config.model_copy(update={"seed": seed})) for seed in range(8)]
    assert any("a9" in texts(found, found.train) for found in seeds)
    found = select(config.model_copy(update={"shuffle": False}))
    assert [row for row in texts(found, found.train) if row[0] == "a"] == ["a0", "a1", "a2", "a3"]


def test_duplicates_are_left_out_and_on_the_ledger(tmp_path: Path) -> None:
    one = write(tmp_path, "a.jsonl", [{"text": "x", "n": 1}, {"text": "y"}, {"n": 1, "text": "x"}])
    two = write(tmp_path, "b.jsonl", [{"text": "y"}, {"text": "z"}])
    ledger = Ledger()
    found = select(DataConfig(train=(one, two), deduplicate=True), ledger)
    assert texts(found, found.train) == ["x", "y", "z"]
    found = select(DataConfig(train=(one, two), deduplicate=True))
    assert texts(found, found.train) == ["x", "y", "z"]
    ledger.write(tmp_path / "ledger.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    assert lines == [
        {"source": one, "row": 3, "outcome": "dropped", "reason": "duplicate", "detail": f"the same as row 1 of {one}"},
        {"source": two, "row": 1, "outcome": "dropped", "reason": "duplicate", "detail": f"the same as row 2 of {one}"},
    ]


def test_a_set_of_duplicates_only_is_fine(tmp_path: Path) -> None:
    one = write(tmp_path, "a.jsonl", [{"text": "x"}, {"text": "y"}])
    found = select(DataConfig(train=(one, one), deduplicate=True, weights=(0.5, 0.5)))
    assert texts(found, found.train) == ["x", "y"]


def test_streaming_counts_nothing(two: tuple[str, str]) -> None:
    found = select(DataConfig(train=two[:1], validation=two[1:], streaming=True))
    assert len(found.train) == 0
    assert texts(found, found.validation) == [f"b{n}" for n in range(4)]
    assert len(found.sources) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no data set"),
        ({"train": ("a.jsonl", "b.jsonl"), "weights": (0.5,)}, "interleave_prob has 1 values for 2 data sets"),
        ({"train": ("a.jsonl",), "streaming": True, "split_ratio": 0.1}, "split_dataset_ratio needs to know all rows"),
        ({"train": ("a.jsonl",), "streaming": True, "deduplicate": True}, "deduplicate needs to know all rows"),
        ({"train": ("a.jsonl",), "model_name": ("a", "b", "c")}, "--model_name has 3 values: a b c"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        select(DataConfig(**options))
    assert caught.value.message.startswith(message)
    assert caught.value.hint


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file "):
        select(DataConfig(train=(str(tmp_path / "gone.jsonl"),)))
    with pytest.raises(DataError, match="holds no rows"):
        select(DataConfig(train=(write(tmp_path, "empty.jsonl", []),)))
