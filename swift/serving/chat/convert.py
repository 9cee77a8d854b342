"""From a chat as clients write it to a `Request`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swift.chat.parse import AnswerReader
from swift.chat.tools.force import call_guide
from swift.config.media import MediaConfig
from swift.serving import chats
from swift.serving.chat import wire
from swift.serving.choosing import Rules, answers, guide_of, sampling_of
from swift.serving.errors import bad
from swift.serving.link.wire import Ready
from swift.types import Conversation, Guide, Media, Message, Request, ToolCall


@dataclass(frozen=True, slots=True)
class Asked:
    """A chat to be answered.

    Attributes:
        request: It.
        count: How many answers.
        tools: What is offered, and so looked for in answers.
        guided: The answer's form is prescribed, so that it has no thinking in front.
    """

    request: Request
    count: int
    tools: tuple[Mapping[str, Any], ...]
    guided: bool


def asked(body: wire.ChatRequest, adapter: str, rules: Rules, media: MediaConfig, ready: Ready) -> Asked:
    """What a client asks.

    Args:
        body: What the client sent.
        adapter: The adapter that it names.
        rules: Limits and defaults.
        media: Where media may come from.
        ready: What is known of the model.

    Raises:
        ApiError: 400, for what cannot be answered.
    """
    tools, guide = offered(
        [tool.model_dump(exclude_none=True) for tool in body.tools or ()],
        body.tool_choice if not isinstance(body.tool_choice, wire.NamedTool) else body.tool_choice.function,
        ready.reader,
    )
    form = guide_of(body.response_format, rules)
    if guide is not None and form is not None:
        raise bad("a call cannot be required together with a response_format", "response_format")
    guide = guide or form
    if body.top_logprobs and not body.logprobs:
        raise bad("top_logprobs needs logprobs: true", "top_logprobs")
    sampling = sampling_of(
        body,
        rules,
        max_tokens=body.max_completion_tokens or body.max_tokens,
        logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        guide=guide,
    )
    kwargs = template_kwargs(body.chat_template_kwargs, guided=guide is not None, ready=ready)
    chat = prompt_of(body.messages, tools, kwargs, rules, media)
    return Asked(Request(chat, sampling, adapter), answers(body, rules), tools, guide is not None)


def prompt_of(
    messages: Sequence[wire.ChatMessage],
    tools: Sequence[Mapping[str, Any]],
    kwargs: Mapping[str, Any],
    rules: Rules,
    media: MediaConfig,
) -> Conversation:
    """A chat as the engine knows it.

    Args:
        messages: As clients write them.
        tools: What is offered, in OpenAI's form.
        kwargs: Variables for the template.
        rules: Limits.
        media: Where media may come from.

    Raises:
        ApiError: 400, where it cannot be answered.
    """
    found = [_message(message, f"message {place}", media) for place, message in enumerate(messages, 1)]
    return chats.conversation(found, tools, kwargs, rules)


def messages_of(
    messages: Sequence[wire.ChatMessage], kwargs: Mapping[str, Any], rules: Rules, media: MediaConfig
) -> Conversation:
    """A whole chat, as models read it that judge it; arguments as of `prompt_of`.

    Raises:
        ApiError: 400, where it is too large.
    """
    found = [_message(message, f"message {place}", media) for place, message in enumerate(messages, 1)]
    return chats.whole(found, kwargs, rules)


def template_kwargs(given: Mapping[str, Any] | None, *, guided: bool, ready: Ready) -> dict[str, Any]:
    """Variables for the template; a prescribed answer leaves no room for thinking, unless the client wants it."""
    kwargs = dict(given or {})
    if guided and ready.thinks:
        kwargs.setdefault("enable_thinking", False)
    return kwargs


def offered(
    tools: Sequence[dict[str, Any]], choice: str | wire.NamedFunction | None, reader: AnswerReader
) -> tuple[tuple[Mapping[str, Any], ...], Guide | None]:
    """The tools that the model is told of, and the form of its answer where it must call one.

    Args:
        tools: In OpenAI's form.
        choice: none, auto, required, or the function that must be called.
        reader: How the model writes calls.

    Raises:
        ApiError: 400, where a call is required and cannot be.
    """
    if choice == "none":
        return (), None
    if choice is None or choice == "auto":
        return tuple(tools), None
    named = choice.name if isinstance(choice, wire.NamedFunction) else None
    chosen = [tool for tool in tools if named is None or tool["function"]["name"] == named]
    if not chosen:
        raise bad("a call is required, and there is no such function among the tools", "tool_choice")
    form = reader.tool_format
    guide = None if form is None else call_guide(form, chosen)
    if guide is None:
        raise bad(
            "this model's format of calls cannot be enforced; use tool_choice auto, or response_format", "tool_choice"
        )
    return tuple(tools), guide


def _message(message: wire.ChatMessage, what: str, media: MediaConfig) -> Message:
    if isinstance(message, wire.AssistantMessage):
        calls = tuple(
            ToolCall(
                call.function.name,
                chats.decoded(call.function.arguments, f"the arguments of a call of {what}"),
                call.id,
            )
            for call in message.tool_calls or ()
        )
        return Message("assistant", _said(message), reasoning=message.reasoning_content or None, tool_calls=calls)
    content = message.content
    text, shown = (content, ()) if isinstance(content, str) else chats.joined([_part(part, media) for part in content])
    if isinstance(message, wire.ToolMessage):
        return Message("tool", text, name=message.name, tool_call_id=message.tool_call_id, media=shown)
    return Message(message.role, text, media=shown)


def _said(message: wire.AssistantMessage) -> str:
    if message.content is None:
        return message.refusal or ""
    if isinstance(message.content, str):
        return message.content
    return "".join(part.text if isinstance(part, wire.TextPart) else part.refusal for part in message.content)


def _part(part: wire.Part | wire.TextPart, media: MediaConfig) -> str | Media:
    if isinstance(part, wire.TextPart):
        return part.text
    if isinstance(part, wire.ImagePart):
        return chats.medium("image", part.image_url.url, media)
    if isinstance(part, wire.VideoPart):
        return chats.medium("video", part.video_url.url, media)
    if isinstance(part, wire.AudioUrlPart):
        return chats.medium("audio", part.audio_url.url, media)
    return chats.medium("audio", {"data": part.input_audio.data}, media)
