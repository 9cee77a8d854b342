"""`/v1/chat/completions`: messages as they are, rendered by the server with a template of its own."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from swift.chat.tools.hermes import calls as written_calls
from swift.config.media import MediaConfig
from swift.engines.wires import UNSUPPORTED, Asked, Delta, Reader, Takes, finish_of, sampling_fields, usage_of
from swift.errors import RowError
from swift.media import load_audio, load_image
from swift.media.encode import png_of_image, wav_of_array
from swift.types import Conversation, Media, Message, TokenLogprob, ToolCall

THINK, THINK_END = "<think>\n", "\n</think>\n\n"
"""Around thinking, in the text of an answer."""

TOOLS = "hermes"
"""The format in which calls stand in the text of an answer."""


@dataclass(frozen=True, slots=True)
class Messages:
    """OpenAI's chat completions.

    Attributes:
        takes: What the server takes.
        media: Where media may come from.
    """

    takes: Takes
    media: MediaConfig

    @property
    def path(self) -> str:
        """Behind the server's base address."""
        return "/chat/completions"

    def body(self, asked: Asked, *, stream: bool) -> dict[str, Any]:
        """The JSON object to be posted.

        Raises:
            RowError: The request asks for what this server cannot do, or a medium cannot be read.
        """
        sample = asked.request.prompt
        assert isinstance(sample, Conversation)
        rules = asked.request.sampling
        body: dict[str, Any] = {
            "model": asked.model,
            "messages": wire_messages(sample.messages, self.media),
            **sampling_fields(asked, self.takes),
        }
        if sample.tools:
            body["tools"] = [dict(tool) for tool in sample.tools]
        if sample.template_kwargs:
            body["chat_template_kwargs"] = dict(sample.template_kwargs)
        if rules.logprobs is not None:
            body |= {"logprobs": True, "top_logprobs": rules.logprobs}
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body

    def reader(self) -> Reader:
        """Reads the answer to one request."""
        return _Reading().read


@dataclass
class _Reading:
    """Thinking, text and calls, put together as a model would write them, so that they are read as others are."""

    thinking: bool = False
    calls: dict[int, dict[str, str]] = field(default_factory=dict)

    def read(self, data: Mapping[str, Any]) -> Delta:
        counts = usage_of(data)
        choices = data.get("choices") or ()
        if not choices:
            return Delta(**counts)
        choice = choices[0]
        said = choice.get("delta") or choice.get("message") or {}
        finish = finish_of(choice.get("finish_reason"))
        text = self._thought(said.get("reasoning_content") or said.get("reasoning") or "")
        text += self._said(said.get("content") or "")
        for place, call in enumerate(said.get("tool_calls") or ()):
            self._call(call.get("index", place), call.get("function") or {})
        if finish is not None and self.calls:
            text += self._said(self._written())
        logprobs = choice.get("logprobs") or {}
        return Delta(text=text, logprobs=tuple(_logprobs(logprobs.get("content") or ())), finish=finish, **counts)

    def _thought(self, text: str) -> str:
        begins = bool(text) and not self.thinking
        self.thinking = self.thinking or begins
        return THINK + text if begins else text

    def _said(self, text: str) -> str:
        ends = bool(text) and self.thinking
        self.thinking = self.thinking and not ends
        return THINK_END + text if ends else text

    def _call(self, index: int, function: Mapping[str, Any]) -> None:
        call = self.calls.setdefault(index, {"name": "", "arguments": ""})
        for name in call:
            told = function.get(name)
            call[name] += told if isinstance(told, str) else "" if told is None else json.dumps(told)

    def _written(self) -> str:
        made = [ToolCall(call["name"], _value(call["arguments"])) for _, call in sorted(self.calls.items())]
        return written_calls(made)


def _value(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except json.JSONDecodeError:
        return text  # cut at the length limit


def _logprobs(told: Sequence[Mapping[str, Any]]) -> list[TokenLogprob]:
    """Log-probabilities as chats tell them: an object a token; which id it is, they do not say."""
    return [
        TokenLogprob(
            -1,
            item["token"],
            item["logprob"],
            tuple(TokenLogprob(-1, other["token"], other["logprob"]) for other in item.get("top_logprobs") or ()),
        )
        for item in told
    ]


def wire_messages(messages: Sequence[Message], media: MediaConfig) -> list[dict[str, Any]]:
    """Messages as OpenAI has them; calls without ids get some, and results those of the calls that they answer.

    Assistant turns at the end are what is to be answered anew, so they are left out.

    Raises:
        RowError: A medium cannot be read, or is of a kind that messages do not carry; or nothing is left.
    """
    count = len(messages)
    while count and messages[count - 1].role == "assistant":
        count -= 1
    if not count:
        raise RowError("no_prompt", "the conversation has no turn to be answered")
    wired: list[dict[str, Any]] = []
    open_calls: list[str] = []
    for message in messages[:count]:
        wire: dict[str, Any] = {"role": message.role, "content": _content(message, media)}
        if message.reasoning is not None:
            wire["reasoning_content"] = message.reasoning
        if message.tool_calls:
            ids = [call.id or f"call_{len(wired)}_{number}" for number, call in enumerate(message.tool_calls)]
            wire["tool_calls"] = [_call(call, name) for call, name in zip(message.tool_calls, ids, strict=True)]
            open_calls = ids
        if message.role == "tool":
            first = open_calls.pop(0) if open_calls else ""
            wire["tool_call_id"] = message.tool_call_id or first
        if message.name is not None:
            wire["name"] = message.name
        wired.append(wire)
    return wired


def _call(call: ToolCall, name: str) -> dict[str, Any]:
    arguments = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments, ensure_ascii=False)
    return {"id": name, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _content(message: Message, media: MediaConfig) -> str | list[dict[str, Any]]:
    if not message.media:
        return message.content
    return [{"type": "text", "text": part} if isinstance(part, str) else _part(part, media) for part in message.parts]


def _part(part: Media, limits: MediaConfig) -> dict[str, Any]:
    """A medium within the message: read here, by our rules of what may be read."""
    if part.kind == "image":
        data = base64.b64encode(png_of_image(load_image(part, limits))).decode()
        return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    if part.kind == "audio":
        rate = 16000
        data = base64.b64encode(wav_of_array(load_audio(part, limits, rate), rate)).decode()
        return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    raise RowError(UNSUPPORTED, "messages carry pictures and sounds, no videos")
