"""Techniques that put something in front of rows: there are positions for both."""

from __future__ import annotations

from pathlib import Path

import pytest

from swift.api import sft
from swift.models.tiny import save_tiny
from swift.train.listeners.jsonl import read_lines
from tests.train.runs import configure, write_rows


@pytest.mark.parametrize("kind", ["prompt", "prefix"])
def test_rows_leave_positions_for_what_is_learned(kind: str, tmp_path: Path) -> None:
    model = save_tiny(tmp_path / "model", "gpt2", max_position_embeddings=96, num_key_value_heads=4)
    rows = write_rows(tmp_path / "rows.jsonl", 12, longest=80)
    tuner = {"type": kind, "num_virtual_tokens": 8}
    chat = {"truncation": "right"}
    folder = sft(configure(model, rows, tmp_path / "run", tuner=tuner, chat=chat, loop={"max_steps": 2}))
    assert len([line for line in read_lines(folder / "metrics.jsonl") if "loss" in line]) == 2
