"""Whole runs with other optimizers, and what is refused before weights are loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from swift.api import sft
from swift.config.parse import parse
from swift.config.problems import ProblemsError
from swift.config.sft import SftConfig
from swift.errors import ConfigError
from swift.train.assemble import assembled
from swift.train.listeners.jsonl import read_lines
from swift.train.optim import build_optimizer
from swift.train.optim_state import state_tensors
from swift.train.optimizers.offload import Offload
from swift.train.parallel.processes import Parallel
from tests.train.optimizers.nets import Net, config_of, equal, steps, weights
from tests.train.runs import configure

BASE = ["--model", "m", "--dataset", "d.jsonl"]


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in read_lines(folder / "metrics.jsonl") if "loss" in line]


def test_updates_in_the_backward_pass_in_a_run(tiny: Path, rows: Path, tmp_path: Path) -> None:
    common: dict[str, Any] = {
        "batch": {"size": 4, "accumulation": 1},
        "tuner": {"type": "full"},
        "loop": {"max_steps": 5, "dry_step": True},
    }
    kinds = {
        "plain": {"max_grad_norm": 0.0, "learning_rate": 1e-3},
        "fused": {"max_grad_norm": 0.0, "learning_rate": 1e-3, "fused_backward": True},
    }
    for name, optimizer in kinds.items():
        # Slices would each be a backward pass; the one run must take whole batches because the other does.
        sections = {**common, "batch": {**common["batch"], "slice_tokens": 0}} if name == "plain" else common
        sft(configure(tiny, rows, tmp_path / name, optimizer=optimizer, **sections))
    assert losses(tmp_path / "plain") == losses(tmp_path / "fused")
    one, other = (load_file(tmp_path / name / "last" / "model.safetensors") for name in kinds)
    assert equal(one, other)
    norms = [
        [line["grad_norm"] for line in read_lines(tmp_path / name / "metrics.jsonl") if "loss" in line]
        for name in kinds
    ]
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)


def test_lora_plus_and_adalomo_and_badam_learn_in_a_run(tiny: Path, rows: Path, tmp_path: Path) -> None:
    kinds: dict[str, dict[str, Any]] = {
        "plus": {"optimizer": {"learning_rate": 1e-3, "lora_plus": 16.0}},
        "adalomo": {
            "optimizer": {"name": "adalomo", "learning_rate": 1e-2, "max_grad_norm": 0.0},
            "batch": {"size": 8, "accumulation": 1},
            "tuner": {"type": "full"},
        },
        "badam": {
            "optimizer": {"name": "badam", "learning_rate": 3e-3, "options": {"switch_every": 2}},
            "tuner": {"type": "full"},
        },
    }
    for name, sections in kinds.items():
        sft(configure(tiny, rows, tmp_path / name, loop={"max_steps": 12}, **sections))
        found = losses(tmp_path / name)
        assert found[-1] < 0.97 * found[0], name


@pytest.mark.parametrize(
    ("optimizer", "message", "hint"),
    [
        ({"name": "adamw8"}, "unknown optimizer 'adamw8'", "did you mean"),
        ({"options": {"momentum": 0.9}}, "unknown option of the optimizer adamw 'momentum'", "it has"),
        ({"name": "lbfgs"}, "optimizer.name is lbfgs, which", "docs/optimizers.md"),
        ({"offload": True}, "the device is the CPU, where it is already", "leave out --optim_offload"),
        ({"name": "paged_ademamix"}, "pages its state to and from an accelerator", "without paged_"),
    ],
)
def test_refused_before_weights_are_loaded(
    tmp_path: Path, rows: Path, optimizer: dict[str, Any], message: str, hint: str
) -> None:
    """The model is a folder that does not exist: whoever looked for it would say so."""
    config = configure(tmp_path / "no model", rows, tmp_path / "out", optimizer=optimizer)
    with pytest.raises(ConfigError) as caught, assembled(config, Parallel()):
        pass
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--optim_in_backward"], "when the norm to clip by is not known yet"),
        (["--optim_in_backward", "--max_grad_norm", "0"], "a step has several"),
        (["--optim", "lomo", "--gradient_accumulation_steps", "1"], "--optim_in_backward false"),
        (
            "--optim_in_backward --max_grad_norm 0 --gradient_accumulation_steps 1 --max_tokens_per_slice 99".split(),
            "each slice has one of its own",
        ),
        (
            ["--tuner_type", "full", "--lorap_lr_ratio", "16"],
            "for lora, longlora and adalora, but the tuner is full",
        ),
        (["--optim_args", "rank:8"], "is neither JSON nor NAME=VALUE"),
    ],
)
def test_refused_by_rule(words: list[str], message: str) -> None:
    with pytest.raises(ProblemsError) as caught:
        parse(SftConfig, [*BASE, *words])
    assert message in f"{caught.value} {[(p.where, p.why, p.fix) for p in caught.value.problems]}"


def test_names_and_options_that_users_bring_along() -> None:
    args = "rank=64, scale=0.5,projection_type=std,betas=(0.9,0.99),correct_bias=True,targets=mlp|attn"
    config = parse(SftConfig, [*BASE, "--optim", "galore_adamw", "--optim_args", args]).config.optimizer
    assert config.name == "galore"
    assert config.options == {
        "rank": 64,
        "scale": 0.5,
        "projection_type": "std",
        "betas": [0.9, 0.99],
        "correct_bias": True,
        "targets": "mlp|attn",
    }
    as_json = parse(SftConfig, [*BASE, "--optim", "adamw_torch_fused", "--optim_args", '{"amsgrad": true}'])
    assert (as_json.config.optimizer.name, as_json.config.optimizer.options) == ("adamw", {"amsgrad": True})


def test_state_that_is_moved_for_a_step_gives_the_same_numbers() -> None:
    """Both places are main memory here: what is tested is that nothing is lost on the way."""
    one, other = Net(), Net()
    first, second = (build_optimizer(model, config_of("adamw"), 1e-2) for model in (one, other))
    second._offload = Offload(second.inners[0], torch.device("cpu"))
    assert steps(one, first, range(6), 1e-2) == steps(other, second, range(6), 1e-2)
    assert equal(weights(one), weights(other))
    assert equal(state_tensors(first)[0], state_tensors(second)[0])
