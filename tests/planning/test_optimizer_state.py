"""Bytes of optimizer state, against what optimizers really keep."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from swift.config.optim import OptimizerConfig
from swift.planning.memory import plan_memory
from swift.planning.optimizer_state import state_bytes
from swift.train.optim import build_optimizer
from swift.train.optim_state import state_tensors
from tests.planning.test_memory import FULL, LOAD, SHAPE

SIZE = 256


@pytest.mark.parametrize(
    "name",
    ["adamw", "lion", "adamw_8bit", "lion_8bit", "adafactor", "came", "adam_mini", "muon", "galore", "sgd", "adan"],
)
def test_one_matrix(name: str) -> None:
    pytest.importorskip("pytorch_optimizer")
    model = nn.ModuleDict({"mlp": nn.Linear(SIZE, SIZE, bias=False)})
    options = {"rank": 32} if name == "galore" else {}
    optimizer = build_optimizer(model, OptimizerConfig(name=name, options=options), 1e-3)
    optimizer.backward(model["mlp"](torch.ones(2, SIZE)).sum())
    optimizer.step(1e-3)
    kept = sum(t.numel() * t.element_size() for t in state_tensors(optimizer)[0].values())
    assert kept / SIZE**2 == pytest.approx(state_bytes(name, options, SIZE, 1), rel=0.1, abs=0.15)


def test_a_smaller_state_is_a_smaller_plan() -> None:
    before = plan_memory(SHAPE, FULL, LOAD)
    small = plan_memory(SHAPE, replace(FULL, state_bytes=2.0), LOAD)
    assert before.total - small.total == 6 * SHAPE.parameters
    away = plan_memory(SHAPE, replace(FULL, offload=True), LOAD)
    assert before.total - away.total == 8 * SHAPE.parameters
    assert plan_memory(SHAPE, replace(FULL, in_backward=True), LOAD).gradients == before.gradients // SHAPE.layers


def test_blocks_have_state_one_at_a_time() -> None:
    assert state_bytes("badam", {}, 64, 16) == 0.5
    assert state_bytes("somebody's own", {}, 64, 16) == 8.0
