"""What all endpoints share: from requests to the events of their answers, with admission, limits and accounts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from swift.config.serve import ServeConfig
from swift.engines.base import BASE, Piece
from swift.serving.admission import Admission, Rates
from swift.serving.choosing import Rules
from swift.serving.errors import ApiError, bad, refused, unavailable
from swift.serving.guard import Visit
from swift.serving.link import wire
from swift.serving.link.engine import Heard, HostedEngine, Inbox, Late, Lost, NotReadyError, Question
from swift.serving.logs import RequestLog
from swift.serving.metrics import Metrics
from swift.types import Completion, Echo, EchoRequest, Encoded, EncodeRequest, Request, Task

_QUESTIONS = 64
"""Commands about tokens that may be under way at once."""


_WHERE: dict[Task, str] = {
    "generate": "answers, at /v1/chat/completions and the like",
    "embed": "gives vectors, at /v1/embeddings",
    "rerank": "scores pairs of texts, at /v1/rerank and /v1/score",
    "classify": "tells labels, at /classify",
    "reward": "judges answers, at /pooling",
}
"""What a model for a task does, to be told to who asks it for something else."""


@dataclass(frozen=True, slots=True)
class Begun:
    """Prompt `prompt` of a call is rendered; `opened` and `tokens` as of `wire.Started`."""

    prompt: int
    opened: bool
    tokens: int


@dataclass(frozen=True, slots=True)
class Grew:
    """Answer `index` of a call has grown; answers to one prompt follow each other."""

    index: int
    piece: Piece


@dataclass(frozen=True, slots=True)
class Finished:
    """Answer `index` of a call is there."""

    index: int
    completion: Completion
    stop: str | None


Happened = Begun | Grew | Finished


class Service:
    """The server's state.

    Args:
        config: All of it.
        engine: Where answers come from.
        model_name: The model without adapter, as clients name it.
        rates: Tokens in a minute of clients of which something else holds than of others, by name.

    Attributes:
        adapter_root: Below which adapters may be loaded; None where none may.
        limits: What clients may ask for.
        defaults: Sampling of requests that say nothing.
        media: Where media may come from.
        metrics: What is counted.
        log: Requests and answers, where they are kept.
    """

    def __init__(
        self, config: ServeConfig, engine: HostedEngine, *, model_name: str, rates: Mapping[str, int] | None = None
    ) -> None:
        self.adapter_root = config.adapter_root
        self.limits = config.limits
        self.defaults = config.generation
        self.media = config.media
        self.metrics = Metrics()
        self.log = RequestLog(config.server.request_log)
        self.model_name = model_name
        self._engine = engine
        self._admission = Admission(config.limits.max_running, config.limits.max_waiting)
        self._rates = Rates(config.limits.tokens_per_minute, "tokens", rates)
        self._questions = 0
        self._changing = asyncio.Lock()
        self.metrics.running.set_function(lambda: float(self._admission.running))
        self.metrics.waiting.set_function(lambda: float(self._admission.waiting))

    @property
    def ready(self) -> wire.Ready:
        """What is known of the model.

        Raises:
            ApiError: 503, while the engine is not ready.
        """
        if self._engine.state != "ready" or self._engine.ready is None or self._admission.closed:
            raise unavailable()
        return self._engine.ready

    @property
    def rules(self) -> Rules:
        """What options of requests are checked against.

        Raises:
            ApiError: 503, while the engine is not ready.
        """
        return Rules(self.limits, self.defaults, self.ready.vocabulary)

    @property
    def models(self) -> tuple[str, ...]:
        """Names that a request may name, the bare model first."""
        ready = self._engine.ready
        return (self.model_name, *(ready.adapters if ready is not None else ()))

    @property
    def context(self) -> int | None:
        """Tokens that a prompt and its answer have at most; None where that is not known, or not yet."""
        ready = self._engine.ready
        return None if ready is None else ready.ability.longest

    def adapter(self, model: str) -> str:
        """The adapter that a model's name means.

        Raises:
            ApiError: 404, for a name that is not served.
        """
        if model == self.model_name:
            return BASE
        if model in self.ready.adapters:
            return model
        raise ApiError(404, "the model does not exist; GET /v1/models lists them", "model", "model_not_found")

    def require(self, task: Task) -> None:
        """Make sure that the model does what a route is for.

        Raises:
            ApiError: 400, where it does something else; 503, while that is not known.
        """
        does = self.ready.ability.task
        if does != task:
            raise ApiError(400, f"this model only {_WHERE[does]}", code="unsupported_task")

    def close(self) -> None:
        """Take no more requests; those that are there go on."""
        self._admission.closed = True

    def end(self) -> None:
        """Give up what still runs or waits."""
        self._admission.end()
        self._engine.lose_all()

    async def answers(
        self, visit: Visit, requests: Sequence[Request], *, count: int = 1, stream: bool = False
    ) -> AsyncGenerator[Happened, None]:
        """Answer requests; the iterator must be closed, which cancels what is not finished.

        Args:
            visit: For accounts.
            requests: At least one.
            count: Answers to each.
            stream: Whether pieces are wanted.

        Raises:
            ApiError: 400 where one is refused; 429, 503 or 504 where there is no room, engine or time.
        """
        self.require("generate")
        slots = len(requests) * count
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.limits.request_seconds
        self._rates.require(visit.client, 0)
        _ = self.ready
        await self._admission.enter(slots, deadline=deadline)
        inbox: Inbox = asyncio.Queue()
        timer = loop.call_at(deadline, inbox.put_nowait, Late())
        numbers: dict[int, int] = {}
        try:
            with _reaching():
                for place, request in enumerate(requests):
                    numbers[self._engine.submit(request, count=count, stream=stream, inbox=inbox)] = place
            left, first = slots, True
            while left:
                happened = self._happened(await inbox.get(), numbers, count)
                if isinstance(happened, Finished):
                    left -= 1
                    self._account(visit, happened.completion, again=happened.index % count > 0)
                elif isinstance(happened, Grew) and first:
                    first = False
                    self.metrics.first_token.observe(loop.time() - deadline + self.limits.request_seconds)
                yield happened
        finally:
            timer.cancel()
            for number in numbers:
                self._engine.cancel(number)
            self._admission.leave(slots)

    async def encodings(self, visit: Visit, requests: Sequence[EncodeRequest]) -> tuple[Encoded, ...]:
        """The numbers of prompts, in their order. Each prompt counts as an answer in the queue.

        Raises:
            ApiError: As `answers`.
        """
        heard = await self._gathered(visit, partial(wire.Encode, requests=tuple(requests)), len(requests))
        assert isinstance(heard, wire.Numbers)
        self._account_prompts(visit, sum(item.tokens for item in heard.encoded))
        return heard.encoded

    async def echoes(self, visit: Visit, requests: Sequence[EchoRequest], *, answered: bool) -> tuple[Echo, ...]:
        """How likely prompts are, in their order. Each counts as an answer in the queue.

        Args:
            visit: For accounts.
            requests: At least one.
            answered: The same prompts are answered too, and their tokens counted there.

        Raises:
            ApiError: As `answers`.
        """
        self.require("generate")
        heard = await self._gathered(visit, partial(wire.Judge, requests=tuple(requests)), len(requests))
        assert isinstance(heard, wire.Judged)
        if not answered:
            self._account_prompts(visit, sum(echo.prompt_tokens for echo in heard.echoes))
        return heard.echoes

    async def _gathered(self, visit: Visit, make: Callable[[int], Question], slots: int) -> Heard:
        """The one reply to a command with several prompts."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.limits.request_seconds
        self._rates.require(visit.client, 0)
        _ = self.ready
        await self._admission.enter(slots, deadline=deadline)
        inbox: Inbox = asyncio.Queue()
        timer = loop.call_at(deadline, inbox.put_nowait, Late())
        number = 0
        try:
            with _reaching():
                number = self._engine.ask(make, inbox)
            heard = await inbox.get()
            _require(heard)
            return heard
        finally:
            timer.cancel()
            self._engine.cancel(number)
            self._admission.leave(slots)

    async def load_adapter(self, name: str, folder: Path) -> None:
        """Load an adapter; it is served when this returns.

        Raises:
            ApiError: 400, where it cannot be used; 503 or 504, where the engine cannot do it now.
        """
        async with self._changing:
            if name in self.models or name == BASE:
                raise bad(f"there is a model called {name!r} already; unload it first", "lora_name")
            told = await self.ask(partial(wire.LoadAdapter, name=name, folder=folder))
            assert isinstance(told, wire.Adapters)
            self._engine.loaded(name, folder, told.names)

    async def unload_adapter(self, name: str) -> None:
        """Stop serving an adapter: at once for new requests; those that run are finished.

        Raises:
            ApiError: 404, where there is none of that name; 503 or 504, where the engine cannot do it now.
        """
        async with self._changing:
            if name not in self.ready.adapters:
                raise ApiError(404, "there is no such adapter; GET /v1/models lists them", "lora_name")
            self._engine.unloaded(name)
            await self.ask(partial(wire.UnloadAdapter, name=name))

    async def ask(self, make: Callable[[int], Question]) -> wire.Tokenized | wire.Detokenized | wire.Adapters:
        """Ask the host about tokens, or to change its adapters.

        Raises:
            ApiError: As `answers`.
        """
        if self._questions >= _QUESTIONS:
            raise ApiError(429, "the server is busy", code="server_busy", headers={"Retry-After": "1"})
        inbox: Inbox = asyncio.Queue()
        loop = asyncio.get_running_loop()
        _ = self.ready
        with _reaching():
            number = self._engine.ask(make, inbox)
        timer = loop.call_later(self.limits.request_seconds, inbox.put_nowait, Late())
        self._questions += 1
        try:
            heard = await inbox.get()
            _require(heard)
            assert isinstance(heard, wire.Tokenized | wire.Detokenized | wire.Adapters)
            return heard
        finally:
            self._questions -= 1
            timer.cancel()
            self._engine.cancel(number)

    def _happened(self, heard: Heard, numbers: dict[int, int], count: int) -> Happened:
        _require(heard)
        assert isinstance(heard, wire.Started | wire.Grew | wire.Finished)
        place = numbers[heard.number]
        if isinstance(heard, wire.Started):
            return Begun(place, heard.opened, heard.tokens)
        index = place * count + heard.index
        if isinstance(heard, wire.Grew):
            return Grew(index, heard.piece)
        return Finished(index, heard.completion, heard.stop)

    def _account_prompts(self, visit: Visit, tokens: int) -> None:
        """Count prompts that nothing is generated behind."""
        visit.prompt_tokens += tokens
        self.metrics.prompt_tokens.inc(tokens)
        self._rates.take(visit.client, tokens)

    def _account(self, visit: Visit, completion: Completion, *, again: bool) -> None:
        """Count an answer; a prompt with several answers is counted once."""
        prompt = 0 if again else completion.prompt_tokens
        answer = completion.new_tokens
        visit.prompt_tokens += prompt
        visit.completion_tokens += answer
        self.metrics.prompt_tokens.inc(prompt)
        self.metrics.cached_tokens.inc(0 if again else completion.cached_tokens)
        self.metrics.completion_tokens.inc(answer)
        self._rates.take(visit.client, prompt + answer)

    def keep(self, visit: Visit, route: str, request: Any, answer: Any) -> None:
        """Write a request and its answer to the request log, if there is one."""
        if self.log.wanted:
            self.log.write(
                {"request": visit.number, "client": visit.client, "route": route, "body": request, "answer": answer}
            )


def usage_of(ended: Sequence[Finished], count: int) -> dict[str, Any]:
    """The tokens of answers, in OpenAI's shape.

    Args:
        ended: The answers.
        count: Answers to each prompt, which counts once.
    """
    firsts = [done.completion for done in ended if done.index % count == 0]
    prompt = sum(completion.prompt_tokens for completion in firsts)
    answer = sum(done.completion.new_tokens for done in ended)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
        "prompt_tokens_details": {"cached_tokens": sum(completion.cached_tokens for completion in firsts)},
    }


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except NotReadyError:
        raise unavailable() from None


def _require(heard: Heard) -> None:
    """Make sure that something is no failure.

    Raises:
        ApiError: It is one.
    """
    if isinstance(heard, Lost):
        raise unavailable("the engine stopped while it answered; try again soon")
    if isinstance(heard, Late):
        raise ApiError(504, "the request took longer than it may take", code="timeout")
    if isinstance(heard, wire.Refused):
        raise refused(heard.reason, heard.detail)
    if isinstance(heard, wire.Broken):
        raise ApiError(503, "the engine could not answer this request", code="engine_failed")
