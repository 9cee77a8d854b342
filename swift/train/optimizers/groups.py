"""Parameter groups: what decays, which part has which rate, and LoRA+."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import nn

from swift.config.optim import OptimizerConfig
from swift.errors import ConfigError
from swift.models.parts import Part
from swift.train.optimizers.spec import Group

_UP = re.compile(r"(^|\.)lora_(embedding_)?B\b")


def make_groups(
    optimized: Mapping[str, nn.Parameter],
    config: OptimizerConfig,
    lr: float,
    *,
    weight_decay: float,
    part_of: Mapping[str, Part],
) -> list[Group]:
    """The parameters by rate and decay, in a fixed order.

    Matrices decay; vectors (biases, norms, magnitudes) and anything named bias do not.

    Args:
        optimized: Parameters by name.
        config: The rates of parts, and LoRA+ (arXiv 2402.12354): the second matrix of an adapter learns faster.
        lr: The peak rate.
        weight_decay: Of matrices.
        part_of: The part of a multimodal model that a name is of; the language model where it is not told.

    Raises:
        ConfigError: LoRA+ without an adapter.
    """
    rates = {part: (rate or lr) / lr for part, rate in _rates(config).items()}
    plus = config.lora_plus or 1.0
    if config.lora_plus is not None and not any(map(_is_up, optimized)):
        raise ConfigError(
            "optimizer.lora_plus is set, and nothing that is trained is the second matrix of a LoRA adapter",
            hint="use --tuner_type lora, or leave out --lorap_lr_ratio",
        )
    groups: dict[tuple[float, bool], list[tuple[str, nn.Parameter]]] = {}
    for name, p in optimized.items():
        rate = rates[part_of.get(name, "llm")] * (plus if _is_up(name) else 1.0)
        groups.setdefault((rate, not _decays(name, p)), []).append((name, p))
    return [
        {"params": members, "weight_decay": 0.0 if bare else weight_decay, "rate": rate, "lr": lr * rate}
        for (rate, bare), members in sorted(groups.items(), key=lambda item: item[0])
    ]


def one_by_one(groups: Iterable[Group]) -> list[Group]:
    """A group for each parameter."""
    return [{**group, "params": [member]} for group in groups for member in group["params"]]


def _rates(config: OptimizerConfig) -> dict[Part, float | None]:
    return {"llm": config.llm_lr, "vit": config.vit_lr, "aligner": config.aligner_lr}


def _decays(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim >= 2 and not name.endswith("bias")


def _is_up(name: str) -> bool:
    return bool(_UP.search(name))
