"""Questions at each evaluation: what they say of the model, and that they change nothing."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from swift.api import evaluate, sft
from swift.config.runs import EvalConfig
from swift.config.sft import SftConfig
from swift.errors import UnknownNameError
from swift.train.listeners.jsonl import read_lines
from swift.train.listeners.plots import draw
from tests.train.runs import WORDS, configure, write_rows


@pytest.fixture
def choices(tmp_path: Path) -> Path:
    """Questions with four choices each."""
    path = tmp_path / "choices.csv"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["question", "A", "B", "C", "D", "answer"])
        for number in range(12):
            table.writerow([f"what did the {WORDS[number]} do?", "sat", "barked", "rained", "knew", "ABCD"[number % 4]])
    return path


def asking(tiny: Path, rows: Path, choices: Path, output: Path, **sections: dict[str, Any]) -> SftConfig:
    """A run that asks a benchmark, and the turns of its validation rows."""
    common: dict[str, dict[str, Any]] = {
        "data": {"split_ratio": 0.2},
        "benchmark": {"sets": [f"mcq={choices}"], "shots": 1},
        "evaluation": {"every": 2, "rows_metric": "f1", "max_new_tokens": 8},
    }
    for name, section in sections.items():
        common[name] = section if name == "tuner" else {**common.get(name, {}), **section}
    return configure(tiny, rows, output, **common)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "last" / "adapter_model.safetensors")


def test_they_change_nothing(tiny: Path, rows: Path, choices: Path, tmp_path: Path) -> None:
    dropping: dict[str, Any] = {
        "tuner": {"type": "lora", "rank": 4, "dropout": 0.3},
        "loop": {"max_steps": 6, "neftune_alpha": 5.0, "gradient_checkpointing": True},
    }
    asked = sft(asking(tiny, rows, choices, tmp_path / "asked", **dropping))
    without = configure(tiny, rows, tmp_path / "not", data={"split_ratio": 0.2}, evaluation={"every": 2}, **dropping)
    mute = sft(without)
    for name, value in weights(mute).items():
        assert torch.equal(value, weights(asked)[name]), name
    lines = [[line["loss"] for line in read_lines(f / "metrics.jsonl") if "loss" in line] for f in (asked, mute)]
    assert lines[0] == lines[1]


@pytest.mark.parametrize("packing", [False, True])
def test_the_checkpoint_says_the_same_later(
    packing: bool, tiny: Path, rows: Path, choices: Path, tmp_path: Path
) -> None:
    config = asking(
        tiny, rows, choices, tmp_path / "run",
        checkpoint={"every": 2, "limit": 9}, batch={"packing": packing, "size": 1 if packing else 4},
        chat={"max_length": 256},
    )  # fmt: skip
    folder = sft(config)
    for step in (2, 6):
        there = folder / "evaluations" / f"step-{step}"
        common: dict[str, Any] = {
            "model": {"dtype": "float32", "device": "cpu"},
            "adapters": [str(folder / f"checkpoint-{step}")],
            "generation": {"max_new_tokens": 8},
        }
        sets = {"sets": [f"mcq={choices}"], "shots": 1}
        later = EvalConfig.model_validate({**common, "benchmark": sets, "output_dir": str(tmp_path / f"mcq-{step}")})
        evaluate(later)
        assert _answers(there / "mcq") == _answers(tmp_path / f"mcq-{step}" / "mcq")
        data = config.data.model_dump()
        turns = EvalConfig.model_validate(
            {**common, "data": data, "metric": "f1", "output_dir": str(tmp_path / f"f1-{step}")}
        )
        evaluate(turns)
        assert _answers(there / "f1") == _answers(tmp_path / f"f1-{step}")


def _answers(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    for line in lines:
        if "logprobs" in line:
            line["logprobs"] = [round(value, 4) for value in line["logprobs"]]
    assert lines
    return lines


def test_the_best_is_by_what_was_asked(tiny: Path, rows: Path, choices: Path, tmp_path: Path) -> None:
    config = asking(
        tiny, rows, choices, tmp_path / "run",
        evaluation={"every": 1, "metric": "f1_f1", "rows_metric": "f1", "max_new_tokens": 8},
    )  # fmt: skip
    folder = sft(config)
    values = {line["step"]: line["eval_f1_f1"] for line in read_lines(folder / "metrics.jsonl") if "eval_f1_f1" in line}
    assert sorted(values) == list(range(7))
    later = {step: value for step, value in values.items() if step}
    best = next(step for step, value in later.items() if value == max(later.values()))
    assert (folder / "best").resolve().name == f"checkpoint-{best}"
    draw(folder)
    assert (folder / "plots" / "questions.svg").is_file()


def test_without_validation_rows_questions_decide(tiny: Path, rows: Path, choices: Path, tmp_path: Path) -> None:
    config = asking(
        tiny, rows, choices, tmp_path / "run", data={"split_ratio": 0.0}, evaluation={"every": 3, "rows_metric": None}
    )
    folder = sft(config)
    found = [line for line in read_lines(folder / "metrics.jsonl") if "eval_mcq_accuracy" in line]
    assert [line["step"] for line in found] == [0, 3, 6]
    assert "eval_loss" not in found[0]
    assert (folder / "best").exists()


def test_a_wrong_name_is_told_before_the_model_is_read(
    tiny: Path, rows: Path, choices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swift.train.assemble.prepare_model", lambda *args, **options: pytest.fail("read the model"))
    config = asking(tiny, rows, choices, tmp_path / "run", evaluation={"metric": "mcq_acuracy"})
    with pytest.raises(UnknownNameError, match="unknown metric 'mcq_acuracy'") as caught:
        sft(config)
    assert "mcq_accuracy" in caught.value.hint


def test_a_resumed_run_has_the_same_evaluations(tiny: Path, rows: Path, choices: Path, tmp_path: Path) -> None:
    whole = sft(asking(tiny, rows, choices, tmp_path / "whole", checkpoint={"every": 2}))
    part = asking(tiny, rows, choices, tmp_path / "part", checkpoint={"every": 2})
    sft(part.model_copy(update={"loop": part.loop.model_copy(update={"max_steps": 6})}))
    for name in ("checkpoint-6", "last"):
        path = tmp_path / "part" / name
        if path.is_symlink():
            path.unlink()
    resumed = sft(
        asking(
            tiny, rows, choices, tmp_path / "part",
            checkpoint={"every": 2, "resume": str(tmp_path / "part" / "checkpoint-4")},
        )
    )  # fmt: skip
    left_out = ("elapsed_seconds", "eval_seconds", "eval_questions_seconds")

    def evaluations(folder: Path) -> list[dict[str, Any]]:
        lines = [line for line in read_lines(folder / "metrics.jsonl") if "eval_loss" in line]
        return [{name: value for name, value in line.items() if name not in left_out} for line in lines]

    assert evaluations(resumed) == evaluations(whole)


def test_rows_of_one_turn_are_asked_once(tiny: Path, tmp_path: Path) -> None:
    """Validation rows that are named: those of training are not read for the questions."""
    train, held_out = write_rows(tmp_path / "a.jsonl", 20), write_rows(tmp_path / "b.jsonl", 5, seed=1)
    config = configure(
        tiny, train, tmp_path / "run",
        data={"train": [str(train)], "validation": [str(held_out)], "cache": False, "workers": 0},
        evaluation={"every": 6, "rows_metric": "exact", "max_new_tokens": 4, "at_start": False},
    )  # fmt: skip
    folder = sft(config)
    turns = sum(len(json.loads(line)["messages"]) // 2 for line in held_out.read_text().splitlines())
    assert len(_answers(folder / "evaluations" / "step-6" / "exact")) == turns
