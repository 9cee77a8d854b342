"""Two processes and one: the same losses and the same weights, but for rounding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from swift.api import sft
from swift.models.tiny import save_tiny_multimodal
from tests.conftest import Swift
from tests.train.parallel.processes import curve, finished, run_processes, weights
from tests.train.runs import configure

# A step has one micro-batch too few for two processes where the rows end: 37 = 3 x 12 + 1.
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "accumulation, last step uneven": ({}, {"size": 2, "accumulation": 4}, {"size": 2, "accumulation": 2}),
    "one process has nothing to do": ({}, {"size": 6, "accumulation": 2}, {"size": 6, "accumulation": 1}),
    "default accumulation": ({}, {"size": 2, "accumulation": None}, {"size": 2, "accumulation": None}),
    "padded, by length": (
        {},
        {"size": 3, "accumulation": 4, "padding_free": False},
        {"size": 3, "accumulation": 2, "padding_free": False},
    ),
    "packed": (
        {"chat": {"max_length": 128}},
        {"size": 1, "accumulation": 4, "packing": True},
        {"size": 1, "accumulation": 2, "packing": True},
    ),
    "streamed": (
        {"data": {"streaming": True, "shuffle_buffer": 16}},
        {"size": 2, "accumulation": 4},
        {"size": 2, "accumulation": 2},
    ),
    "full, with evaluation": (
        {"tuner": {"type": "full"}, "data": {"split_ratio": 0.2}, "evaluation": {"every": 2}},
        {"size": 2, "accumulation": 4},
        {"size": 2, "accumulation": 2},
    ),
    "questions": (
        {
            "data": {"split_ratio": 0.2},
            "evaluation": {"every": 3, "rows_metric": "f1", "max_new_tokens": 6, "metric": "f1_f1"},
        },
        {"size": 2, "accumulation": 4},
        {"size": 2, "accumulation": 2},
    ),
    "full in bfloat16, cached tokens": (
        {"tuner": {"type": "full"}, "model": {"dtype": "bfloat16"}, "data": {"cache": True}},
        {"size": 2, "accumulation": 4},
        {"size": 2, "accumulation": 2},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(KINDS))
def test_two_processes_equal_one(kind: str, tiny: Path, rows: Path, tmp_path: Path, swift: Swift) -> None:
    sections, alone, shared = KINDS[kind]
    common: dict[str, Any] = {"optimizer": {"learning_rate": 1e-3}, "loop": {"max_steps": 6}, **sections}
    if "cache" in common.get("data", {}):
        common["data"] = {**common["data"], "cache_dir": str(tmp_path / "cache")}
    reference = sft(configure(tiny, rows, tmp_path / "one", **{**common, "batch": alone}))
    config = configure(tiny, rows, tmp_path / "two", **{**common, "batch": shared})
    folder = finished(run_processes(swift, config), config)
    _assert_alike(folder, reference, loose="bfloat16" in kind)
    for key in ("target_tokens", "tokens", "learning_rate", "epoch"):
        assert curve(folder, key) == curve(reference, key)
    if "evaluation" in kind:
        assert len(curve(folder, "eval_loss")) == 4
        assert curve(folder, "eval_loss") == pytest.approx(curve(reference, "eval_loss"), abs=5e-6)
        assert curve(folder, "eval_targets") == curve(reference, "eval_targets")
    if kind == "questions":
        assert curve(folder, "eval_f1_f1") == curve(reference, "eval_f1_f1")
        for step in (0, 3, 6):
            asked = Path("evaluations") / f"step-{step}" / "f1" / "samples.jsonl"
            assert _said(folder / asked) == _said(reference / asked)
        assert (folder / "best").resolve().name == (reference / "best").resolve().name
    assert _ledger(folder) == _ledger(reference)


def _said(path: Path) -> list[tuple[str, str]]:
    return [(line["id"], line["response"]) for line in map(json.loads, path.read_text().splitlines())]


@pytest.mark.slow
def test_one_process_sees_pictures_and_the_other_only_text(tmp_path: Path, swift: Swift) -> None:
    """All weights are trained, the tower's too, although half of the micro-batches never touch it."""
    model = save_tiny_multimodal(tmp_path / "model", "qwen2_vl")
    rows = _illustrated(tmp_path)
    common: dict[str, Any] = {
        "tuner": {"type": "full", "freeze_vit": False, "freeze_aligner": False},
        "data": {"shuffle": False},
        "optimizer": {"learning_rate": 1e-3},
        "loop": {"max_steps": 8},
    }
    alone = configure(model, rows, tmp_path / "one", **{**common, "batch": {"size": 1, "accumulation": 2}})
    reference = sft(alone)
    config = configure(model, rows, tmp_path / "two", **{**common, "batch": {"size": 1, "accumulation": 1}})
    folder = finished(run_processes(swift, config), config)
    _assert_alike(folder, reference)
    before, after = weights_of(model), weights(folder)
    moved = [name for name in after if "visual" in name and not torch.equal(before[name], after[name])]
    assert moved


def weights_of(model: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(model / "model.safetensors")


def _illustrated(folder: Path) -> Path:
    """Steps of a picture and a text, in either order; every fourth step has two texts."""
    from PIL import Image

    lines = []
    for number in range(16):
        shown = number % 8 in (0, 3, 5)
        question = f"{'<image>' if shown else ''}What is number {number}?" + " And why?" * (number % 3)
        row: dict[str, Any] = {
            "messages": [{"role": "user", "content": question}, {"role": "assistant", "content": f"It is {number}."}]
        }
        if shown:
            path = folder / f"{number}.png"
            Image.new("RGB", (56, 56), (16 * number, 255 - 16 * number, 100)).save(path)
            row["images"] = [str(path)]
        lines.append(json.dumps(row))
    file = folder / "rows.jsonl"
    file.write_text("\n".join(lines) + "\n")
    return file


def _assert_alike(folder: Path, reference: Path, *, loose: bool = False) -> None:
    losses = curve(folder)
    assert losses == pytest.approx(curve(reference), abs=2e-3 if loose else 5e-6)
    assert curve(folder, "grad_norm") == pytest.approx(curve(reference, "grad_norm"), rel=2e-2 if loose else 1e-4)
    assert len(set(losses)) == len(losses) >= 6
    found, expected = weights(folder), weights(reference)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name],
            value,
            atol=4e-3 if loose else 2e-5,
            rtol=1.6e-2 if loose else 1e-3,
            msg=lambda m, n=name: f"{n}: {m}",
        )


def _ledger(folder: Path) -> Any:
    return json.loads((folder / "run.json").read_text())["ledger"]
