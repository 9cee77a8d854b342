"""What every inference engine offers, whatever runs underneath."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from swift.chat.codec import Codec
from swift.errors import RowError, SwiftError
from swift.types import (
    Ability,
    Completion,
    Conversation,
    Echo,
    EchoRequest,
    Encoded,
    EncodeRequest,
    Given,
    Request,
    Scored,
    TokenLogprob,
)

BASE = "base"
"""The adapter name that always means the bare model."""

WRONG_TASK = "wrong_task"
"""Reason of a RowError: the model does something else."""

OnDone = Callable[[int, Completion], None]
"""Called with the number of a request and its answer as soon as it is finished, in any order."""


OnScored = Callable[[int, Scored], None]
"""Called with the number of a sample and how likely it is as soon as that is known, in any order."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What an answer has grown by.

    Attributes:
        text: Whole characters that belong to the answer for certain. The pieces of an answer join to its text.
        tokens: How many tokens it has more; some of them may still be held back as text.
        logprobs: One for each of these tokens, where they were asked for.
    """

    text: str
    tokens: int
    logprobs: tuple[TokenLogprob, ...] = ()


Event = Piece | Completion | Encoded | Echo | RowError | SwiftError
"""What happens to a request: any number of pieces, and then exactly one of the others.

A RowError is the request's own mistake; a SwiftError (no memory, an engine that has died) is not. A request that was
cancelled has no further events.
"""

Listener = Callable[[Event], None]
"""Called with each event of one request, in order, in a thread of the engine's. It must be quick and not raise."""


AnyRequest = Request | EncodeRequest | EchoRequest
"""What a live engine is asked. One that does not do it says so by a RowError `WRONG_TASK`."""


class Live(Protocol):
    """An engine whose requests come and go while others run. All of it may be called from any thread."""

    @property
    def codec(self) -> Codec:
        """How this model's text becomes tokens."""

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the loaded adapters."""

    @property
    def description(self) -> str:
        """One line for banners."""

    @property
    def ability(self) -> Ability:
        """What the model does."""

    @property
    def takes_chats(self) -> bool:
        """Whether chats are given as they are, since only the server behind can render them."""

    def submit(self, request: AnyRequest, listener: Listener, *, pieces: bool = True) -> int:
        """Answer a request; returns a number by which it can be cancelled. Renders, but does not wait for answers.

        Args:
            request: What to answer.
            listener: Who is told. Where the request cannot be answered at all, at once, in the caller's thread.
            pieces: Tell pieces too, not only the end.
        """

    def cancel(self, ticket: int) -> None:
        """Stop answering a request, if it is not answered yet."""

    def load_adapter(self, name: str, folder: Path) -> None:
        """Load one more LoRA adapter while others are answered; waits for it.

        Raises:
            SwiftError: It cannot be used, or this engine cannot do that; everything is as before then.
        """

    def unload_adapter(self, name: str) -> None:
        """Take no more requests for an adapter; those that it has are answered still.

        Raises:
            SwiftError: There is no such adapter, or this engine cannot do that.
        """

    def close(self) -> None:
        """Stop everything; requests that are not answered yet fail."""


class Engine(Protocol):
    """Turns requests into completions.

    Attributes:
        adapters: Names of the loaded adapters; `base` is always accepted besides. A request without a
            name goes to the first of them, or to the bare model where there is none.
        description: One line for banners: what runs, and on which path.
    """

    @property
    def codec(self) -> Codec:
        """How this model's text becomes tokens."""

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the loaded adapters."""

    @property
    def description(self) -> str:
        """One line for banners."""

    @property
    def ability(self) -> Ability:
        """What the model does."""

    def generate(self, requests: Sequence[Request], *, on_done: OnDone | None = None) -> list[Completion | RowError]:
        """Answer all requests, batched; a request that cannot be answered has a RowError in its place."""

    def stream(self, request: Request, *, on_done: OnDone | None = None) -> Iterator[str]:
        """The answer in pieces of valid text as it is made; they join to the completion's text.

        Raises:
            RowError: The request cannot be answered.
        """

    def score(self, samples: Sequence[Conversation], *, adapter: str | None = None) -> list[Scored | RowError]:
        """How likely each conversation's last turn, which is the assistant's, is behind the turns before it.

        Args:
            adapter: As in a request.
        """

    def score_ids(self, samples: Sequence[Given], on_done: OnScored, *, adapter: str | None = None) -> None:
        """How likely given tokens are behind those before them.

        Args:
            on_done: Called with the number of each sample and its score, in any order.
            adapter: As in a request.

        Raises:
            RowError: A sample cannot be judged, or the engine judges none.
            SwiftError: There is not enough memory, or an engine elsewhere has died.
        """
