"""How likely a model finds given tokens: what sequences share is computed once, and logits only where they count."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from swift.engines.base import OnScored
from swift.engines.branches import Branches, batches
from swift.engines.shape import cache_parameter, forward_parameters, input_device
from swift.engines.tree import TreeLayer, in_tree, tree_cache, tree_of
from swift.models.head import HeadTransform
from swift.models.structure import backbone, embedding_rows, output_head
from swift.types import Given, Scored

_CHUNK = 1 << 26
"""Logits held at a time."""

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
        self._rows = max(1, _CHUNK // embedding_rows(model))

    def compute(self, batch: Branches) -> tuple[list[float], list[bool]]:
        """The logarithm of each wanted token's probability, and whether it is the likeliest."""
        rows, where = torch.unique(self._tensor(batch.rows), return_inverse=True)
        tokens = self._tensor(batch.tokens)
        states = self.states(batch, rows)
        logprobs = torch.empty(len(tokens), dtype=torch.float64)
        greedy = torch.empty(len(tokens), dtype=torch.bool)
        for begin in range(0, len(rows), self._rows):
            logits = self.logits(states[begin : begin + self._rows])
            here = ((where >= begin) & (where < begin + self._rows)).nonzero()[:, 0]
            row, token = where[here] - begin, tokens[here]
            found = logits[row, token] - logits.logsumexp(-1)[row]
            logprobs[here.cpu()] = found.double().cpu()
            greedy[here.cpu()] = (logits.argmax(-1)[row] == token).cpu()
        return logprobs.tolist(), greedy.tolist()

    def logits(self, states: Tensor) -> Tensor:
        """[rows, d] -> float32 [rows, vocabulary]."""
        return (states if self._transform is None else self._transform(output_head(self._model)(states))).float()

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
def tree_scores(
    model: PreTrainedModel,
    transform: HeadTransform | None,
    samples: Sequence[Given],
    *,
    before: Callable[[], None],
    on_done: OnScored,
    max_tokens: int | None = None,
) -> None:
    """Tell how likely the targets of samples are.

    Args:
        model: One for which `tree_is_right`.
        transform: What the architecture does to the head's output; None asks the whole model for logits.
        samples: With targets.
        before: Called before every forward pass.
        on_done: Called for each sample.
        max_tokens: Tokens of a batch; default: by the device.
    """
    device = input_device(model)
    tree = TreeModel(model, transform)
    sums = [0.0] * len(samples)
    greedy = [True] * len(samples)
    for batch in batches(samples, max_tokens or (BATCH_ON_CPU if device.type == "cpu" else BATCH)):
        before()
        for number, logprob, best in zip(batch.numbers, *tree.compute(batch), strict=True):
            sums[number] += logprob
            greedy[number] &= best
        for number in batch.done:
            on_done(number, Scored(sums[number], len(samples[number].targets), greedy[number]))
