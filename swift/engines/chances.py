"""How likely given tokens are by a model's states: logits exist for a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from swift.engines.job import Chance
from swift.models.head import HeadTransform
from swift.models.structure import embedding_rows, output_head
from swift.types import Scored

_CHUNK = 1 << 26
"""Logits held at a time."""

_BLOCK = 1 << 21
"""The same where caches are to hold them."""

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
        self._room = torch.empty(0)

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
            here = ((where >= begin) & (where < begin + self._rows)).nonzero()[:, 0]
            row, token, places = where[here] - begin, tokens[here], here.cpu()
            sums = Sums(len(states[begin : begin + self._rows]), token, top, states.device)
            for column, logits in self._blocks(states[begin : begin + self._rows]):
                sums.add(logits, column, row)
            logprobs[places] = (sums.own - sums.total()[row]).double().cpu()
            greedy[places] = (sums.own == sums.largest[row]).cpu()
            if top:
                told = sums.tops()
                for place, number in zip(places.tolist(), row.tolist(), strict=True):
                    tops[place] = told[number]
        return Found(logprobs.tolist(), greedy.tolist(), tops)

    def _blocks(self, states: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Logits in float32, which may be written to, with the number of their first column.

        On a CPU they are some columns of the head at a time, which stay in its caches, always in the same memory: fresh
        memory for all of them costs about as much time as their product.
        """
        head = output_head(self._model)
        small = states.device.type == "cpu" and type(head) is nn.Linear and head.weight.dtype == torch.float32
        if self._transform is None or not small or head._forward_hooks or head._forward_pre_hooks:
            yield 0, self.logits(states).clone() if self._transform is None else self.logits(states)
            return
        assert isinstance(head, nn.Linear)
        rows, vocabulary = len(states), head.weight.shape[0]
        columns = min(vocabulary, max(1, _BLOCK // rows))
        if len(self._room) < rows * columns:
            self._room = states.new_empty(rows * columns)
        for begin in range(0, vocabulary, columns):
            weight = head.weight[begin : begin + columns]
            logits = self._room[: rows * len(weight)].view(rows, len(weight))
            torch.mm(states, weight.t(), out=logits)
            if head.bias is not None:
                logits += head.bias[begin : begin + columns]
            yield begin, self._transform(logits)


class Sums:
    """What remains of rows of logits that are seen a block of columns at a time.

    Args:
        rows: How many.
        tokens: int64 [n], whose logits are kept.
        top: How many of the largest are kept of each row.
        device: Where they are.

    Attributes:
        own: [n], the logits of the tokens.
        largest: [rows].
    """

    def __init__(self, rows: int, tokens: Tensor, top: int, device: torch.device) -> None:
        self._tokens = tokens
        self._top = top
        self._values: list[Tensor] = []
        self._ids: list[Tensor] = []
        self._sum = torch.zeros(rows, device=device)
        self.own = torch.empty(len(tokens), device=device)
        self.largest = torch.full((rows,), float("-inf"), device=device)

    def add(self, logits: Tensor, column: int, row: Tensor) -> None:
        """Take in a block, which is overwritten.

        Args:
            logits: [rows, columns].
            column: The number of its first column.
            row: int64 [n], the row of each token.
        """
        inside = ((self._tokens >= column) & (self._tokens < column + logits.shape[1])).nonzero()[:, 0]
        self.own[inside] = logits[row[inside], self._tokens[inside] - column]
        if self._top:
            values, ids = logits.topk(min(self._top, logits.shape[1]), dim=-1)
            self._values.append(values)
            self._ids.append(ids + column)
        largest = torch.maximum(self.largest, logits.amax(-1))
        shift = largest.clamp_min(torch.finfo(largest.dtype).min)  # a row without any number so far
        self._sum = self._sum * (self.largest - shift).exp() + logits.sub_(shift[:, None]).exp_().sum(-1)
        self.largest = largest

    def total(self) -> Tensor:
        """[rows], the logarithm of the sum of exponentials."""
        return self.largest + self._sum.log()

    def tops(self) -> list[Top]:
        """The likeliest tokens of each row."""
        values, ids = torch.cat(self._values, dim=-1), torch.cat(self._ids, dim=-1)
        values, places = values.topk(min(self._top, values.shape[-1]), dim=-1)
        values, ids = values - self.total()[:, None], ids.gather(-1, places)
        return [tuple(zip(*row, strict=True)) for row in zip(ids.tolist(), values.tolist(), strict=True)]
