"""A request that is being answered, and what its listener is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swift.chat.codec import Codec
from swift.engines.base import Listener, Piece
from swift.engines.job import Chance, Job
from swift.types import Completion, TokenLogprob


@dataclass(slots=True)
class Entry:
    """A request that is being answered.

    Attributes:
        job: Its sequence.
        adapter: What computes it.
        listener: Who is told.
        codec: Writes tokens as text.
        pieces: The listener is told pieces too.
        told: Tokens that it knows of.
    """

    job: Job
    adapter: str
    listener: Listener
    codec: Codec
    pieces: bool
    told: int = 0

    def tell(self) -> None:
        """Tell the listener what is new."""
        job = self.job
        if job.error is not None:
            self.listener(job.error)
            return
        ended = job.finish is not None
        if self.pieces and job.text is not None:
            piece = job.text.take(final=ended)
            if piece or job.chances:
                chances = logprobs(job.chances[self.told :], self.codec)
                self.listener(Piece(piece, len(job.ids) - self.told, chances))
                self.told = len(job.ids)
        if ended:
            self.listener(self._completion())

    def _completion(self) -> Completion:
        job = self.job
        assert job.finish is not None
        return Completion(
            text=job.text.text if job.text is not None else self.codec.decode(job.answer_ids),
            token_ids=tuple(job.ids),
            prompt_tokens=len(job.prompt),
            finish=job.finish,
            logprobs=None if job.chooser.sampling.logprobs is None else logprobs(job.chances, self.codec),
            cached_tokens=min(job.cached, len(job.prompt)),
        )


def logprobs(chances: Sequence[Chance], codec: Codec) -> tuple[TokenLogprob, ...]:
    """Chances with the text of their tokens."""

    def shown(token: int, logprob: float) -> TokenLogprob:
        return TokenLogprob(token, codec.decode([token]), logprob)

    return tuple(
        TokenLogprob(
            chance.token, codec.decode([chance.token]), chance.logprob, tuple(shown(*other) for other in chance.top)
        )
        for chance in chances
    )
