"""The whole plan on files, without weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swift.config.batch import BatchConfig
from swift.config.looks import PlanConfig
from swift.config.train import CheckpointConfig
from swift.errors import DataError
from swift.models.tiny import tiny_config, tiny_tokenizer
from swift.planning.advice import ways_out
from swift.planning.available import group_limit
from swift.planning.largest import from_lengths, from_limits
from swift.planning.memory import Load, ModelShape, Training
from swift.planning.run import plan
from swift.planning.storage import checkpoint_bytes, checkpoints_at_once

Configured = Callable[..., PlanConfig]


@pytest.fixture
def configured(tmp_path: Path) -> Configured:
    folder = tmp_path / "model"
    tiny_config("llama").save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    rows = tmp_path / "rows.jsonl"
    chats = [{"query": "What is the capital of France?", "response": "Paris. " * n} for n in range(1, 20)]
    rows.write_text("".join(json.dumps(chat) + "\n" for chat in [*chats, {"query": "", "response": 3}]))

    def make(**sections: Any) -> PlanConfig:
        data = {"train": [str(rows)], "cache": False, **sections.pop("data", {})}
        values = {"model": str(folder), "output_dir": str(tmp_path / "run"), "data": data}
        return PlanConfig.model_validate({**values, **sections})

    return make


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_it_fits(configured: Configured, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(configured(batch={"size": 2, "accumulation": 2})) == 0
    out = capsys.readouterr().out
    assert any(line.startswith("fits: about") for line in lines(out))
    assert "the largest of 10 micro-batches of your rows" in out
    assert "steps 15" in lines(out)
    assert "peak" in out


def test_it_does_not_fit(configured: Configured, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(configured(device_memory=0.1, tuner={"type": "full"})) == 2
    told = capsys.readouterr()
    assert "error: the run needs about" in told.err
    assert "and cpu has 0.10 GiB" in told.err
    assert "hint: " in told.err
    assert "does not fit" in told.out
    assert "--gradient_checkpointing true" in told.out
    assert "--tuner_type lora" in told.out


def test_streamed_rows_are_as_long_as_they_may_be(configured: Configured, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(data={"streaming": True}, batch={"size": 3}, chat={"max_length": 100}, loop={"max_steps": 9})
    assert plan(config) == 0
    out = lines(capsys.readouterr().out)
    assert any("300 tokens, 300 of them targets, longest sequence 100" in line for line in out)
    assert "steps 9" in out


def test_no_row_is_left(configured: Configured) -> None:
    with pytest.raises(DataError, match="no row is left"):
        plan(configured(chat={"max_length": 4}))


def test_the_largest_micro_batch() -> None:
    lengths, targets = np.array([10, 20, 90, 30], np.int32), np.array([1, 2, 3, 4], np.int32)
    config = PlanConfig(batch=BatchConfig(size=2, accumulation=1))
    config = config.model_copy(update={"data": config.data.model_copy(update={"shuffle": False})})
    found = from_lengths(lengths, targets, config, max_length=100, padding_free=True)
    assert (found.slots, found.targets, found.longest, found.steps) == (120, 7, 90, 6)
    padded = from_lengths(lengths, targets, config, max_length=100, padding_free=False)
    assert (padded.slots, padded.targets, padded.longest) == (180, 7, 90)
    budget = config.model_copy(update={"batch": BatchConfig(max_tokens=64)})
    assert from_limits(budget, 100).slots == 64
    assert from_limits(config, 100).slots == 200


def test_disk() -> None:
    shape = ModelShape(1000, 8, 1, 1, 1, 8, 16, 10)
    full = Training(tuner="full", trained=1000, trained_layers=1, trained_bytes=2)
    small = checkpoint_bytes(shape, full, CheckpointConfig(model_only=True)) - 2000
    assert checkpoint_bytes(shape, full, CheckpointConfig()) == 14_000 + small
    lora = Training(tuner="lora", trained=100, trained_layers=1)
    assert checkpoint_bytes(shape, lora, CheckpointConfig()) == 1200 + small
    assert checkpoints_at_once(CheckpointConfig(every=10, limit=2), 1000) == 5
    assert checkpoints_at_once(CheckpointConfig(every=10, limit=2), 25) == 3
    assert checkpoints_at_once(CheckpointConfig(every=10, limit=None), 95) == 10
    assert checkpoints_at_once(CheckpointConfig(limit=None), None) is None


def test_ways_out_take_less_and_say_how_much() -> None:
    shape = ModelShape(1_000_000, 64, 4, 4, 2, 16, 160, 500)
    full = Training(tuner="full", trained=1_000_000, trained_layers=4, trained_bytes=2, trains_head=True)
    load = Load(slots=8192, targets=4096, longest=2048)
    ways = {way.change.split(" (")[0]: way.total for way in ways_out(shape, full, load, overhead=0, longest=2048)}
    assert list(ways) == [
        "--max_tokens_per_slice 2048",
        "--gradient_checkpointing true",
        "both: --gradient_checkpointing true --max_tokens_per_slice 2048",
        "--tuner_type lora",
        "--master_weights false",
        "--max_length 1024",
    ]
    assert ways["both: --gradient_checkpointing true --max_tokens_per_slice 2048"] < min(
        ways["--gradient_checkpointing true"], ways["--max_tokens_per_slice 2048"]
    )
    alone = ways_out(shape, full, replace(load, slots=2048, targets=1024), overhead=0, longest=2048)
    assert not any("slice" in way.change for way in alone)


def test_the_limit_of_a_container(tmp_path: Path) -> None:
    assert group_limit(tmp_path) is None
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 150\n")
    assert group_limit(tmp_path) == 450
    (tmp_path / "memory.max").write_text("max\n")
    assert group_limit(tmp_path) is None
