"""A live engine that says what it is told to: for tests of what stands in front of engines.

The last turn of the user is the script: a number of commands, then the answer.
"""

from __future__ import annotations

import itertools
import os
import pickle
import re
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from swift.chat.codec import Codec
from swift.chat.encode import prompt_of
from swift.config.chat import ChatConfig
from swift.engines.base import Listener, Piece
from swift.errors import ModelError, ResourceError, RowError
from swift.serving.link.wire import HostPlan
from swift.types import (
    Ability,
    Completion,
    Echo,
    EchoRequest,
    Encoded,
    EncodeRequest,
    Ids,
    Request,
    TextPair,
    TokenLogprob,
)

_USER = re.compile(r"<\|im_start\|>user\n(.*?)<\|im_end\|>", re.DOTALL)
ANSWERS = Ability()
_COMMAND = re.compile(r"\[(\w+)(?: ([^\]]*))?\]")


class Scripted:
    """Answers in threads, one a request."""

    description = "scripted"

    def __init__(self, codec: Codec, ability: Ability = ANSWERS) -> None:
        self.codec = codec
        self.ability = ability
        self.adapters: tuple[str, ...] = ("pirate",)
        self.takes_chats = False
        self._tickets = itertools.count(1)
        self._cancelled: set[int] = set()
        self.running = 0

    def submit(self, request: Request | EncodeRequest | EchoRequest, listener: Listener, *, pieces: bool = True) -> int:
        ticket = next(self._tickets)
        if isinstance(request, EncodeRequest):
            threading.Thread(target=self._encode, args=(ticket, request, listener), daemon=True).start()
            return ticket
        if isinstance(request, EchoRequest):
            threading.Thread(target=self._judge, args=(ticket, request, listener), daemon=True).start()
            return ticket
        if not pieces:
            told, listener = listener, lambda event: None if isinstance(event, Piece) else told(event)
        threading.Thread(target=self._answer, args=(ticket, request, listener), daemon=True).start()
        return ticket

    def cancel(self, ticket: int) -> None:
        self._cancelled.add(ticket)

    def load_adapter(self, name: str, folder: Path) -> None:
        self.adapters = (*self.adapters, name)

    def unload_adapter(self, name: str) -> None:
        self.adapters = tuple(other for other in self.adapters if other != name)

    def close(self) -> None:
        self._cancelled |= set(range(1, next(self._tickets)))

    def _encode(self, ticket: int, request: EncodeRequest, listener: Listener) -> None:
        """Numbers that tell how long the prompt is; a text that begins with a command does what it says."""
        prompt = request.prompt
        text = f"{prompt.query} {prompt.document}" if isinstance(prompt, TextPair) else ""
        try:
            ids = self.codec.encode(text) if text else prompt_of(prompt, self.codec, ChatConfig())[0]  # type: ignore[arg-type]
        except RowError as error:
            listener(error)
            return
        match = _COMMAND.match(text or self.codec.decode(ids))
        if match and match[1] == "crash":
            os._exit(9)
        if match and match[1] == "refuse":
            listener(RowError("too_long", "the prompt has 9 tokens, the model takes 8"))
            return
        if match and match[1] == "pause":
            self.running += 1
            while ticket not in self._cancelled:
                time.sleep(0.01)
            self.running -= 1
            return
        if request.dimensions is not None and request.dimensions > self.ability.dimensions:
            listener(RowError("bad_dimensions", "too many numbers are wanted"))
            return
        count = self.ability.dimensions or len(self.ability.labels) or 1
        values = (np.arange(count, dtype=np.float32) + len(ids)) / 100
        listener(Encoded(values[: request.dimensions], len(ids)))

    def _judge(self, ticket: int, request: EchoRequest, listener: Listener) -> None:
        """Tokens that are the less likely the later they come."""
        assert isinstance(request.prompt, Ids)
        ids = request.prompt.ids
        match = _COMMAND.match(self.codec.decode(ids))
        if match and match[1] == "refuse":
            listener(RowError("too_long", "9 tokens stand before the last target, the model takes 8"))
            return
        if match and match[1] == "pause":
            self.running += 1
            while ticket not in self._cancelled:
                time.sleep(0.01)
            self.running -= 1
            return
        first, *others = [self.codec.decode([token]) for token in ids]
        top = tuple(TokenLogprob(other, f"t{other}", -0.25 - other) for other in range(request.top))
        told = [TokenLogprob(ids[place], text, -float(place), top) for place, text in enumerate(others, 1)]
        listener(Echo(first, tuple(told)))

    def _answer(self, ticket: int, request: Request, listener: Listener) -> None:
        try:
            ids, _ = prompt_of(request.prompt, self.codec, ChatConfig())
        except RowError as error:
            listener(error)
            return
        request = replace(request, prompt=Ids(tuple(ids)))
        prompt = self.codec.decode(ids)
        found = _USER.findall(prompt)
        script = found[-1] if found else prompt
        pause = 0.0
        while match := _COMMAND.match(script):
            command, value = match[1], match[2]
            script = script[match.end() :]
            if command == "crash":
                os._exit(9)
            elif command == "refuse":
                listener(RowError("too_long", "the prompt has 9 tokens, the model takes 8"))
                return
            elif command == "break":
                listener(ResourceError("out of memory at /secret/place"))
                return
            elif command == "pause":
                pause = float(value)
            elif command == "running":
                script = str(self.running)
            elif command == "adapter":
                script = str(request.adapter)
            elif command == "sampling":
                script = repr(request.sampling)
            elif command == "prompt":
                script = prompt
        self.running += 1
        try:
            self._say(ticket, request, listener, script, pause)
        finally:
            self.running -= 1

    def _say(self, ticket: int, request: Request, listener: Listener, text: str, pause: float) -> None:
        rules = request.sampling
        assert isinstance(request.prompt, Ids)
        stop = next((stop for stop in rules.stop if stop in text), "")
        ids = self.codec.encode(text.partition(stop)[0] if stop else text)
        cut = len(ids) > rules.max_new_tokens
        ids = ids[: rules.max_new_tokens]
        said: list[TokenLogprob] = []
        shown = ""
        for place in range(len(ids)):
            if ticket in self._cancelled:
                return
            if pause:
                time.sleep(pause)
            whole = self.codec.decode(ids[: place + 1])
            piece = whole[len(shown) :] if "\ufffd" not in whole else ""
            shown += piece
            token = TokenLogprob(ids[place], self.codec.decode([ids[place]]), -0.5)
            top = tuple(TokenLogprob(other, f"t{other}", -0.5 - other) for other in range(rules.logprobs or 0))
            said.append(TokenLogprob(token.id, token.text, token.logprob, top))
            listener(Piece(piece, 1, (said[-1],) if rules.logprobs is not None else ()))
        end = () if cut else self.codec.encode(stop) if stop else (min(self.codec.eos_ids),)
        listener(
            Completion(
                text=shown,
                token_ids=(*ids, *end),
                prompt_tokens=len(request.prompt.ids),
                finish="length" if cut else "stop",
                logprobs=tuple(said) if rules.logprobs is not None else None,
            )
        )


