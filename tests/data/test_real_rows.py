"""Real data sets of every shape, where they are at hand: SWIFT_TEST_DATA names their folder."""

from __future__ import annotations

import os
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from swift.config.data import DataConfig
from swift.data.columns import Task, to_sample
from swift.data.readers import open_file
from swift.errors import RowError
from swift.types import Row

DATA = Path(os.environ.get("SWIFT_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data")
CONFIG = DataConfig(model_name=("Swallow",), model_author=("the team",))


@pytest.mark.parametrize(
    ("name", "task", "outcomes"),
    [
        ("alpaca_en_demo.json", "sft", {"Conversation": 999}),
        ("identity.json", "sft", {"Conversation": 91}),
        ("glaive_toolcall_en_demo.json", "sft", {"Conversation": 300}),
        ("kto_en_demo.json", "sft", {"Conversation": 300}),
        ("dpo_en_demo.json", "sft", {"wrong_task": 300}),
        ("dpo_en_demo.json", "prompt", {"Conversation": 300}),
        ("mllm_demo.json", "sft", {"Conversation": 6}),
        ("mllm_video_demo.json", "sft", {"Conversation": 3}),
        ("mllm_audio_demo.json", "sft", {"Conversation": 3}),
        ("wiki_demo.txt", "pt", {"Text": 30}),
    ],
)
def test_outcomes(name: str, task: Task, outcomes: dict[str, int]) -> None:
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"no {name} in {DATA}; set SWIFT_TEST_DATA")
    source = open_file(path, name)
    found: Counter[str] = Counter()
    for item in source.rows():
        assert isinstance(item, Row)
        try:
            found[type(to_sample(item, CONFIG, task)).__name__] += 1
        except RowError as error:
            found[error.reason] += 1
    assert found == outcomes
    assert source.count() == sum(outcomes.values())
    assert [item.origin.index for item in islice(source.rows(2), 1)] == [3]
