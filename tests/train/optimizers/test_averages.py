"""Schedule-free training: evaluated and saved are the averaged weights, and neither changes the training."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from swift.api import sft
from swift.train.optim import StepOptimizer
from tests.train.optimizers.nets import Net, built, config_of, equal, steps, weights
from tests.train.runs import configure

NAMES = ["schedule_free_adamw", "schedule_free_radam", "schedule_free_sgd", "splus"]


@pytest.fixture(autouse=True)
def _library() -> None:
    pytest.importorskip("pytorch_optimizer")


def average_by_hand(model: Net, optimizer: StepOptimizer) -> dict[str, torch.Tensor]:
    """x = (y - (1 - beta) z) / beta (arXiv 2405.15682, equation 2)."""
    found = {}
    for name, p in optimizer.named.items():
        z = optimizer.inners[0].state[p]["z"]
        found[name] = (p.detach() - (1 - 0.9) * z) / 0.9
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
def test_evaluating_leaves_no_trace(name: str, dtype: torch.dtype) -> None:
    one, other = Net(dtype), Net(dtype)
    first, second = built(one, config_of(name), 1e-2), built(other, config_of(name), 1e-2)
    with second.averaged():
        pass  # before the first step there is no average
    for number in range(9):
        steps(one, first, range(number, number + 1), 1e-2)
        steps(other, second, range(number, number + 1), 1e-2)
        with second.averaged():
            inside = weights(other)
    assert not equal(inside, weights(other)), "what is evaluated is not what is trained"
    assert equal(weights(one), weights(other))


def test_what_is_evaluated_is_the_average() -> None:
    model = Net()
    optimizer = built(model, config_of("schedule_free_adamw"), 1e-2)
    steps(model, optimizer, range(9), 1e-2)
    expected = average_by_hand(model, optimizer)
    with optimizer.averaged():
        for name, p in model.named_parameters():
            torch.testing.assert_close(p.detach(), expected[name], rtol=1e-4, atol=1e-5)


def test_the_averaged_weights_come_back_when_the_block_fails() -> None:
    model = Net()
    optimizer = built(model, config_of("schedule_free_adamw"), 1e-2)
    steps(model, optimizer, range(3), 1e-2)
    before = weights(model)
    with pytest.raises(RuntimeError, match="full disk"), optimizer.averaged():
        raise RuntimeError("full disk")
    assert equal(weights(model), before)


def test_a_run_evaluates_and_saves_the_average_and_resumes_exactly(tmp_path: Path, tiny: Path, rows: Path) -> None:
    def run(folder: Path, last: int, **more: object) -> Path:
        config = configure(
            tiny,
            rows,
            folder,
            data={"split_ratio": 0.2},
            evaluation={"every": 2},
            optimizer={"name": "schedule_free_adamw", "learning_rate": 1e-2},
            schedule={"name": "constant"},
            loop={"max_steps": last},
            checkpoint={"every": 2, **more},
        )
        sft(config)
        return folder

    whole = run(tmp_path / "whole", 6)
    broken = run(tmp_path / "broken", 6)
    shutil.rmtree(broken / "checkpoint-6")
    run(broken, 6, resume=str(broken / "checkpoint-4"))
    one, other = (load_file(f / "checkpoint-6" / "adapter_model.safetensors") for f in (whole, broken))
    assert equal(one, other)
    state = load_file(whole / "checkpoint-6" / "state" / "optimizer.safetensors")
    name = next(key for key in one if "lora_B" in key)
    trained = next(t for key, t in state.items() if key.endswith("/trained_weight") and "lora_B" in key)
    assert one[name].shape == trained.shape
    assert not torch.equal(one[name], trained), "the adapter that was saved is the average"
