"""Names and options are checked before any weights are there."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from swift.config.optim import OptimizerConfig
from swift.errors import ConfigError, MissingExtraError, UnknownNameError
from swift.train.optimizers import Groups, Spec, choose, optimizers
from swift.train.optimizers.registry import REFUSED
from tests.train.optimizers.nets import Net, built, steps


def test_an_unknown_name_has_a_nearest_one() -> None:
    with pytest.raises(UnknownNameError, match="unknown optimizer 'adamW8bit'") as caught:
        choose(OptimizerConfig(name="adamW8bit"))
    assert "adamw_8bit" in caught.value.hint


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_cannot_work_here_says_why(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        choose(OptimizerConfig(name=name))
    assert caught.value.message == f"optimizer.name is {name}, which {REFUSED[name]}"


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        ({"options": {"amsgard": True}}, "unknown option of the optimizer adamw 'amsgard'", "amsgrad"),
        ({"name": "sgd", "options": {"rank": 8}}, "unknown option of the optimizer sgd 'rank'", "momentum"),
        ({"options": {"lr": 1e-3}}, "optimizer.options has lr", "--learning_rate"),
        ({"options": {"weight_decay": 0.1}}, "optimizer.options has weight_decay", "--weight_decay"),
        ({"name": "sgd", "beta1": 0.9}, "the optimizer sgd has no beta1 and beta2", "--adam_beta1"),
        ({"name": "sgd", "epsilon": 1e-6}, "the optimizer sgd has no epsilon", "--adam_epsilon"),
        ({"beta1": 0.8, "options": {"betas": [0.9, 0.9]}}, "betas is set by optimizer.options and by a flag", "one"),
        ({"name": "badam", "options": {"switch_every": 0}}, "switch_every must be at least 1, not 0", "docs"),
        ({"name": "badam", "options": {"order": "up"}}, "order must be descending, ascending or random", "docs"),
        ({"name": "sgd", "options": {"momentum": -1.0}}, "optimizer sgd: Invalid momentum value: -1.0", "docs"),
        ({"name": "sgd", "options": {"momentum": "much"}}, "optimizer sgd: ", "docs"),
        ({"name": "adalomo", "options": {"clip_threshold": 0.0}}, "clip_threshold must be more than 0", "docs"),
        ({"name": "adam_mini", "options": {"betas": [0.9, 1.0]}}, "betas must be at least 0 and less than 1", "docs"),
    ],
)
def test_bad_options(values: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        choose(OptimizerConfig(**values))
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize("name", ["msvag", "fromage"])
def test_a_decay_that_does_not_exist(name: str) -> None:
    pytest.importorskip("pytorch_optimizer")
    assert choose(OptimizerConfig(name=name)).weight_decay == 0.0
    with pytest.raises(ConfigError, match="has no weight decay"):
        choose(OptimizerConfig(name=name, weight_decay=0.1))


def test_fields_reach_the_options_under_their_names() -> None:
    assert choose(OptimizerConfig()).options == {"betas": (0.9, 0.95), "eps": 1e-8}
    assert choose(OptimizerConfig(beta2=0.99, epsilon=1e-6)).options == {"betas": (0.9, 0.99), "eps": 1e-6}
    assert choose(OptimizerConfig(name="nadamw", beta1=0.8)).options["betas"] == (0.8, 0.999)
    assert choose(OptimizerConfig(options={"amsgrad": True})).options["amsgrad"] is True
    assert choose(OptimizerConfig()).weight_decay == 0.1
    assert choose(OptimizerConfig(name="adam")).weight_decay == 0.0
    assert choose(OptimizerConfig(name="sgd", weight_decay=0.2)).weight_decay == 0.2


def test_three_betas_and_those_of_muons_adamw() -> None:
    pytest.importorskip("pytorch_optimizer")
    assert choose(OptimizerConfig(name="came", beta2=0.99)).options["betas"] == (0.9, 0.99, 0.9999)
    assert choose(OptimizerConfig(name="muon", beta1=0.8, epsilon=1e-6)).options["adamw_betas"] == (0.8, 0.95)
    group = next(g for g in built(Net(), OptimizerConfig(name="muon", beta1=0.8)).param_groups if not g["use_muon"])
    assert group["betas"] == (0.8, 0.95)


def test_a_missing_library_names_what_to_install() -> None:
    with pytest.raises(MissingExtraError, match="needs the library 'no_such_library'") as caught:
        Spec("no_such_library.optim:Best", extra="optim").options()
    assert caught.value.hint == "pip install 'swift-finetune[optim]'"


def test_a_plugin_registers_a_function_and_gets_its_options() -> None:
    def halving(groups: Groups, *, momentum: float = 0.5) -> torch.optim.Optimizer:
        return torch.optim.SGD(groups.groups, lr=groups.lr, momentum=momentum)

    if "halving" not in optimizers:
        optimizers.register("halving")(halving)
    model = Net()
    optimizer = built(model, OptimizerConfig(name="halving", options={"momentum": 0.7}), 0.1)
    assert optimizer.param_groups[0]["momentum"] == 0.7
    losses = steps(model, optimizer, range(20), 0.1)
    assert losses[-1] < 0.8 * losses[0]
    with pytest.raises(UnknownNameError, match="unknown option of the optimizer halving 'momentun'"):
        choose(OptimizerConfig(name="halving", options={"momentun": 0.7}))
