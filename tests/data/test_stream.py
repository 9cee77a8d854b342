"""Streaming: every row of a pass once, in an order that can be repeated and entered anywhere."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from swift.config.data import DataConfig
from swift.data.rows import BadRow
from swift.data.stream import stream_rows
from swift.errors import ConfigError, DataError
from swift.types import Row


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    paths = []
    for name, count in (("a", 20), ("b", 6)):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(f"{json.dumps({'text': f'{name}{number}'})}\n" for number in range(count)))
        paths.append(str(path))
    return paths[0], paths[1]


def take(config: DataConfig, count: int, skip: int = 0) -> list[str]:
    items = islice(stream_rows(config, skip=skip), count)
    return [item.values["text"] if isinstance(item, Row) else item.reason for item in items]


def test_each_pass_has_every_row_in_an_order_of_its_own(files: tuple[str, str]) -> None:
    rows = take(DataConfig(train=files, shuffle_buffer=7), 78)
    passes = [rows[start : start + 26] for start in (0, 26, 52)]
    expected = sorted([f"a{n}" for n in range(20)] + [f"b{n}" for n in range(6)])
    assert [sorted(one) for one in passes] == [expected] * 3
    assert passes[0] != passes[1] != passes[2]


def test_without_shuffling_the_order_is_that_of_the_files(files: tuple[str, str]) -> None:
    rows = take(DataConfig(train=files, shuffle=False), 30)
    assert rows == [f"a{n}" for n in range(20)] + [f"b{n}" for n in range(6)] + ["a0", "a1", "a2", "a3"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shuffle": False},
        {"weights": (0.7, 0.3)},
        {"mix": "interleave", "stopping": "all_exhausted"},
    ],
)
@pytest.mark.parametrize("skip", [0, 1, 25, 26, 61])
def test_skipping_goes_on_exactly(files: tuple[str, str], options: dict[str, object], skip: int) -> None:
    config = DataConfig(train=files, shuffle_buffer=5, **options)  # type: ignore[arg-type]
    assert take(config, 40, skip) == take(config, 40 + skip)[skip:]
    assert take(config, 40) == take(config, 40)


def test_seed_changes_the_order(files: tuple[str, str]) -> None:
    assert take(DataConfig(train=files, seed=1), 26) != take(DataConfig(train=files, seed=2), 26)


def test_interleaving_ends_a_pass_when_asked(files: tuple[str, str]) -> None:
    config = DataConfig(train=files, mix="interleave", shuffle=False)
    assert take(config, 14) == [f"{name}{n}" for n in range(6) for name in "ab"] + ["a0", "b0"]
    every = DataConfig(train=files, mix="interleave", shuffle=False, stopping="all_exhausted")
    count = Counter(take(every, 39))
    assert {row: times for row, times in count.items() if row[0] == "a"} == {f"a{n}": 1 for n in range(20)}
    assert sum(times for row, times in count.items() if row[0] == "b") == 19


def test_count_takes_the_first_rows_and_repeats(files: tuple[str, str]) -> None:
    config = DataConfig(train=(f"{files[0]}#2", f"{files[1]}#8"), shuffle=False)
    assert take(config, 11) == ["a0", "a1", *(f"b{n}" for n in range(6)), "b0", "b1", "a0"]


def test_bad_rows_keep_their_place(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x"}\n{\n')
    items = list(islice(stream_rows(DataConfig(train=(str(path),), shuffle=False)), 4))
    assert [isinstance(item, BadRow) for item in items] == [False, True, False, True]


def test_a_stream_without_any_good_row_ends_in_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("{\n{\n")
    with pytest.raises(DataError, match="no row of the data sets can be read"):
        list(islice(stream_rows(DataConfig(train=(str(path),))), 10))


def test_no_data_set() -> None:
    with pytest.raises(ConfigError, match="no data set"):
        stream_rows(DataConfig())
