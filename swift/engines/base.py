"""What every inference engine offers, whatever runs underneath."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from swift.chat.codec import Codec
from swift.errors import RowError
from swift.types import Completion, Conversation, Request, Scored

BASE = "base"
"""The adapter name that always means the bare model."""

OnDone = Callable[[int, Completion], None]
"""Called with the number of a request and its answer as soon as it is finished, in any order."""


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

    def generate(self, requests: Sequence[Request], *, on_done: OnDone | None = None) -> list[Completion | RowError]:
        """Answer all requests, batched; a request that cannot be answered has a RowError in its place."""

    def stream(self, request: Request) -> Iterator[str]:
        """The answer in pieces of valid text as it is made; they join to the completion's text.

        Raises:
            RowError: The request cannot be answered.
        """

    def score(self, samples: Sequence[Conversation], *, adapter: str | None = None) -> list[Scored | RowError]:
        """How likely each conversation's last turn, which is the assistant's, is behind the turns before it.

        Args:
            adapter: As in a request.
        """
