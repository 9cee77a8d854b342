"""What a request asks of the scores of tokens before one is chosen: biases, penalties, limits, and a guide."""

from __future__ import annotations

import random
from collections.abc import Sequence, Set
from dataclasses import dataclass

import torch
from torch import Tensor

from swift.engines.guide import Match
from swift.types import Sampling

_NEVER = float("-inf")


@dataclass(slots=True)
class Chooser:
    """The sampling state of one sequence.

    Attributes:
        sampling: Its rules.
        random: Its own random numbers, one a sampled token.
        eos_ids: Tokens that end it.
        match: Where in its guide it is; None where it has none.
        seen: bool [vocabulary], tokens of prompt and answer; only where repeats are penalised.
        counts: float32 [vocabulary], how often the answer has each token; only where that is penalised.
        chosen: Tokens of the answer so far.
    """

    sampling: Sampling
    random: random.Random
    eos_ids: Set[int] = frozenset()
    match: Match | None = None
    seen: Tensor | None = None
    counts: Tensor | None = None
    chosen: int = 0

    @classmethod
    def new(cls, sampling: Sampling, *, eos_ids: Set[int] = frozenset(), match: Match | None = None) -> Chooser:
        """A fresh state; without a seed it is seeded by the system."""
        return cls(sampling, random.Random(sampling.seed), eos_ids, match)

    def begin(self, prompt: Sequence[int], vocabulary: int, device: torch.device) -> None:
        """Take note of the prompt, whose tokens count as repeats."""
        rules = self.sampling
        if rules.repetition_penalty != 1.0:
            self.seen = torch.zeros(vocabulary, dtype=torch.bool, device=device)
            self.seen[torch.tensor(list(prompt), device=device)] = True
        if rules.presence_penalty or rules.frequency_penalty:
            self.counts = torch.zeros(vocabulary, device=device)

    def accept(self, token: int) -> None:
        """Take note of the token that was chosen."""
        self.chosen += 1
        if self.seen is not None:
            self.seen[token] = True
        if self.counts is not None:
            self.counts[token] += 1
        if self.match is not None:
            self.match.accept(token)

    @property
    def adjusts(self) -> bool:
        """Whether this sequence changes its scores now."""
        held = self.chosen < self.sampling.min_new_tokens
        return bool(self.seen is not None or self.counts is not None or self.sampling.logit_bias or self.match or held)


def adjust(logits: Tensor, rows: Sequence[Chooser]) -> Tensor:
    """The scores that tokens are chosen by.

    Args:
        logits: [rows, vocabulary], any float type; left as they are.
        rows: Their sampling states, in the same order.

    Returns:
        The same tensor where no row changes anything, else float32.
    """
    if not any(row.adjusts for row in rows):
        return logits
    logits = logits.float().clone()
    for scores, row in zip(logits, rows, strict=True):
        if row.adjusts:
            _adjust(scores, row)
    return logits


def _adjust(scores: Tensor, row: Chooser) -> None:
    """Change one row's scores [vocabulary] in place.

    Repeats: positive scores divided, negative ones multiplied (arXiv 1909.05858, section 4.1). Presence and
    frequency: as the OpenAI API defines them, over the answer alone.
    """
    rules = row.sampling
    for token, bias in rules.logit_bias:
        scores[token] += bias
    if row.seen is not None:
        penalty = rules.repetition_penalty
        lowered = torch.where(scores > 0, scores / penalty, scores * penalty)
        scores.copy_(torch.where(row.seen, lowered, scores))
    if row.counts is not None:
        scores -= rules.frequency_penalty * row.counts + rules.presence_penalty * (row.counts > 0)
    if row.match is not None:
        scores.masked_fill_(~row.match.allowed(len(scores), scores.device), _NEVER)
    elif row.chosen < rules.min_new_tokens and row.eos_ids:
        # Behind the end of a guided answer there is nothing else to choose, so a guide is not held up.
        scores[torch.tensor(sorted(row.eos_ids), device=scores.device)] = _NEVER
