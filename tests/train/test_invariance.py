"""One trajectory, however the same samples are split into micro-batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from swift.api import sft
from swift.train.listeners.jsonl import read_lines
from tests.train.runs import configure

SPLITS: dict[str, dict[str, Any]] = {
    "8 x 1": {"batch": {"size": 8, "accumulation": 1}},
    "4 x 2": {"batch": {"size": 4, "accumulation": 2}},
    "2 x 4": {"batch": {"size": 2, "accumulation": 4}},
    "1 x 8": {"batch": {"size": 1, "accumulation": 8}},
    "4 x 2, padded": {"batch": {"size": 4, "accumulation": 2, "padding_free": False, "group_by_length": False}},
    "8 x 1, padded": {"batch": {"size": 8, "accumulation": 1, "padding_free": False, "group_by_length": False}},
    "8 x 1, in slices": {"batch": {"size": 8, "accumulation": 1, "slice_tokens": 100}},
    "8 x 1, whole": {"batch": {"size": 8, "accumulation": 1, "slice_tokens": 0}},
    "4 x 2, padded, in slices": {
        "batch": {"size": 4, "accumulation": 2, "padding_free": False, "group_by_length": False, "slice_tokens": 1}
    },
    "8 x 1, two workers": {"batch": {"size": 8, "accumulation": 1}, "data": {"workers": 2}},
    "8 x 1, checkpointed activations": {
        "batch": {"size": 8, "accumulation": 1},
        "loop": {"max_steps": 6, "gradient_checkpointing": True},
    },
}


def _run(tiny: Path, rows: Path, output: Path, sections: dict[str, Any]) -> tuple[list[float], dict[str, torch.Tensor]]:
    # A rate at which the loss falls at every step: one that makes it jump makes rounding errors grow as well.
    sections = {"optimizer": {"learning_rate": 1e-3}, **sections}
    folder = sft(configure(tiny, rows, output, **sections))
    losses = [line["loss"] for line in read_lines(folder / "metrics.jsonl") if "loss" in line]
    return losses, load_file(folder / "last" / "adapter_model.safetensors")


@pytest.fixture(scope="module")
def reference(tiny: Path, rows: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The first split's losses and weights."""
    return _run(tiny, rows, tmp_path_factory.mktemp("reference"), SPLITS["8 x 1"])


@pytest.mark.parametrize("name", [name for name in SPLITS if name != "8 x 1"])
def test_one_trajectory(name: str, tiny: Path, rows: Path, tmp_path: Path, reference: Any) -> None:
    losses, weights = _run(tiny, rows, tmp_path, SPLITS[name])
    assert len(losses) == 6
    assert losses == pytest.approx(reference[0], abs=5e-6)
    assert len(set(losses)) == 6
    for key, value in reference[1].items():
        torch.testing.assert_close(weights[key], value, atol=2e-5, rtol=1e-3)


def test_packed_equals_unpacked_in_loss_and_gradient(tiny: Path, rows: Path, tmp_path: Path) -> None:
    """Packs hold other samples than fixed batches do, so a whole epoch is one step of each."""
    whole = {"loop": {"max_steps": 1}, "optimizer": {"learning_rate": 1e-2, "max_grad_norm": 0}}
    chat = {"max_length": 256}
    packed = {"batch": {"size": 1, "accumulation": 1000, "packing": True}, "chat": chat, **whole}
    apart = {"batch": {"size": 1, "accumulation": 1000}, "chat": chat, **whole}
    losses = []
    norms = []
    for number, sections in enumerate((packed, apart)):
        folder = sft(configure(tiny, rows, tmp_path / str(number), **sections))
        (line,) = [line for line in read_lines(folder / "metrics.jsonl") if "loss" in line]
        losses.append(line["loss"])
        norms.append(line["grad_norm"])
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)
