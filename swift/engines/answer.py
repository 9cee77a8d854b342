"""An answer as it grows out of a server's events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from swift.chat.codec import Codec
from swift.engines.base import Piece
from swift.engines.text import TextStream
from swift.engines.wires import OTHER_PROMPT, Asked, Delta
from swift.errors import EngineError, RowError
from swift.types import Completion, TokenLogprob


class Answer:
    """Collects what a server says to one request.

    Where it tells token ids, their text is made here, as it is in process, so that engines cannot differ in it.

    Args:
        asked: The request.
        codec: The model's.
        server: Its name, for messages.
        stop_texts: Whether the server ends answers at stop texts.
    """

    def __init__(self, asked: Asked, codec: Codec, server: str, *, stop_texts: bool) -> None:
        self._asked = asked
        self._codec = codec
        self._server = server
        stop = asked.request.sampling.stop
        self._stream = TextStream(codec.decode, stop)
        self._watch = None if stop_texts else stop
        self._ids: list[int] = []
        self._held: list[int] = []
        self._text = ""
        self._logprobs: list[TokenLogprob] = []
        self._seen = Delta()
        self._events = 0

    @property
    def stopped(self) -> bool:
        """Whether a stop text is complete that the server does not know of: nothing more is wanted."""
        return self._stream.stopped and self._watch is not None

    @property
    def prompt_ids(self) -> tuple[int, ...] | None:
        """The prompt as the server tells to have seen it."""
        return self._seen.prompt_ids

    def take(self, delta: Delta) -> Piece | None:
        """Add what an event says; returns what is new for certain, or None where nothing is.

        Raises:
            RowError: The server has made other tokens of the prompt than were sent.
        """
        self._note(delta)
        self._events += bool(delta.text or delta.ids)
        logprobs = tuple(self._named(item) for item in delta.logprobs)
        self._logprobs += logprobs
        if delta.ids:
            self._ids += delta.ids
            piece = self._decoded(delta.ids)
        elif delta.text:
            self._text += delta.text
            piece = delta.text
        else:
            piece = ""
        tokens = len(delta.ids) or len(delta.logprobs) or int(bool(delta.text))
        return Piece(piece, tokens, logprobs) if piece or tokens else None

    def rest(self) -> Piece | None:
        """What was held back until the answer was over."""
        if not self._ids:
            return None
        if self._seen.finish == "length":
            for token in self._held:
                self._stream.add(token)
        self._stream.finish()
        text = self._stream.take(final=True)
        return Piece(text, 0) if text else None

    def completion(self) -> Completion:
        """The whole answer, after `rest`.

        Raises:
            EngineError: The server stopped in the middle.
        """
        finish = "stop" if self.stopped else self._seen.finish
        if finish is None:
            raise EngineError(f"{self._server} broke off in the middle of an answer", hint="see the server's log")
        wanted = self._asked.request.sampling.logprobs
        known = self._seen.prompt_tokens
        return Completion(
            text=self._stream.text if self._ids else self._text,
            token_ids=tuple(self._ids),
            prompt_tokens=len(self._asked.ids) if self._asked.ids is not None else known or 0,
            finish=finish,
            logprobs=None if wanted is None else tuple(self._logprobs),
            cached_tokens=self._seen.cached,
            told_tokens=0 if self._ids else self._seen.tokens or self._events,
        )

    def _decoded(self, ids: Sequence[int]) -> str:
        """Text of new tokens; the token that ends an answer has none."""
        tokens = [*self._held, *ids]
        ends = bool(tokens) and tokens[-1] in self._asked.stops
        self._held = tokens[-1:] if ends else []
        for token in tokens[:-1] if ends else tokens:
            self._stream.add(token)
        return self._stream.take()

    def _note(self, delta: Delta) -> None:
        before = self._seen
        self._seen = replace(
            before,
            finish=delta.finish or before.finish,
            prompt_ids=before.prompt_ids if delta.prompt_ids is None else delta.prompt_ids,
            prompt_tokens=before.prompt_tokens if delta.prompt_tokens is None else delta.prompt_tokens,
            tokens=before.tokens if delta.tokens is None else delta.tokens,
            cached=delta.cached or before.cached,
        )
        ids = self._asked.ids
        if ids is None:
            return
        if delta.prompt_ids is not None and delta.prompt_ids != ids:
            raise RowError(OTHER_PROMPT, f"{self._server} has seen other tokens than the {len(ids)} that were sent")
        if delta.prompt_tokens is not None and delta.prompt_tokens != len(ids):
            raise RowError(
                OTHER_PROMPT, f"{self._server} has made {delta.prompt_tokens} tokens of a prompt that has {len(ids)}"
            )

    def _named(self, item: TokenLogprob) -> TokenLogprob:
        """A token with its text, as many likeliest ones as were asked for, and theirs."""
        wanted = self._asked.request.sampling.logprobs or 0
        top = tuple(replace(other, text=self._text_of(other)) for other in item.top[:wanted])
        return replace(item, text=self._text_of(item), top=top)

    def _text_of(self, item: TokenLogprob) -> str:
        return item.text if item.id < 0 else self._codec.decode((item.id,))
