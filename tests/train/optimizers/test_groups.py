"""Parameter groups: parts, decay, LoRA+, and which matrices get special treatment."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from swift.config.optim import OptimizerConfig
from swift.config.tuner import LoraConfig
from swift.errors import ConfigError
from swift.models.tiny import tiny_model
from swift.train.optim import StepOptimizer, build_optimizer
from swift.tuners.lora import add_lora
from tests.train.optimizers.nets import Net, built, config_of


def rates(optimizer: StepOptimizer, lr: float) -> dict[str, float]:
    """What each parameter learns at, after the groups were given `lr`."""
    optimizer.set_rate(lr)
    return {name: float(group["lr"]) for group in optimizer.param_groups for name in group["param_names"]}


def marked(optimizer: StepOptimizer, mark: str) -> set[str]:
    return {name for group in optimizer.param_groups if group.get(mark) for name in group["param_names"]}


@pytest.mark.parametrize("name", ["adamw", "sgd", "adam_mini"])
def test_lora_plus_multiplies_the_rate_of_the_second_matrix(name: str) -> None:
    model = nn.ModuleDict({"lora_A": nn.Linear(4, 2, bias=False), "lora_B": nn.Linear(2, 4, bias=False)})
    model["lora_embedding_B"] = nn.ParameterDict({"default": nn.Parameter(torch.ones(2, 2))})
    optimizer = build_optimizer(model, OptimizerConfig(name=name, lora_plus=16.0), 1e-3)
    assert rates(optimizer, 1e-3) == pytest.approx(
        {"lora_A.weight": 1e-3, "lora_B.weight": 16e-3, "lora_embedding_B.default": 16e-3}
    )
    assert rates(optimizer, 5e-4)["lora_B.weight"] == pytest.approx(8e-3)


def test_lora_plus_needs_an_adapter() -> None:
    with pytest.raises(ConfigError, match="second matrix of a LoRA adapter") as caught:
        built(Net(), OptimizerConfig(lora_plus=2.0))
    assert "--tuner_type lora" in caught.value.hint


@pytest.mark.parametrize("name", ["adamw", "muon", "lion", "adamw_8bit"])
def test_parts_and_decay_are_the_same_for_all(name: str) -> None:
    pytest.importorskip("pytorch_optimizer")
    model = Net()
    config = OptimizerConfig(name=name, vit_lr=5e-3, weight_decay=0.3)
    parts: dict[nn.Parameter, Any] = {model.embed.weight: "vit"}
    optimizer = build_optimizer(model, config, 1e-3, parts=parts)
    found = rates(optimizer, 2e-3)
    assert found.pop("embed.weight") == pytest.approx(1e-2)
    assert set(found.values()) == {2e-3}
    decays = {name: group["weight_decay"] for group in optimizer.param_groups for name in group["param_names"]}
    for parameter, decay in decays.items():
        matrix = parameter.endswith("weight") and "norm" not in parameter
        assert decay == (0.3 if matrix else 0.0), parameter


def test_muon_takes_matrices_but_no_embeddings_and_no_head() -> None:
    pytest.importorskip("pytorch_optimizer")
    model = Net()
    head = list(model.lm_head.parameters())
    inner = {f"layers.{n}.{name}.weight" for n in (0, 1) for name in ("self_attn.q_proj", "mlp.0", "mlp.2")}
    assert marked(built(model, config_of("muon"), head=head), "use_muon") == inner
    attention = {name for name in inner if "self_attn" in name}
    some = config_of("muon", options={"targets": "self_attn"})
    assert marked(built(model, some, head=head), "use_muon") == attention


@pytest.mark.parametrize("name", ["galore", "apollo", "fira"])
def test_what_is_projected(name: str) -> None:
    pytest.importorskip("pytorch_optimizer")
    inner = {f"layers.{n}.{part}.weight" for n in (0, 1) for part in ("self_attn.q_proj", "mlp.0", "mlp.2")}
    assert marked(built(Net(), config_of(name)), "rank") == inner
    only = config_of(name, options={"targets": r"\.mlp\."})
    assert marked(built(Net(), only), "rank") == {name for name in inner if "mlp" in name}
    with pytest.raises(ConfigError, match="nothing that is trained is a matrix that its options choose") as caught:
        built(Net(), config_of(name, options={"rank": 64}))
    assert "lower the option rank" in caught.value.hint


def test_a_real_architecture_with_an_adapter() -> None:
    pytest.importorskip("pytorch_optimizer")
    model = add_lora(tiny_model("llama"), LoraConfig(rank=4, targets=("q_proj", "v_proj")))
    optimizer = build_optimizer(model, config_of("galore", options={"rank": 2}, lora_plus=4.0), 1e-3)
    names = {name for group in optimizer.param_groups for name in group["param_names"]}
    assert marked(optimizer, "rank") == names, "all of them belong to attention, and are larger than 2 both ways"
    assert {rate for name, rate in rates(optimizer, 1e-3).items() if "lora_B" in name} == {4e-3}
