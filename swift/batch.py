"""The tensor types between the data path, the objectives and the loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import torch
from torch import Tensor

from swift.types import Origin


@dataclass(frozen=True, slots=True)
class MediaInputs:
    """What a processor made of the media of one sequence, besides token ids.

    Attributes:
        tensors: By the names of the model's arguments, such as `pixel_values`. Some run along the sequence's tokens
            (their shape begins with [1, length]); the others go one after the other along the first dimension.
        aligned: Names of those that run along the tokens.
    """

    tensors: Mapping[str, Tensor]
    aligned: frozenset[str] = frozenset()

    def to(self, device: torch.device) -> MediaInputs:
        """The same on `device`."""
        moved = {name: tensor.to(device, non_blocking=True) for name, tensor in self.tensors.items()}
        return MediaInputs(moved, self.aligned)


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences for one forward pass.

    Two layouts. Padding-free: one row, samples back to back, `boundaries` tells where each begins.
    Padded: one sample a row, `attention_mask` tells which tokens are real.

    Attributes:
        input_ids: int64 [rows, length].
        position_ids: int64 [rows, length]; restarts at 0 with every sample.
        targets: int64 [n], the token ids to predict.
        target_index: int64 [n], where in the flattened [rows * length] the hidden state that predicts
            each target stands (the position before the target's own).
        weights: float32 [n], weight of each target in the loss; all positive.
        boundaries: Padding-free: sample starts and, last, the total length. Padded: None.
        attention_mask: Padded: bool [rows, length], True for real tokens. Padding-free: None.
        tokens: Real (not padding) tokens.
        origins: The row of each sample, in order.
        media: What each sample shows or plays, in order; None for one that has only text.
    """

    input_ids: Tensor
    position_ids: Tensor
    targets: Tensor
    target_index: Tensor
    weights: Tensor
    boundaries: tuple[int, ...] | None
    attention_mask: Tensor | None
    tokens: int
    origins: tuple[Origin, ...]
    media: tuple[MediaInputs | None, ...] = field(default=())

    @property
    def count(self) -> int:
        """What the summed loss is divided by: the number of targets, known before the forward pass."""
        return self.targets.numel()

    @property
    def lengths(self) -> list[int]:
        """Tokens of each sample."""
        if self.boundaries is not None:
            return [end - begin for begin, end in pairwise(self.boundaries)]
        assert self.attention_mask is not None
        found: list[int] = self.attention_mask.sum(-1).tolist()
        return found

    @property
    def slots(self) -> int:
        """Tokens including padding."""
        return self.input_ids.numel()

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`; a no-op where it already is there."""
        if self.input_ids.device == device:
            return self

        def move(t: Tensor) -> Tensor:
            return t.to(device, non_blocking=True)

        return replace(
            self,
            input_ids=move(self.input_ids),
            position_ids=move(self.position_ids),
            targets=move(self.targets),
            target_index=move(self.target_index),
            weights=move(self.weights),
            attention_mask=None if self.attention_mask is None else move(self.attention_mask),
            media=tuple(None if item is None else item.to(device) for item in self.media),
        )


@dataclass(frozen=True, slots=True)
class LossSum:
    """What an objective returns: a sum, divided only by the loop.

    Attributes:
        total: Scalar, the summed loss; carries the graph.
        count: Number of items it is summed over.
        metrics: Further sums over the same items (such as correctly predicted tokens), detached.
    """

    total: Tensor
    count: int
    metrics: dict[str, Tensor]
