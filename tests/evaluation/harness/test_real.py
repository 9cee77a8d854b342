"""lm-eval over our engine on a real model and real rows: every answer is that of lm-eval's own `hf`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("lm_eval")

from benchmarks.arguments import DEFAULT_MODEL, model_folder
from benchmarks.lm_eval import TASKS, compared, run
from benchmarks.lm_eval_tasks import write_tasks

DATA = Path(os.environ.get("SWIFT_TEST_DATA", "absent"))

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not DATA.is_dir(), reason="SWIFT_TEST_DATA names no folder")]


def test_every_answer_is_that_of_hf(tmp_path: Path) -> None:
    rows, texts = DATA / "alpaca_en_demo.json", DATA / "wiki_demo.txt"
    write_tasks(tmp_path / "tasks", rows, texts, choices=12, answers=4, characters=400)
    job = {
        "model": str(model_folder(DEFAULT_MODEL)),
        "dtype": "float32",
        "threads": 1,
        "tasks": str(tmp_path / "tasks"),
        "names": TASKS,
        "limit": 12,
        "sizes": {name: [4] for name in TASKS},
    }
    theirs, ours = (run(tmp_path, {**job, "system": name}) for name in ("hf", "ours"))
    for one, other in zip(theirs, ours, strict=True):
        assert one["task"] == other["task"]
        same, largest = compared(one["samples"], other["samples"])
        assert same == len(one["samples"]) > 0
        assert largest < 1e-4