def load(plan: HostPlan) -> Scripted:
    """A scripted engine with the codec whose pickle the plan names: that spares the host torch and transformers."""
    abilities = {
        "embed": Ability("embed", dimensions=8),
        "rerank": Ability("rerank"),
        "classify": Ability("classify", labels=("bad", "good")),
        "reward": Ability("reward"),
    }
    codec = pickle.loads(Path(plan.plan.model.id).read_bytes())
    return Scripted(codec, abilities.get(plan.encoding.task, ANSWERS))


def lie_about_names() -> None:
    """Names below rebind.test are at a public address when they are first looked up, and then on this machine."""
    look_up, seen = socket.getaddrinfo, set()

    def lie(host: Any, port: Any, *more: Any, **options: Any) -> Any:
        if isinstance(host, str) and host.endswith(".rebind.test"):
            host, again = ("127.0.0.1" if host in seen else "93.184.216.34"), host
            seen.add(again)
        return look_up(host, port, *more, **options)

    socket.getaddrinfo = lie  # type: ignore[assignment]


def load_seeing(plan: HostPlan) -> Scripted:
    """One of a model with a processor, whose folder the plan names."""
    from swift.chat.load import load_codec
    from swift.models.gguf import as_folder
    from swift.models.load import load_config, load_tokenizer
    from swift.models.locate import locate_model

    lie_about_names()
    located = locate_model(plan.plan.model)
    config, tokenizer = load_config(located), load_tokenizer(located)
    return Scripted(load_codec(as_folder(located), tokenizer, config, plan.plan.chat, media=plan.plan.media))


def load_nothing(plan: HostPlan) -> Scripted:
    """A model that cannot be loaded."""
    raise ModelError("nothing to load", hint="no hint")
