"""AdaLoRA (arXiv 2303.10512) between steps: PEFT has the ranks, and must be told of every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from swift.errors import ConfigError

if TYPE_CHECKING:
    from peft import PeftModel

_AVERAGES = ("ipt", "exp_avg_ipt", "exp_avg_unc")
_PATTERN = "pattern"


class RankSchedule:
    """Takes ranks away from layers that need them least.

    Args:
        tuned: The PEFT model with an AdaLoRA adapter called `default`.
    """

    def __init__(self, tuned: PeftModel) -> None:
        self._tuner: Any = tuned.base_model
        self._config: Any = tuned.peft_config["default"]

    def start(self, total_steps: int) -> None:
        """The run has this many steps.

        Raises:
            ConfigError: They are not more than those before and after ranks are taken away.
        """
        tinit, tfinal = self._config.tinit, self._config.tfinal
        if tinit + tfinal >= total_steps:
            raise ConfigError(
                f"tuner.tinit {tinit} and tuner.tfinal {tfinal} leave none of {total_steps} steps for the ranks",
                hint="lower --adalora_tinit or --adalora_tfinal",
            )
        self._tuner.rankallocator.set_total_step(total_steps)

    def before(self, step: int) -> frozenset[nn.Parameter]:
        """Nothing to do."""
        return frozenset()

    def penalty(self) -> Tensor:
        """The mean distance of the factors from orthogonal ones (eq. 4), with its weight."""
        distances = []
        for name, factor in self._tuner.model.named_parameters():
            if "lora_A.default" in name or "lora_B.default" in name:
                product = factor @ factor.T if "lora_A" in name else factor.T @ factor
                distances.append(torch.linalg.norm(product - torch.eye(len(product), device=factor.device)))
        weight: float = self._config.orth_reg_weight
        return torch.stack(distances).mean() * weight

    def after(self, step: int) -> None:
        """Average the sensitivities, and take ranks away where it is time."""
        self._tuner.update_and_allocate(step)

    def state(self) -> dict[str, Tensor]:
        """Averages by name of the parameter, and which ranks are left."""
        allocator = self._tuner.rankallocator
        averages = zip(_AVERAGES, (allocator.ipt, allocator.exp_avg_ipt, allocator.exp_avg_unc), strict=True)
        found = {f"{kind}/{name}": value for kind, values in averages for name, value in values.items()}
        pattern = self._config.rank_pattern or {}
        return found | {f"{_PATTERN}/{name}": torch.tensor(kept) for name, kept in pattern.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        parts: dict[str, dict[str, Tensor]] = {kind: {} for kind in (*_AVERAGES, _PATTERN)}
        for key, value in state.items():
            kind, _, name = key.partition("/")
            parts[kind][name] = value
        allocator = self._tuner.rankallocator
        allocator.ipt, allocator.exp_avg_ipt, allocator.exp_avg_unc = (parts[kind] for kind in _AVERAGES)
        self._config.rank_pattern = {name: kept.tolist() for name, kept in parts[_PATTERN].items()} or None
