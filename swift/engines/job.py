"""One sequence on its way, and the step that all paths share: from scores to the next token of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from swift.batch import MediaInputs
from swift.engines.adjust import Chooser
from swift.engines.sampling import choose
from swift.engines.text import TextStream
from swift.errors import RowError


@dataclass(frozen=True, slots=True)
class Chance:
    """How likely the model found a token that was chosen.

    Attributes:
        token: Its id.
        logprob: Natural logarithm of its probability.
        top: The likeliest tokens in its place, as (id, logprob), the likeliest first.
    """

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...]


@dataclass(slots=True)
class Job:
    """One sequence.

    Attributes:
        number: Which request it answers; later ones have higher numbers.
        prompt: Token ids of the prompt.
        limit: New tokens at most: what was asked for and what the model's positions allow.
        eos_ids: Token ids that end the answer.
        chooser: How its tokens are chosen.
        text: Its text so far; None where nobody needs it before the end.
        ids: Token ids generated so far, the ending one included.
        chances: One for each of `ids`, where they are asked for.
        finish: Why it ended; None while it goes on.
        error: Why it cannot go on; it has ended then too.
        media: What the prompt shows or plays.
        shift: How far positions behind the prompt differ from the number of tokens, which media may make so.
        front: Positions that its adapter puts in front of the prompt.
        cached: Tokens that did not have to be computed.
    """

    number: int
    prompt: list[int]
    limit: int
    eos_ids: frozenset[int]
    chooser: Chooser
    text: TextStream | None = None
    ids: list[int] = field(default_factory=list)
    chances: list[Chance] = field(default_factory=list)
    finish: Literal["stop", "length"] | None = None
    error: RowError | None = None
    media: MediaInputs | None = None
    shift: int = 0
    front: int = 0
    cached: int = 0

    @property
    def length(self) -> int:
        """Positions of prompt and answer so far, and of what stands in front of them."""
        return self.front + len(self.prompt) + len(self.ids)

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to generate."""
        return self.finish is not None or self.error is not None

    @property
    def answer_ids(self) -> list[int]:
        """The generated ids without the token that ended the answer."""
        ends = self.ids and self.ids[-1] in self.eos_ids and not self.chooser.sampling.ignore_eos
        return self.ids[:-1] if ends else self.ids

    def accept(self, token: int) -> None:
        """Take the next token and see whether it is the last."""
        self.ids.append(token)
        try:
            self.chooser.accept(token)
        except RowError as error:
            self.error = error
            return
        if token in self.eos_ids and not self.chooser.sampling.ignore_eos:
            self.finish = "stop"
        elif self.text is not None:
            self.text.add(token)
            if self.text.stopped:
                self.finish = "stop"
        if self.finish is None and len(self.ids) >= self.limit:
            self.finish = "length"
        if self.finish is not None and self.text is not None:
            self.text.finish()


def advance(jobs: Sequence[Job], logits: Tensor) -> list[Job]:
    """Choose the next token of each job.

    Args:
        jobs: None of which has ended.
        logits: [jobs, vocabulary], any float type.

    Returns:
        The jobs; some of them may have ended now.
    """
    moved = list(jobs)
    for row, (job, token) in enumerate(zip(moved, choose(logits, [job.chooser for job in moved]), strict=True)):
        wanted = job.chooser.sampling.logprobs
        if wanted is not None:
            job.chances.append(_chance(logits[row], token, wanted))
        job.accept(token)
    return moved


def _chance(scores: Tensor, token: int, wanted: int) -> Chance:
    """The chance of a token by its row's own scores [vocabulary], and the `wanted` likeliest ones."""
    logprobs = scores.float().log_softmax(-1)
    values, ids = logprobs.topk(min(wanted, len(logprobs)))
    return Chance(token, float(logprobs[token]), tuple(zip(ids.tolist(), values.tolist(), strict=True)))
