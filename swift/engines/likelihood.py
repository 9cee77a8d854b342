"""How likely a model finds given tokens: what sequences share is computed once, and logits only where they count."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from swift.engines.branches import Branches, batches
from swift.engines.chances import Chances, Found, Tally
from swift.engines.shape import cache_parameter, forward_parameters, input_device
from swift.engines.tree import TreeLayer, in_tree, tree_cache, tree_of
from swift.models.head import HeadTransform
from swift.models.structure import backbone
from swift.types import Given

BATCH, BATCH_ON_CPU = 8192, 1024
"""Tokens of a batch."""


class TreeModel:
    """A model over batches of branches.

    Args:
        model: One whose attention is that of `swift.engines.slots`.
        transform: What the architecture does to the head's output; None asks the whole model for logits.
    """

    def __init__(self, model: PreTrainedModel, transform: HeadTransform | None) -> None:
        self._model = model
        self._transform = transform
        self._called = model if transform is None else backbone(model)
        self._takes = forward_parameters(self._called)
        self._cache = tree_cache(model.config)
        self._device = input_device(model)
        self._chances = Chances(model, transform)

    def compute(self, batch: Branches, top: int) -> Found:
        """How likely each wanted token is, and so many of the likeliest ones in its place."""
        rows, where = torch.unique(self._tensor(batch.rows), return_inverse=True)
        return self._chances.find(self.states(batch, rows), where, self._tensor(batch.tokens), top)

    def logits(self, states: Tensor) -> Tensor:
        """[rows, d] -> float32 [rows, vocabulary]."""
        return self._chances.logits(states)

    def states(self, batch: Branches, rows: Tensor) -> Tensor:
        """States of these new tokens, or their logits where there is no transform: [rows, d]."""
        whole = self._transform is None
        index = {"logits_to_keep": rows} if whole and "logits_to_keep" in self._takes else {}
        with in_tree(tree_of(batch.branches, batch.held, self._device)):
            output = self._called(
                input_ids=self._tensor(batch.ids)[None],
                position_ids=self._tensor(batch.places)[None],
                use_cache=True,
                **{cache_parameter(self._takes): self._cache},
                **index,
            )
        path = self._tensor(batch.hold)
        for layer in self._cache.layers:
            assert isinstance(layer, TreeLayer)
            layer.hold(path)
        states: Tensor = output["logits" if whole else "last_hidden_state"][0]
        return states if index else states[rows]

    def _tensor(self, values: Sequence[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64, device=self._device)


@torch.inference_mode()
def tree_tallies(
    model: PreTrainedModel,
    transform: HeadTransform | None,
    samples: Sequence[Given],
    *,
    before: Callable[[], None],
    top: int = 0,
    wanted: Callable[[int], bool] = lambda number: True,
    max_tokens: int | None = None,
) -> Iterator[list[tuple[int, Tally]]]:
    """Compute how likely the targets of samples are, a batch at a time.

    Args:
        model: One for which `tree_is_right`.
        transform: What the architecture does to the head's output; None asks the whole model for logits.
        samples: With targets.
        before: Called before every forward pass.
        top: How many of the likeliest tokens are told for each target.
        wanted: Whether a sample's results are wanted still; asked before more of it is computed.
        max_tokens: Tokens of a batch; default: by the device.

    Yields:
        After each batch, the samples that are done: their numbers, and what was found.
    """
    device = input_device(model)
    tree = TreeModel(model, transform)
    tallies = [Tally() for _ in samples]
    for batch in batches(samples, max_tokens or (BATCH_ON_CPU if device.type == "cpu" else BATCH), wanted):
        before()
        found = tree.compute(batch, top)
        for place, number in enumerate(batch.numbers):
            tallies[number].add(found, place)
        yield [(number, tallies[number]) for number in batch.done]
