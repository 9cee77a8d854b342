"""From the configuration to an optimizer whose name and options are known to be right, before any weights are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from swift.config.optim import OptimizerConfig
from swift.errors import ConfigError, UnknownNameError
from swift.train.optimizers.registry import REFUSED, optimizers
from swift.train.optimizers.spec import Groups, Spec


@dataclass(frozen=True, slots=True)
class Choice:
    """A checked optimizer.

    Attributes:
        name: As configured.
        spec: What is known of it.
        options: For `Spec.build`.
        weight_decay: Of the groups that decay.
    """

    name: str
    spec: Spec
    options: Mapping[str, Any]
    weight_decay: float

    def build(self, groups: Groups) -> torch.optim.Optimizer:
        """The optimizer over `groups`.

        Raises:
            ConfigError: An option has a value that it does not take.
        """
        try:
            return self.spec.build(groups, self.options)
        except (TypeError, ValueError, AssertionError, NotImplementedError, ArithmeticError) as error:
            why = f"{error}" or type(error).__name__
            raise ConfigError(f"optimizer {self.name}: {why}", hint="see docs/optimizers.md") from error


def choose(config: OptimizerConfig) -> Choice:
    """Find the optimizer, and try its options on parameters without memory.

    Raises:
        UnknownNameError: There is no such optimizer, or it has no such option.
        ConfigError: It is refused, or an option has a value that it does not take.
        MissingExtraError: Its library is not installed.
    """
    if config.name in REFUSED:
        raise ConfigError(
            f"optimizer.name is {config.name}, which {REFUSED[config.name]}", hint="see docs/optimizers.md for others"
        )
    entry = optimizers.get(config.name)
    spec = entry if isinstance(entry, Spec) else Spec(entry, draws=True, joined=True)
    known = spec.options()
    options = {**spec.defaults, **_given(config, known), **_moments(config, known)}
    decay = spec.decay if config.weight_decay is None else config.weight_decay
    if "weight_decay" not in known:
        if config.weight_decay:
            raise ConfigError(
                f"optimizer.weight_decay is {config.weight_decay}, and {config.name} has no weight decay",
                hint="leave out --weight_decay",
            )
        decay = 0.0
    choice = Choice(config.name, spec, options, decay)
    choice.build(_example(decay))
    return choice


def _given(config: OptimizerConfig, known: Mapping[str, Any]) -> dict[str, Any]:
    """`optimizer.options`, with lists as the tuples that optimizers take."""
    possible = sorted(set(known) - {"weight_decay"})
    for name in config.options:
        if name in ("weight_decay", "lr"):
            field = "weight_decay" if name == "weight_decay" else "learning_rate"
            raise ConfigError(f"optimizer.options has {name}", hint=f"set it with --{field}")
        if name not in possible:
            kind = f"option of the optimizer {config.name}"
            raise UnknownNameError(kind, name, possible, hint=f"it has {', '.join(possible) or 'none'}")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in config.options.items()}


def _moments(config: OptimizerConfig, known: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that most optimizers share, under the names that this one has for them."""
    found: dict[str, Any] = {}
    if config.beta1 is not None or config.beta2 is not None:
        name = _first(config, known, ("betas", "adamw_betas"), "beta1 and beta2", "--adam_beta1 and --adam_beta2")
        first, second, *rest = known[name]
        found[name] = (
            first if config.beta1 is None else config.beta1,
            second if config.beta2 is None else config.beta2,
            *rest,
        )
    if config.epsilon is not None:
        name = _first(config, known, ("eps", "adamw_eps"), "epsilon", "--adam_epsilon")
        found[name] = config.epsilon
    for name in found:
        if name in config.options:
            raise ConfigError(f"{name} is set by optimizer.options and by a flag", hint="give one of them")
    return found


def _first(config: OptimizerConfig, known: Mapping[str, Any], names: tuple[str, ...], field: str, flag: str) -> str:
    """The first of `names` that the optimizer has."""
    found = next((name for name in names if name in known), None)
    if found is None:
        raise ConfigError(f"the optimizer {config.name} has no {field}", hint=f"leave out {flag}")
    return found


def _example(decay: float) -> Groups:
    """Parameters that look like a model's and take no memory."""
    names = ("layers.0.self_attn.q_proj.weight", "layers.0.mlp.up_proj.weight")
    large = [(name, nn.Parameter(torch.empty(4096, 4096, device="meta"))) for name in names]
    small = [("norm.weight", nn.Parameter(torch.empty(4096, device="meta")))]
    groups = [
        {"params": large, "weight_decay": decay, "rate": 1.0, "lr": 1e-3},
        {"params": small, "weight_decay": 0.0, "rate": 1.0, "lr": 1e-3},
    ]
    return Groups(groups, 1e-3)
