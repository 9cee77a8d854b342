"""The optimizer: groups, clipping, exact state, master weights, loss scale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from swift.config.optim import OptimizerConfig
from swift.errors import CheckpointError, ConfigError, TrainingError
from swift.train.checkpoint import load_checkpoint, save_checkpoint
from swift.train.optim import StepOptimizer, build_optimizer, clip_grad_norm
from swift.train.optim_state import load_state_tensors, state_tensors
from swift.train.scaling import LossScale, make_loss_scale


class Net(nn.Module):
    """An embedding tied to the head, a norm, and a layer with a bias."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(11, 8)
        self.inner = nn.Linear(8, 8)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embed.weight
        self.to(dtype)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        logits = self.head(self.norm(torch.tanh(self.inner(self.embed(ids)))))
        return nn.functional.cross_entropy(logits.float(), (ids + 1) % 11)


def step(model: Net, optimizer: StepOptimizer, number: int, *, max_norm: float = 1.0, lr: float = 1e-2) -> float:
    generator = torch.Generator().manual_seed(number)
    for _ in range(2):
        optimizer.backward(model(torch.randint(0, 11, (16,), generator=generator)) / 2)
    norm = optimizer.clip(max_norm)
    optimizer.step(lr)
    optimizer.zero_grad()
    return norm


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_matrices_decay_others_do_not_and_tied_ones_come_once() -> None:
    model = Net()
    decaying, others = build_optimizer(model, OptimizerConfig(weight_decay=0.3), 1e-3).param_groups
    assert decaying["param_names"] == ["embed.weight", "inner.weight"]
    assert others["param_names"] == ["inner.bias", "norm.weight", "norm.bias"]
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.3, 0.0)
    assert decaying["betas"] == (0.9, 0.95)
    assert decaying["fused"] is True


def test_equals_plain_torch_bit_for_bit() -> None:
    ours, theirs = Net(), Net()
    optimizer = build_optimizer(ours, OptimizerConfig(weight_decay=0.1), 1e-2)
    decays = [p for p in theirs.parameters() if p.ndim >= 2]
    rest = [p for p in theirs.parameters() if p.ndim < 2]
    groups: list[dict[str, Any]] = [{"params": decays, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    plain = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95), eps=1e-8, fused=True)
    for number in range(6):
        step(ours, optimizer, number, max_norm=0.5)
        generator = torch.Generator().manual_seed(number)
        for _ in range(2):
            (theirs(torch.randint(0, 11, (16,), generator=generator)) / 2).backward()
        nn.utils.clip_grad_norm_(list(theirs.parameters()), 0.5)
        plain.step()
        plain.zero_grad()
    assert equal(weights(ours), weights(theirs))


def test_frozen_parameters_are_left_out() -> None:
    model = Net()
    model.requires_grad_(False)
    with pytest.raises(ConfigError, match="no parameter of the model is trainable"):
        build_optimizer(model, OptimizerConfig(), 1e-3)
    model.norm.requires_grad_(True)
    (group,) = build_optimizer(model, OptimizerConfig(), 1e-3).param_groups
    assert group["param_names"] == ["norm.weight", "norm.bias"]


def test_clipping() -> None:
    model = Net()
    optimizer = build_optimizer(model, OptimizerConfig(), 1e-3)

    def norm_of_grads() -> float:
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).norm().item()

    optimizer.backward(model(torch.arange(11)))
    before = norm_of_grads()
    assert clip_grad_norm(optimizer, 0) == pytest.approx(before)
    assert norm_of_grads() == pytest.approx(before)
    assert optimizer.clip(before / 4) == pytest.approx(before)
    assert norm_of_grads() == pytest.approx(before / 4, rel=1e-4)


def test_norm_that_is_not_finite_is_returned_and_gradients_are_kept() -> None:
    model = Net()
    optimizer = build_optimizer(model, OptimizerConfig(), 1e-3)
    optimizer.backward(model(torch.arange(11)) * float("inf"))
    kept = model.inner.bias.grad
    assert not torch.isfinite(torch.tensor(optimizer.clip(1.0)))
    assert model.inner.bias.grad is kept
    assert not optimizer.skipped


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("master", [True, False])
def test_state_goes_on_bit_for_bit(tmp_path: Path, dtype: torch.dtype, master: bool) -> None:
    config = OptimizerConfig(master_weights=master)
    straight = Net(dtype)
    optimizer = build_optimizer(straight, config, 1e-2)
    for number in range(3):
        step(straight, optimizer, number)
    tensors, values = state_tensors(optimizer)
    middle = weights(straight)
    path = save_checkpoint(tmp_path, 3, write_weights=lambda _: None, tensors=tensors, state={"optimizer": values})
    for number in range(3, 6):
        step(straight, optimizer, number)

    resumed = Net(dtype)
    resumed.load_state_dict({**resumed.state_dict(), **middle, "head.weight": middle["embed.weight"]})
    again = build_optimizer(resumed, config, 1e-2)
    loaded, state = load_checkpoint(path)
    load_state_tensors(again, loaded, state["optimizer"])
    for number in range(3, 6):
        step(resumed, again, number)
    assert equal(weights(straight), weights(resumed))
    one, other = state_tensors(optimizer)[0], state_tensors(again)[0]
    assert equal(one, other)
    assert json.dumps(values), "plain values"


