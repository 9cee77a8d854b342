"""A live engine that says what it is told to: for tests of what stands in front of engines.

The last turn of the user is the script: a number of commands, then the answer.
"""

from __future__ import annotations

import itertools
import os
import re
import threading
import time
from dataclasses import replace

from swift.chat.codec import Codec, make_codec
from swift.chat.encode import prompt_of
from swift.chat.load import load_codec
from swift.config.chat import ChatConfig
from swift.engines.base import Listener, Piece
from swift.errors import ModelError, ResourceError, RowError
from swift.models.gguf import as_folder
from swift.models.load import load_config, load_tokenizer
from swift.models.locate import locate_model
from swift.models.tiny import tiny_tokenizer
from swift.serving.link.wire import HostPlan
from swift.types import Completion, Ids, Request, TokenLogprob

_USER = re.compile(r"<\|im_start\|>user\n(.*?)<\|im_end\|>", re.DOTALL)
_COMMAND = re.compile(r"\[(\w+)(?: ([^\]]*))?\]")


class Scripted:
    """Answers in threads, one a request."""

    adapters = ("pirate",)
    description = "scripted"

    def __init__(self, codec: Codec, *, thinks: bool) -> None:
        self.codec = codec
        self.thinks = thinks
        self._tickets = itertools.count(1)
        self._cancelled: set[int] = set()
        self.running = 0

    def submit(self, request: Request, listener: Listener, *, pieces: bool = True) -> int:
        ticket = next(self._tickets)
        if not pieces:
            told, listener = listener, lambda event: None if isinstance(event, Piece) else told(event)
        threading.Thread(target=self._answer, args=(ticket, request, listener), daemon=True).start()
        return ticket

    def cancel(self, ticket: int) -> None:
        self._cancelled.add(ticket)

    def close(self) -> None:
        self._cancelled |= set(range(1, next(self._tickets)))

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


THINKING = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}"
    "{% if m.reasoning_content %}{{ '<think>\\n' + m.reasoning_content + '\\n</think>\\n\\n' }}{% endif %}"
    "{{ (m.content or '') + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
    "{% if enable_thinking is not defined or enable_thinking %}{{ '<think>\\n' }}"
    "{% else %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{% endif %}"
)


def load(plan: HostPlan) -> Scripted:
    """A scripted engine with the tiny tokenizer and its plain template."""
    return Scripted(make_codec(tiny_tokenizer(), ChatConfig(), positions=100_000), thinks=False)


def load_thinking(plan: HostPlan) -> Scripted:
    """One whose prompts open thinking."""
    return Scripted(make_codec(tiny_tokenizer(chat_template=THINKING), ChatConfig(), positions=100_000), thinks=True)


def load_seeing(plan: HostPlan) -> Scripted:
    """One of a model with a processor, whose folder the plan names."""
    located = locate_model(plan.plan.model)
    config, tokenizer = load_config(located), load_tokenizer(located)
    codec = load_codec(as_folder(located), tokenizer, config, plan.plan.chat, media=plan.plan.media)
    return Scripted(codec, thinks=False)


def load_nothing(plan: HostPlan) -> Scripted:
    """A model that cannot be loaded."""
    raise ModelError("nothing to load", hint="no hint")
