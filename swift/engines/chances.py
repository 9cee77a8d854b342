"""How likely given tokens are by a model's states: logits exist for a few rows at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import PreTrainedModel

from swift.engines.job import Chance
from swift.models.head import HeadTransform
from swift.models.structure import embedding_rows, output_head
from swift.types import Scored

_CHUNK = 1 << 26
"""Logits held at a time."""

Top = tuple[tuple[int, float], ...]
"""The likeliest tokens of a place, as (id, logprob), the likeliest first."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is found of wanted tokens, in their order.

    Attributes:
        logprobs: Natural logarithms of their probabilities.
        greedy: Whether each is the likeliest in its place.
        tops: The likeliest tokens of each place; empty where none are told.
    """

    logprobs: list[float]
    greedy: list[bool]
    tops: list[Top]


@dataclass(slots=True)
class Tally:
    """What is found of one sample's targets so far, in their order; see `Found`."""

    logprobs: list[float] = field(default_factory=list)
    tops: list[Top] = field(default_factory=list)
    greedy: bool = True

    def add(self, found: Found, place: int) -> None:
        """Take in one of what was found."""
        self.logprobs.append(found.logprobs[place])
        self.greedy &= found.greedy[place]
        self.tops.append(found.tops[place])

    def scored(self) -> Scored:
        """All of it as one."""
        return Scored(sum(self.logprobs), len(self.logprobs), self.greedy)

    def chances(self, tokens: Sequence[int], top: int) -> list[Chance]:
        """Each of it.

        Args:
            tokens: The targets.
            top: How many of the likeliest tokens are told.
        """
        each = zip(tokens, self.logprobs, self.tops, strict=True)
        return [Chance(token, logprob, likeliest[:top]) for token, logprob, likeliest in each]


class Chances:
    """Finds how likely tokens are.

    Args:
        model: Whose output head it is.
        transform: What the architecture does to the head's output; None where states are logits already.
    """

    def __init__(self, model: PreTrainedModel, transform: HeadTransform | None) -> None:
        self._model = model
        self._transform = transform
        self._rows = max(1, _CHUNK // embedding_rows(model))

    def logits(self, states: Tensor) -> Tensor:
        """[rows, d] -> float32 [rows, vocabulary]."""
        return (states if self._transform is None else self._transform(output_head(self._model)(states))).float()

    def find(self, states: Tensor, where: Tensor, tokens: Tensor, top: int) -> Found:
        """Look tokens up.

        Args:
            states: [rows, d]; logits where there is no transform.
            where: int64 [n], which row tells of each token.
            tokens: int64 [n].
            top: How many of the likeliest tokens are told for each place.
        """
        logprobs = torch.empty(len(tokens), dtype=torch.float64)
        greedy = torch.empty(len(tokens), dtype=torch.bool)
        tops: list[Top] = [()] * len(tokens)
        for begin in range(0, len(states), self._rows):
            logits = self.logits(states[begin : begin + self._rows])
            here = ((where >= begin) & (where < begin + self._rows)).nonzero()[:, 0]
            row, token = where[here] - begin, tokens[here]
            sums = logits.logsumexp(-1)
            places = here.cpu()
            logprobs[places] = (logits[row, token] - sums[row]).double().cpu()
            greedy[places] = (logits.argmax(-1)[row] == token).cpu()
            if top:
                told = _tops(logits, sums, top)
                for place, number in zip(places.tolist(), row.tolist(), strict=True):
                    tops[place] = told[number]
        return Found(logprobs.tolist(), greedy.tolist(), tops)


def _tops(logits: Tensor, sums: Tensor, top: int) -> list[Top]:
    """The likeliest tokens of each row."""
    values, ids = logits.topk(min(top, logits.shape[-1]), dim=-1)
    values = values - sums[:, None]
    return [tuple(zip(*row, strict=True)) for row in zip(ids.tolist(), values.tolist(), strict=True)]
