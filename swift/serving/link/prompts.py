"""The host's text side: from a prompt to what the engine is given, and what is refused before that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swift.chat.codec import Codec
from swift.chat.continuation import opens_thinking
from swift.chat.encode import prompt_of, prompt_text
from swift.errors import RowError
from swift.serving.link.wire import HostPlan
from swift.types import Completion, Conversation, Ids, Prompt, Sampling, Text

TOO_LONG = "too_long"
SPECIAL_TOKEN = "special_token_in_text"
UNKNOWN_TOKEN = "unknown_token"

_LONGEST_TOKEN = 128
"""Characters; a text with more than so many for each token that is allowed is too long without counting."""
_TAIL = 32
"""Tokens at the end of a prompt or an answer in which a mark is looked for."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt as the engine gets it.

    Attributes:
        prompt: Token ids; a conversation or text where there are media, which the engine loads.
        opened: It ends inside an open `<think>`.
    """

    prompt: Prompt
    opened: bool


class Prompts:
    """Renders and checks prompts.

    Args:
        codec: The model's.
        plan: Rendering and limits.
        chats: Prompts go on as they are, for who renders them behind us.
    """

    def __init__(self, codec: Codec, plan: HostPlan, *, chats: bool = False) -> None:
        self._codec = codec
        self._as_they_are = chats
        self._chat = plan.plan.chat
        self._most = plan.prompt_tokens
        self._special = plan.special_tokens

    def render(self, prompt: Prompt) -> Rendered:
        """Render a prompt.

        Raises:
            RowError: It is too long, has tokens that it may not have, or the template refuses it.
            TemplateError: A chat, and there is no template.
        """
        self.require(prompt)
        if self._as_they_are:
            return Rendered(prompt, opened=False)
        if isinstance(prompt, Conversation) and any(message.media for message in prompt.messages):
            return Rendered(prompt, opens_thinking(prompt_text(prompt, self._codec, self._chat)))
        if isinstance(prompt, Text) and prompt.media:
            return Rendered(prompt, opened=False)
        ids, _ = prompt_of(prompt, self._codec, self._chat)
        if self._most is not None and len(ids) > self._most:
            raise RowError(TOO_LONG, f"the prompt has {len(ids)} tokens; this server takes {self._most}")
        chat = isinstance(prompt, Conversation)
        return Rendered(Ids(tuple(ids)), chat and opens_thinking(self._codec.decode(ids[-_TAIL:])))

    def ids(self, prompt: Prompt, *, special: bool = True) -> tuple[int, ...]:
        """Token ids of a prompt.

        Args:
            prompt: Media in it are loaded, since what they become are tokens too.
            special: Whether a plain text gets the begin token.

        Raises:
            RowError: As `render`.
            TemplateError: As `render`.
        """
        self.require(prompt)
        if self._as_they_are:
            raise RowError(UNKNOWN_TOKEN, "only the server behind this one knows the model's tokens")
        if isinstance(prompt, Text) and not prompt.media and not special:
            return tuple(self._codec.encode(prompt.text))
        return tuple(prompt_of(prompt, self._codec, self._chat)[0])

    def text(self, ids: Sequence[int]) -> str:
        """Text of token ids.

        Raises:
            RowError: There is no such token.
        """
        if ids and not 0 <= min(ids) <= max(ids) < self._codec.vocab_size:
            raise RowError(UNKNOWN_TOKEN, f"token ids are 0 to {self._codec.vocab_size - 1}")
        return self._codec.decode(ids)

    def stop_of(self, completion: Completion, sampling: Sampling) -> str | None:
        """The stop text that ended an answer; None where something else did."""
        ids = completion.token_ids
        if not sampling.stop or completion.finish != "stop" or (ids and ids[-1] in self._codec.eos_ids):
            return None
        longest = max(len(stop.encode()) for stop in sampling.stop)
        tail = self._codec.decode(ids[-longest - 1 :])
        found = [(place, stop) for stop in sampling.stop if (place := tail.rfind(stop)) >= 0]
        return min(found)[1] if found else None

    def require(self, prompt: Prompt) -> None:
        """Refuse what would cost much or do harm, before it is rendered."""
        if isinstance(prompt, Ids):
            if prompt.ids:
                self.text((min(prompt.ids), max(prompt.ids)))
            return
        texts = list(_texts(prompt)) if isinstance(prompt, Conversation) else [prompt.text]
        size = sum(map(len, texts))
        if self._most is not None and size > self._most * _LONGEST_TOKEN:
            raise RowError(TOO_LONG, f"the prompt has {size} characters; this server takes {self._most} tokens")
        if self._special or isinstance(prompt, Text):
            return
        for text in texts:
            found = self._codec.special.search(text)
            if found is not None:
                raise RowError(
                    SPECIAL_TOKEN,
                    f"a text holds {found[0]!r}, which the model would not read as text; leave it out, or write it "
                    "in another way",
                )


def _texts(prompt: Conversation) -> Iterator[str]:
    """Every text of a chat that its template may show."""
    for message in prompt.messages:
        yield message.content
        yield from (text for text in (message.reasoning, message.name, message.tool_call_id) if text)
        for call in message.tool_calls:
            yield call.name
            yield from _strings(call.arguments)
    for tool in prompt.tools:
        yield from _strings(tool)
    yield from _strings(prompt.template_kwargs)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)