def test_state_before_the_first_step() -> None:
    model = Net()
    optimizer = build_optimizer(model, OptimizerConfig(), 1e-2)
    tensors, values = state_tensors(optimizer)
    assert tensors == {}
    load_state_tensors(optimizer, tensors, values)
    assert step(model, optimizer, 0) > 0


def test_state_of_other_parameters_is_refused() -> None:
    model = Net()
    tensors, values = state_tensors(build_optimizer(model, OptimizerConfig(), 1e-2))
    model.norm.requires_grad_(False)
    other = build_optimizer(model, OptimizerConfig(), 1e-2)
    with pytest.raises(CheckpointError, match=r"holds other parameters: 5 against 3, such as norm\.bias"):
        load_state_tensors(other, tensors, values)
    with pytest.raises(CheckpointError, match="optimizer is SGD, not AdamW"):
        load_state_tensors(other, tensors, {**values, "kind": "SGD"})


def test_configuration_wins_over_the_checkpoint_for_options() -> None:
    model = Net()
    tensors, values = state_tensors(build_optimizer(model, OptimizerConfig(weight_decay=0.5), 1e-2))
    optimizer = build_optimizer(model, OptimizerConfig(weight_decay=0.2), 1e-2)
    load_state_tensors(optimizer, tensors, values)
    assert optimizer.param_groups[0]["weight_decay"] == 0.2


def test_master_weights_follow_float32_where_bfloat16_stands_still() -> None:
    """With a small rate, an update is below the resolution of bfloat16: only the copy moves."""

    def train(dtype: torch.dtype, master: bool) -> dict[str, torch.Tensor]:
        model = Net(torch.bfloat16).to(dtype)  # The same start for all.
        with torch.no_grad():
            model.norm.weight.fill_(1.0)
        optimizer = build_optimizer(model, OptimizerConfig(master_weights=master, weight_decay=0.0), 1e-4)
        for number in range(40):
            step(model, optimizer, number, lr=1e-4)
        return {name: value.float() for name, value in weights(model).items()}

    full, with_master, without = train(torch.float32, True), train(torch.bfloat16, True), train(torch.bfloat16, False)
    name = "norm.weight"
    moved = (full[name] - 1).abs().max()
    assert (with_master[name] - full[name]).abs().max() < 0.004, "within the rounding of bfloat16 near 1"
    assert moved > 0.003
    assert torch.equal(without[name], torch.ones(8)), "every update was rounded away"
    assert not torch.equal(with_master[name], torch.ones(8))


def test_master_gradients_are_float32_and_16_bit_ones_are_freed() -> None:
    model = Net(torch.bfloat16)
    optimizer = build_optimizer(model, OptimizerConfig(), 1e-3)
    expected = Net(torch.bfloat16)
    for _ in range(3):
        optimizer.backward(model(torch.arange(11)))
        expected(torch.arange(11)).backward()
        one = {name: p.grad.float() for name, p in expected.named_parameters()}
        expected.zero_grad()
    for name, master in optimizer.masters.optimized.items():
        assert torch.equal(master.grad, one[name] + one[name] + one[name]), "added up in float32"
    assert all(p.grad is None for p in model.parameters())
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in optimizer.masters.optimized.values())
    optimizer.step(1e-3)
    optimizer.zero_grad()
    assert all(p.grad is None for p in optimizer.masters.optimized.values())


def test_loss_scale_gives_the_same_step() -> None:
    plain, scaled = Net(), Net()
    one = build_optimizer(plain, OptimizerConfig(), 1e-2)
    other = build_optimizer(scaled, OptimizerConfig(), 1e-2, LossScale(1024.0))
    for number in range(4):
        assert step(plain, one, number) == pytest.approx(step(scaled, other, number), rel=1e-5)
    for name, value in weights(plain).items():
        torch.testing.assert_close(weights(scaled)[name], value)


def test_overflow_skips_the_step_and_halves_the_scale() -> None:
    model = Net()
    optimizer = build_optimizer(model, OptimizerConfig(), 1e-2, LossScale(1024.0))
    before = weights(model)
    optimizer.backward(model(torch.arange(11)) * float("inf"))
    assert optimizer.clip(1.0) == 0.0
    assert optimizer.skipped
    optimizer.step(1e-2)
    optimizer.zero_grad()
    assert equal(weights(model), before)
    assert optimizer.scale.value == 512.0
    step(model, optimizer, 0)
    assert not equal(weights(model), before)


def test_loss_scale_grows_shrinks_and_is_saved() -> None:
    scale = LossScale(8.0, interval=2)
    scale.update(finite=True)
    again = LossScale(1.0, interval=2)
    again.load(json.loads(json.dumps(scale.state())))
    again.update(finite=True)
    assert again.value == 16.0
    for _ in range(4):
        assert again.update(finite=False)
    assert again.value == 1.0
    with pytest.raises(TrainingError, match="overflow at every loss scale"):
        again.update(finite=False)


def test_float16_on_the_cpu_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.dtype is float16 and the device is the CPU") as caught:
        make_loss_scale(torch.float16, torch.device("cpu"))
    assert caught.value.hint == "use --torch_dtype bfloat16 or float32"
    assert make_loss_scale(torch.float16, torch.device("cuda")).value > 1
    assert make_loss_scale(torch.bfloat16, torch.device("cpu")).value == 1.0
