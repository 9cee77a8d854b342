"""Optimizer state in main memory between steps, for accelerators that have none left for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class Offload:
    """Brings the state of an optimizer to the device for its step, and takes it back.

    The state is on the device while it steps, when activations are gone; so the peak of a step, at the end of the
    forward pass, is lower by all of it. Every step waits for two copies over the bus.

    Args:
        inner: The optimizer.
        rest: Where the state is between steps.
    """

    def __init__(self, inner: torch.optim.Optimizer, rest: torch.device | None = None) -> None:
        self.inner = inner
        self.rest = rest or torch.device("cpu")

    @contextmanager
    def on_device(self) -> Iterator[None]:
        """The state is on the parameters' device for the block."""
        self._move(None)
        try:
            yield
        finally:
            self._move(self.rest)

    def _move(self, device: torch.device | None) -> None:
        for group in self.inner.param_groups:
            for p in group["params"]:
                state = self.inner.state.get(p, {})
                for name, value in state.items():
                    # Step counters are small, and some optimizers want them where they are.
                    if isinstance(value, Tensor) and value.ndim:
                        state[name] = value.to(device or p.device)
