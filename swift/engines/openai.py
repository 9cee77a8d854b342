"""The engine over HTTP: any server that speaks OpenAI's language, ours to start or not."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from swift.chat.codec import Codec
from swift.chat.encode import prompt_of
from swift.chat.grounding.write import ground
from swift.chat.messages import with_system
from swift.config.chat import ChatConfig
from swift.config.media import MediaConfig
from swift.engines import waiting
from swift.engines.answer import Answer
from swift.engines.base import WRONG_TASK, AnyRequest, Listener, OnDone, OnScored, Piece
from swift.engines.completions import Completions
from swift.engines.link import Link
from swift.engines.messages import Messages
from swift.engines.outstanding import Outstanding, Tell, Work, closed
from swift.engines.remote_scoring import likelihood, scoring_body
from swift.engines.served import Served
from swift.engines.wires import UNSUPPORTED, Asked, Reader, Wire
from swift.errors import ConfigError, RowError
from swift.types import Ability, Completion, Conversation, Given, Ids, Request, Scored, Text

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it is sent, and what becomes of its answer.

    Attributes:
        path: Behind the base address.
        body: The JSON object.
        read: Reads an event, or the whole response.
        answer: Grows.
        stream: Whether the answer comes in events.
    """

    path: str
    body: dict[str, Any]
    read: Reader
    answer: Answer
    stream: bool


