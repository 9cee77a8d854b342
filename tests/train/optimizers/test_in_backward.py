"""Updates in the backward pass give the numbers of the plain step."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from swift.config.optim import OptimizerConfig
from swift.errors import CheckpointError, ConfigError
from swift.train.optim_state import load_state_tensors, state_tensors
from swift.train.optimizers.registry import optimizers
from swift.train.optimizers.spec import Spec
from swift.train.scaling import LossScale
from tests.train.optimizers.nets import Net, built, config_of, equal, rate_of, resumed, saved, steps, weights

SPECS = {name: entry for name in optimizers.names() if isinstance(entry := optimizers.get(name), Spec)}
ALONE = [name for name, spec in SPECS.items() if not spec.joined and not spec.draws]
QUICK = ("adamw", "lomo", "adalomo", "adam_mini", "sgd")
NAMES = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ALONE]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_equals_the_plain_step(name: str, dtype: torch.dtype) -> None:
    plain, fused = Net(dtype), Net(dtype)
    rate = rate_of(name)
    one, other = built(plain, config_of(name)), built(fused, config_of(name, fused_backward=True))
    assert len(other.inners) == len(list(fused.parameters()))
    assert steps(plain, one, range(8), rate) == steps(fused, other, range(8), rate)
    assert equal(weights(plain), weights(fused))


def test_gradients_are_freed_as_they_come_and_their_norm_is_known() -> None:
    plain, fused = Net(), Net()
    one, other = built(plain, config_of("adamw")), built(fused, config_of("adamw", fused_backward=True))
    ids = torch.arange(8)
    one.backward(plain(ids))
    most = 0

    def count(_: object) -> None:
        nonlocal most
        most = max(most, sum(p.grad is not None for p in fused.parameters()))

    for p in fused.parameters():
        p.register_post_accumulate_grad_hook(count)
    other.set_rate(1e-2)
    other.backward(fused(ids))
    assert most == 0, "the hook that comes after ours never sees a gradient"
    assert other.clip(0.0) == pytest.approx(one.clip(0.0), rel=1e-5)


def test_goes_on_bit_for_bit(tmp_path: Path) -> None:
    config = config_of("adamw", fused_backward=True)
    model = Net()
    optimizer = built(model, config)
    steps(model, optimizer, range(5), 1e-2)
    other, again = resumed(saved(tmp_path, model, optimizer, 5), config, 1e-2, torch.float32)
    assert steps(model, optimizer, range(5, 9), 1e-2) == steps(other, again, range(5, 9), 1e-2)
    assert equal(weights(model), weights(other))
    with pytest.raises(CheckpointError, match="other parameter"):
        load_state_tensors(built(Net(), config_of("adamw")), *state_tensors(optimizer))


def test_a_loss_or_gradient_that_is_not_finite_stops_the_updates() -> None:
    model = Net()
    optimizer = built(model, config_of("adamw", fused_backward=True))
    before = weights(model)
    optimizer.set_rate(1e-2)
    optimizer.backward(model(torch.arange(8)) * float("inf"))
    assert equal(weights(model), before)
    assert not optimizer.broken, "the loss was seen before anything was updated"
    optimizer.zero_grad()
    model.layers[0].self_attn["q_proj"].weight.register_hook(lambda grad: grad * float("nan"))
    optimizer.backward(model(torch.arange(8)))
    assert math.isnan(optimizer.clip(0.0))
    assert optimizer.broken
    after = weights(model)
    assert torch.equal(after["layers.0.self_attn.q_proj.weight"], before["layers.0.self_attn.q_proj.weight"])
    assert torch.equal(after["embed.weight"], before["embed.weight"]), "its gradient came later"


def test_a_trial_updates_nothing() -> None:
    model = Net()
    optimizer = built(model, config_of("lomo", fused_backward=True))
    before = weights(model)
    optimizer.set_rate(1.0)
    optimizer.backward(model(torch.arange(8)), update=False)
    optimizer.zero_grad()
    assert equal(weights(model), before)


@pytest.mark.parametrize(
    ("name", "why"),
    [("prodigy", "depends on other parameters"), ("galore", "draws random numbers"), ("badam", "depends on other")],
)
def test_what_needs_all_parameters_is_refused(name: str, why: str) -> None:
    pytest.importorskip("pytorch_optimizer")
    with pytest.raises(ConfigError, match=why) as caught:
        built(Net(), config_of(name, fused_backward=True))
    assert "leave out --optim_in_backward" in caught.value.hint


def test_float16_is_refused() -> None:
    with pytest.raises(ConfigError, match="float16 needs all gradients"):
        built(Net(), config_of("sgd", fused_backward=True), scale=LossScale())


def test_lomo_and_adalomo_do_so_unless_told_otherwise() -> None:
    assert OptimizerConfig(name="lomo").updates_in_backward
    assert OptimizerConfig(name="adalomo").updates_in_backward
    assert not OptimizerConfig(name="lomo", fused_backward=False).updates_in_backward
    assert not OptimizerConfig().updates_in_backward
