"""Choosing the next token of every row of a batch, each by its own rules.

A row's choice depends on its own logits and its own random numbers only, never on its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from swift.engines.adjust import Chooser, adjust

_HEAD = 1024
"""Likeliest tokens that are sorted first for top_p; the whole vocabulary is only sorted where they are too few."""


def choose(logits: Tensor, rows: Sequence[Chooser]) -> list[int]:
    """The next token of each row.

    Args:
        logits: [rows, vocabulary], any float type.
        rows: Their sampling states, in the same order.
    """
    logits = adjust(logits, rows)
    drawn: dict[int, int] = {}
    # a row takes the same path whatever its neighbours ask for, so that its draws mean the same tokens
    for sorts in (False, True):
        numbers = [
            number
            for number, row in enumerate(rows)
            if row.sampling.temperature > 0 and (row.sampling.top_k > 0 or row.sampling.top_p < 1) is sorts
        ]
        if numbers:
            part = logits if len(numbers) == len(rows) else logits[torch.tensor(numbers, device=logits.device)]
            drawn.update(zip(numbers, _sample(part, [rows[number] for number in numbers], sorts=sorts), strict=True))
    if len(drawn) == len(rows):
        return [drawn[number] for number in range(len(rows))]
    likeliest: list[int] = logits.argmax(-1).tolist()
    return [drawn.get(number, token) for number, token in enumerate(likeliest)]


def _sample(logits: Tensor, rows: Sequence[Chooser], *, sorts: bool) -> list[int]:
    """Draw from the distribution that temperature, top_k, top_p and min_p leave, in this order.

    Args:
        logits: [rows, vocabulary].
        rows: Their sampling states.
        sorts: These rows have top_k or top_p, for which tokens are put in order.
    """
    column = _columns(rows, logits.device)
    probabilities = torch.softmax(logits.float() / column["temperature"], dim=-1)
    if sorts:
        values, ids = _filtered(probabilities, rows, column)
    else:
        values, ids = probabilities, None
    if any(row.sampling.min_p > 0 for row in rows):
        values = values * (values >= column["min_p"] * values.amax(-1, keepdim=True))
    exact = torch.float32 if values.device.type == "mps" else torch.float64  # MPS has no float64
    draws = torch.tensor([[row.random.random()] for row in rows], dtype=exact, device=values.device)
    picked = _invert(values, draws)
    if ids is not None:
        picked = ids.gather(-1, picked)
    tokens: list[int] = picked.squeeze(-1).tolist()
    return tokens


def _columns(rows: Sequence[Chooser], device: torch.device) -> dict[str, Tensor]:
    """The rules as float32 columns [rows, 1]."""

    def column(values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device).unsqueeze(-1)

    rules = [row.sampling for row in rows]
    return {
        "temperature": column([rule.temperature for rule in rules]),
        "top_p": column([rule.top_p for rule in rules]),
        "min_p": column([rule.min_p for rule in rules]),
    }


def _filtered(probabilities: Tensor, rows: Sequence[Chooser], column: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The likeliest tokens in descending order [rows, n], with zeros where top_k or top_p drops them, and their ids.

    A few likeliest tokens nearly always suffice; where they do not, all are sorted.
    """
    vocab = probabilities.shape[-1]
    limits = torch.tensor([[min(row.sampling.top_k or vocab, vocab)] for row in rows], device=probabilities.device)
    widest = int(limits.max())
    mass = column["top_p"]
    for size in (min(_HEAD, widest), widest):
        values, ids = probabilities.topk(size, dim=-1)
        values = values.masked_fill(torch.arange(size, device=values.device) >= limits, 0.0)
        # top_p is a share of what top_k left over: of everything, or of the k tokens at hand
        total = torch.where(limits == vocab, torch.ones_like(mass), values.sum(-1, keepdim=True))
        before = values.cumsum(-1) - values
        head_has_it = (limits == vocab) & (mass < 1) & (values.sum(-1, keepdim=True) >= mass)
        if size == widest or bool(((limits <= size) | head_has_it).all()):
            break
    # without this, rounding of the cumulative sum would cut the tail of rows that ask for everything
    return torch.where((mass < 1) & (before >= mass * total), 0.0, values), ids


def _invert(values: Tensor, draws: Tensor) -> Tensor:
    """Where the cumulative sum of `values` [rows, n] first exceeds `draws` [rows, 1] of its total: int64 [rows, 1]."""
    cumulative = values.to(draws.dtype).cumsum(-1)
    picked = torch.searchsorted(cumulative, draws * cumulative[:, -1:], right=True)
    return picked.clamp_(max=values.shape[-1] - 1)
