"""Vectors, scores, labels and rewards of a server: the routes of OpenAI's and vLLM's APIs.

Texts and chats are sent as token ids, so that the server sees what the model saw in training. Pairs are sent as texts:
its routes for them take nothing else, and it writes the prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from swift.chat.codec import Codec
from swift.config.encoding import INSTRUCTION, EncodingConfig
from swift.config.engine import ServedConfig
from swift.engines import waiting
from swift.engines.base import WRONG_TASK, AnyRequest, Listener
from swift.engines.encoding.engine import OnEncoded
from swift.engines.encoding.inputs import NO_PAIR, Inputs
from swift.engines.encoding.load import find
from swift.engines.folders import Plan
from swift.engines.link import ROOT, Link
from swift.engines.merged import text_side
from swift.engines.outstanding import Outstanding, Work
from swift.engines.remote import linked, served_by
from swift.engines.served import Served
from swift.engines.wires import UNSUPPORTED
from swift.errors import ConfigError, EngineError, RowError
from swift.types import Ability, Encoded, EncodeRequest, Origin, Task, Text, TextPair

_PATHS: Mapping[Task, str] = {
    "embed": "/embeddings",
    "rerank": "/score",
    "classify": f"{ROOT}/classify",
    "reward": f"{ROOT}/pooling",
}
_FIELDS: Mapping[Task, str] = {"embed": "embedding", "rerank": "score", "classify": "probs", "reward": "data"}
_OURS = ("pooling", "normalize", "activation", "pair_form", "yes", "no")
"""Options of how numbers are made here, which a server has of its own."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it is sent.

    Attributes:
        body: The JSON object.
        tokens: Those of the prompt; None where only the server knows.
        wanted: How many numbers must come back; None for any.
    """

    body: dict[str, Any]
    tokens: int | None
    wanted: int | None


class RemoteEncoder:
    """Asks a server for numbers. Safe to use from any thread.

    Args:
        link: The connection; closed with the engine.
        served: What the server is.
        inputs: Makes token ids of prompts.
        ability: What the model does.
        instruction: What pairs are to be judged by, where a request does not say; None is the server's own.
    """

    takes_chats = False

    def __init__(
        self, link: Link, served: Served, inputs: Inputs, ability: Ability, *, instruction: str | None = None
    ) -> None:
        self._link = link
        self._served = served
        self._inputs = inputs
        self._instruction = instruction
        self._outstanding = Outstanding(link, served.takes.server)
        self.ability = ability

    @property
    def codec(self) -> Codec:
        """How this model's text becomes tokens."""
        return self._inputs.codec

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the loaded adapters."""
        return tuple(self._served.adapters)

    @property
    def description(self) -> str:
        """One line for banners."""
        how = "pairs as texts" if self.ability.task == "rerank" else "prompts as token ids"
        return f"task {self.ability.task}, {self._served.takes.server} at {self._link.address.url}, {how}"

    def encode(
        self, requests: Sequence[EncodeRequest], *, on_done: OnEncoded | None = None
    ) -> list[Encoded | RowError]:
        """The numbers of each prompt, in order; a request that cannot be answered has a RowError in its place.

        Raises:
            SwiftError: The server cannot be reached, or has died.
        """
        return waiting.numbers_of_all(self, requests, on_done)

    def submit(self, request: AnyRequest, listener: Listener, *, pieces: bool = True) -> int:
        """Send a request; returns a number by which it can be cancelled.

        Args:
            request: What to send.
            listener: Who is told, in the engine's thread; at once where it cannot be sent at all.
            pieces: Of no account: numbers come whole.
        """
        del pieces

        def prepared() -> Work:
            if not isinstance(request, EncodeRequest):
                raise RowError(WRONG_TASK, f"the model is for the task {self.ability.task} and does not answer")
            sent = self.sent(request)
            return lambda tell: self.ask(sent)

        return self._outstanding.begin(prepared, listener)

    def cancel(self, ticket: int) -> None:
        """Forget a request; its connection is closed."""
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
        """Stop everything; requests that are not answered yet fail."""
        if self._outstanding.close():
            self._link.close()

    async def ask(self, sent: Sent) -> Encoded:
        """The server's numbers.

        Raises:
            RowError: The server does not want to answer this.
            SwiftError: It cannot be reached, or answers with something else.
        """
        async with self._link.room():
            data = await self._link.post(_PATHS[self.ability.task], sent.body)
        try:
            (entry,) = data["data"]
            values = np.asarray(entry[_FIELDS[self.ability.task]], dtype=np.float32).reshape(-1)
            tokens = int(data["usage"]["prompt_tokens"]) if sent.tokens is None else sent.tokens
        except (KeyError, TypeError, ValueError) as error:
            raise EngineError(f"{self._link.address.url} answers with something else than numbers") from error
        if sent.wanted is not None and len(values) != sent.wanted:
            raise EngineError(f"{self._link.address.url} answers with {len(values)} numbers in place of {sent.wanted}")
        if not np.isfinite(values).all():
            raise EngineError(f"the numbers of {self._link.address.url} are not finite")
        return Encoded(values, tokens)

    def sent(self, request: EncodeRequest) -> Sent:
        """What is sent.

        Raises:
            RowError: The request cannot be answered.
        """
        if request.raw:
            raise RowError(UNSUPPORTED, f"{self._served.takes.server} does not tell numbers as they come of the model")
        body: dict[str, Any] = {"model": self._served.name_of(request.adapter)}
        if self.ability.task == "rerank":
            return Sent({**body, **self._pair(request)}, None, 1)
        ids = self._inputs.row(request).ids
        body["input"] = ids
        if self.ability.task != "embed":
            return Sent(body, len(ids), len(self.ability.labels) or 1)
        body["encoding_format"] = "float"
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        return Sent(body, len(ids), request.dimensions or self.ability.dimensions or None)

    def _pair(self, request: EncodeRequest) -> dict[str, Any]:
        pair = request.prompt
        if not isinstance(pair, TextPair):
            raise RowError(NO_PAIR, "a model for the task rerank takes a query and a document")
        body: dict[str, Any] = {"text_1": pair.query, "text_2": pair.document}
        instruction = self._instruction if pair.instruction is None else pair.instruction
        if instruction is not None:
            body["instruction"] = instruction
        return body if request.truncate is None else {**body, "truncate_prompt_tokens": request.truncate}


def connect_encoder(
    config: ServedConfig, plan: Plan, options: EncodingConfig, *, longest: int | None = None
) -> RemoteEncoder:
    """The engine at the address that the user names; it is asked once for numbers, to see what it gives.

    Args:
        config: With an address.
        plan: The model; its weights are not read.
        options: With a task.
        longest: Tokens that a prompt may have at most, where the model takes more.

    Raises:
        ConfigError: The server does not do that, or how numbers are made is said where it is the server's to say.
        EngineError: It cannot be reached.
    """
    _require_servers_own(options)
    found, side = find(plan, options), text_side(plan)
    link = linked(config)
    try:
        served = served_by(link, config, plan, side)
        limits = [limit for limit in (served.context, found.facts.longest, longest) if limit]
        names: dict[Any, str] = found.config.id2label or {}
        labels = tuple(names[number] for number in sorted(names)) if found.task == "classify" else ()
        ability = Ability(found.task, labels, 0, min(limits, default=None))
        inputs = Inputs(
            found.task,
            side.codec,
            plan.chat,
            longest=ability.longest,
            vocabulary=side.codec.vocab_size,
            prefix=found.facts.prefix if found.task == "embed" else "",
            lower=found.facts.lower,
        )
        instruction = None if options.instruction == INSTRUCTION else options.instruction
        engine = RemoteEncoder(link, served, inputs, ability, instruction=instruction)
        first = _first(engine, found.task)
        if found.task == "embed":
            engine.ability = replace(ability, dimensions=len(first.values))
        return engine
    except BaseException:
        link.close()
        raise


def _first(engine: RemoteEncoder, task: Task) -> Encoded:
    """The numbers of some prompt.

    Raises:
        ConfigError: There are none.
    """
    origin = Origin("the first request", 1)
    prompt = TextPair("a", "b") if task == "rerank" else Text("a", origin)
    (found,) = engine.encode([EncodeRequest(prompt)])
    if isinstance(found, RowError):
        raise ConfigError(f"the server gives no numbers for the task {task}: {found.detail}", hint="see --task")
    return found


def _require_servers_own(options: EncodingConfig) -> None:
    plain = EncodingConfig(task=options.task)
    said = [name for name in _OURS if getattr(options, name) != getattr(plain, name)]
    if said:
        raise ConfigError(
            f"--{_flag(said[0])} says how numbers are made, which is the server's to say",
            hint="take it out, and start the server with it",
        )


def _flag(name: str) -> str:
    return {"normalize": "embed_normalize", "yes": "yes_token", "no": "no_token"}.get(name, name)
