"""Loss scaling, without which small gradients vanish in float16 (arXiv 1710.03740, section 3.2)."""

from __future__ import annotations

import torch

from swift.errors import ConfigError, TrainingError

_LARGEST = 2.0**24


class LossScale:
    """A factor on the loss that grows while gradients stay finite and halves when they overflow.

    `torch.amp.GradScaler` does the same for optimizers whose gradients are float32 already; this one belongs to
    gradients that are copied to float32 first, and its state is plain numbers.

    Args:
        value: The first factor; 1 with `fixed` means no scaling.
        interval: Finite steps in a row after which the factor doubles.
        fixed: Never change the factor.
    """

    def __init__(self, value: float = 65536.0, *, interval: int = 2000, fixed: bool = False) -> None:
        self.value = value
        self.interval = interval
        self.fixed = fixed
        self._streak = 0

    def update(self, *, finite: bool) -> bool:
        """Learn how the last step's gradient came out; returns whether an overflow is explained by the factor.

        Raises:
            TrainingError: Gradients overflow however small the factor is.
        """
        if self.fixed:
            return False
        if finite:
            self._streak += 1
            if self._streak == self.interval:
                self.value, self._streak = min(self.value * 2.0, _LARGEST), 0
            return False
        self._streak = 0
        self.value /= 2.0
        if self.value < 1.0:
            raise TrainingError(
                "float16 gradients overflow at every loss scale",
                hint="use --torch_dtype bfloat16 or float32, or a lower learning rate",
            )
        return True

    def state(self) -> dict[str, float]:
        """Plain numbers for the checkpoint."""
        return {"value": self.value, "streak": self._streak}

    def load(self, state: dict[str, float]) -> None:
        """The inverse of `state`."""
        self.value, self._streak = float(state["value"]), int(state["streak"])


def make_loss_scale(dtype: torch.dtype, device: torch.device) -> LossScale:
    """A growing scale where the model computes in float16, and none elsewhere.

    Raises:
        ConfigError: float16 training on the CPU.
    """
    if dtype != torch.float16:
        return LossScale(1.0, fixed=True)
    if device.type == "cpu":
        raise ConfigError(
            "model.dtype is float16 and the device is the CPU, where training in float16 is not supported",
            hint="use --torch_dtype bfloat16 or float32",
        )
    return LossScale()