class OpenAIEngine:
    """Sends requests to a server, and reads what it answers. Safe to use from any thread.

    Args:
        link: The connection; closed with the engine.
        served: What the server is.
        codec: The model's text side.
        chat: How requests are rendered.
        media: Where media may come from.
        stop: Called when the engine is closed, such as to stop a server that was started for it.
    """

    def __init__(
        self,
        link: Link,
        served: Served,
        codec: Codec,
        chat: ChatConfig,
        media: MediaConfig,
        *,
        stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._link = link
        self._served = served
        self._codec = codec
        self._chat = chat
        self._stop = stop
        self._prompts: Wire = served.wire or Completions(served.takes)
        self._messages = Messages(served.takes, media)
        self._outstanding = Outstanding(link, served.takes.server)

    @property
    def codec(self) -> Codec:
        """How this model's text becomes tokens."""
        return self._codec

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the loaded adapters."""
        return tuple(self._served.adapters)

    @property
    def description(self) -> str:
        """One line for banners."""
        how = {
            "ids": "prompts as token ids",
            "text": "prompts as text",
            "messages": "prompts as messages, rendered by the server's own template",
        }[self._served.send]
        return f"{self._served.about or self._served.takes.server} at {self._link.address.url}, {how}"

    @property
    def ability(self) -> Ability:
        """It answers."""
        return Ability(longest=self._served.context, scores=self._tells_scores)

    @property
    def takes_chats(self) -> bool:
        """Whether the server renders chats, by a template that is not known here."""
        return self._served.send == "messages"

    def submit(self, request: AnyRequest, listener: Listener, *, pieces: bool = True) -> int:
        """Answer a request; returns a number by which it can be cancelled. Renders, but does not wait for answers.

        Args:
            request: What to answer.
            listener: Who is told, in the engine's thread; at once where the request cannot be answered at all.
            pieces: Tell pieces too, not only the end.
        """
        takes = self._served.takes

        def prepared() -> Work:
            if not isinstance(request, Request):
                raise RowError(WRONG_TASK, f"{takes.server} is asked for answers here, and nothing else")
            stream = pieces or (bool(request.sampling.stop) and not takes.stop_texts)
            sent = self._sent(request, stream=stream)
            return lambda tell: self._answered(sent, tell if pieces else lambda piece: None)

        return self._outstanding.begin(prepared, listener)

    def cancel(self, ticket: int) -> None:
        """Stop answering a request, if it is not answered yet; its connection is closed."""
        self._outstanding.cancel(ticket)

    def load_adapter(self, name: str, folder: Path) -> None:
        """Refuse: what the server has, it has from its start.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(f"{self._served.takes.server} takes adapters at its start only", hint="use --adapters")

    def unload_adapter(self, name: str) -> None:
        """As `load_adapter`.

        Raises:
            ConfigError: Always.
        """
        self.load_adapter(name, Path())

    def close(self) -> None:
        """Stop everything, and the server, where it was started for this; requests that are not answered yet fail."""
        if self._outstanding.close():
            self._link.close()
            self._stop()

    def generate(self, requests: Sequence[Request], *, on_done: OnDone | None = None) -> list[Completion | RowError]:
        """Answer all requests; a request that cannot be answered has a RowError in its place.

        Raises:
            SwiftError: The server cannot be reached, or has died.
        """
        return waiting.answer_all(self, requests, on_done)

    def stream(self, request: Request, *, on_done: OnDone | None = None) -> Iterator[str]:
        """The answer in pieces of valid text as it is made; they join to the completion's text.

        Raises:
            RowError: The request cannot be answered.
            SwiftError: The server cannot be reached, or has died.
        """
        return waiting.pieces(self, request, on_done)

    def score(self, samples: Sequence[Conversation], *, adapter: str | None = None) -> list[Scored | RowError]:
        """How likely each conversation's last turn, which is the assistant's, is behind the turns before it.

        Raises:
            SwiftError: The server cannot be reached, or has died.
        """
        return self._gather([self._scored(sample, adapter) for sample in samples])

    def score_ids(self, samples: Sequence[Given], on_done: OnScored, *, adapter: str | None = None) -> None:
        """How likely given tokens are behind those before them.

        They are sent in order, so that those which begin alike are at the server at the same time.

        Raises:
            RowError: The server does not tell it.
            SwiftError: The server cannot be reached, or has died.
        """

        async def judge(number: int, sample: Given) -> None:
            on_done(number, await self._judged(sample, self._served.name_of(adapter)))

        order = sorted(range(len(samples)), key=lambda number: tuple(samples[number].ids))
        for result in self._gather([judge(number, samples[number]) for number in order]):
            if isinstance(result, RowError):
                raise result

    def seen(self, requests: Sequence[Request]) -> list[tuple[int, ...] | RowError | None]:
        """The prompts as the server tells to have seen them; None where it does not tell.

        Each is answered with one token.
        """
        return self._gather([self._shown(request) for request in requests])

    def _gather(self, works: Sequence[Coroutine[Any, Any, T]]) -> list[T | RowError]:
        """Run coroutines; RowErrors become results. On any other error, or when interrupted, the rest is cancelled."""
        futures = [self._link.spawn(work) for work in works]
        results: list[T | RowError] = []
        try:
            for future in futures:
                try:
                    results.append(future.result())
                except RowError as error:
                    results.append(error)
        except concurrent.futures.CancelledError as error:
            raise closed() from error
        finally:
            for future in futures:
                future.cancel()
        return results

    async def _answered(self, sent: Sent, tell: Tell) -> Completion:
        """The server's answer, in pieces as it comes and as a whole."""

        def passed(piece: Piece | None) -> None:
            if piece is not None:
                tell(piece)

        async with self._link.room():
            if sent.stream:
                async with aclosing(self._link.events(sent.path, sent.body)) as events:
                    async for data in events:
                        passed(sent.answer.take(sent.read(data)))
                        if sent.answer.stopped:
                            break  # which closes the connection, at which the server stops
            else:
                sent.answer.take(sent.read(await self._link.post(sent.path, sent.body)))
        passed(sent.answer.rest())
        return sent.answer.completion()

    async def _scored(self, sample: Conversation, adapter: str | None) -> Scored:
        from swift.engines.scoring import answer_tokens  # brings torch, which a client alone can do without

        self._require_scores()
        tokens = answer_tokens(sample, self._codec, self._chat, self._served.context)
        if tokens.shown is not None:
            raise RowError(UNSUPPORTED, f"{self._served.takes.server} does not tell it where there are media")
        targets = [place for place, weight in enumerate(tokens.weights) if weight > 0]
        return await self._judged(Given([int(token) for token in tokens.ids], targets), self._served.name_of(adapter))

    async def _judged(self, given: Given, name: str) -> Scored:
        """The score of tokens that are sent as they are, under the server's name for who judges."""
        self._require_scores()
        body = scoring_body(name, given.ids, self._served.takes)
        async with self._link.room():
            data = await self._link.post("/completions", body)
        return likelihood(data, given.ids, given.targets, self._served.takes)

    @property
    def _tells_scores(self) -> bool:
        return bool(self._served.takes.scores) and self._served.send == "ids"

    def _require_scores(self) -> None:
        if not self._tells_scores:
            raise RowError(UNSUPPORTED, f"{self._served.takes.server} does not tell how likely given answers are")

    async def _shown(self, request: Request) -> tuple[int, ...] | None:
        short = replace(request, sampling=replace(request.sampling, max_new_tokens=1))
        sent = self._sent(short, stream=False)
        async with self._link.room():
            sent.answer.take(sent.read(await self._link.post(sent.path, sent.body)))
        return sent.answer.prompt_ids

    def _sent(self, request: Request, *, stream: bool) -> Sent:
        """All that is needed to send a request and read its answer.

        Raises:
            RowError: The request cannot be answered.
        """
        wire, asked = self._asked(request)
        takes = self._served.takes
        answer = Answer(asked, self._codec, takes.server, stop_texts=takes.stop_texts)
        return Sent(wire.path, wire.body(asked, stream=stream), wire.reader(), answer, stream)

    def _asked(self, request: Request) -> tuple[Wire, Asked]:
        """What is sent, and how.

        Raises:
            RowError: The request cannot be answered.
        """
        model = self._served.name_of(request.adapter)
        prompt = request.prompt
        shows = not isinstance(prompt, Ids) and _has_media(prompt)
        if isinstance(prompt, Conversation) and (shows or self._served.send == "messages"):
            request = replace(request, prompt=self._plain(prompt))
            # The server knows the model's positions, and it alone how many tokens this prompt has.
            limit = request.sampling.max_new_tokens
            return self._messages, Asked(request, model, None, None, limit, frozenset())
        if shows:
            raise RowError(UNSUPPORTED, f"{self._served.takes.server} takes media in chats only")
        if self._served.send == "messages":
            return self._prompts, self._untouched(request, model)
        ids, _ = prompt_of(prompt, self._codec, self._chat)
        if not ids:
            raise RowError("empty_prompt", "the prompt has no tokens")
        context = self._served.context
        room = request.sampling.max_new_tokens if context is None else context - len(ids)
        if room < 1:
            raise RowError("too_long", f"the prompt has {len(ids)} tokens, the engine takes {context}")
        rules = request.sampling
        stops = frozenset() if rules.ignore_eos else self._codec.eos_ids | frozenset(rules.stop_ids)
        text = self._codec.decode(ids) if self._served.send == "text" else None
        return self._prompts, Asked(request, model, tuple(ids), text, min(rules.max_new_tokens, room), stops)

    def _untouched(self, request: Request, model: str) -> Asked:
        """A prompt that is no chat, for a server whose tokenizer we do not know."""
        prompt, rules = request.prompt, request.sampling
        if isinstance(prompt, Text):
            return Asked(request, model, None, prompt.text, rules.max_new_tokens, frozenset())
        assert isinstance(prompt, Ids)
        return Asked(request, model, prompt.ids, None, rules.max_new_tokens, frozenset(rules.stop_ids))

    def _plain(self, sample: Conversation) -> Conversation:
        """A chat for a template that is not ours: with the system message that is wanted, and boxes written out."""
        if self._chat.system is not None:
            sample = with_system(sample, self._chat.system)
        if self._chat.enable_thinking is not None and "enable_thinking" not in sample.template_kwargs:
            told = {**sample.template_kwargs, "enable_thinking": self._chat.enable_thinking}
            sample = replace(sample, template_kwargs=told)
        return sample if sample.objects is None else ground(sample, self._codec)


def _has_media(prompt: Conversation | Text) -> bool:
    if isinstance(prompt, Text):
        return bool(prompt.media)
    return any(message.media for message in prompt.messages)
