"""From Anthropic's messages to a `Request`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from swift.config.media import MediaConfig
from swift.serving import chats
from swift.serving.anthropic import wire
from swift.serving.chat.convert import Asked, offered
from swift.serving.chat.wire import NamedFunction
from swift.serving.choosing import Rules, new_tokens, stops
from swift.serving.errors import bad
from swift.serving.link.wire import Ready
from swift.types import Conversation, Guide, Media, Message, Request, Sampling, ToolCall


def asked(body: wire.MessageRequest, adapter: str, rules: Rules, media: MediaConfig, ready: Ready) -> Asked:
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
    tools, guide, chat = chat_of(body, rules, media, ready)
    defaults = rules.defaults
    sampling = Sampling(
        max_new_tokens=new_tokens(body.max_tokens, rules),
        temperature=defaults.temperature if body.temperature is None else body.temperature,
        top_p=defaults.top_p if body.top_p is None else body.top_p,
        top_k=defaults.top_k if body.top_k is None else body.top_k,
        min_p=defaults.min_p,
        repetition_penalty=defaults.repetition_penalty,
        stop=stops(body.stop_sequences, rules) or defaults.stop,
        guide=guide,
    )
    return Asked(Request(chat, sampling, adapter), 1, tools, guide is not None)


def chat_of(
    body: wire.CountRequest, rules: Rules, media: MediaConfig, ready: Ready
) -> tuple[tuple[Mapping[str, Any], ...], Guide | None, Conversation]:
    """Tools that are looked for in the answer, the form of the answer, and the chat itself.

    Raises:
        ApiError: 400, for what cannot be answered.
    """
    given = [_tool(tool) for tool in body.tools or ()]
    tools, guide = offered(given, _choice(body.tool_choice), ready.reader)
    messages: list[Message] = []
    if body.system is not None:
        text = body.system if isinstance(body.system, str) else "\n\n".join(block.text for block in body.system)
        messages.append(Message("system", text))
    for place, message in enumerate(body.messages, 1):
        messages += _turns(message, f"message {place}", media)
    return tools, guide, chats.conversation(messages, tools, _kwargs(body, ready, guided=guide is not None), rules)


def _kwargs(body: wire.CountRequest, ready: Ready, *, guided: bool) -> dict[str, Any]:
    if not ready.thinks:
        return {}
    if body.thinking is not None and body.thinking.type != "adaptive":
        return {"enable_thinking": body.thinking.type == "enabled"}
    return {"enable_thinking": False} if guided else {}


def _tool(tool: wire.Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.input_schema}
    return {"type": "function", "function": {key: value for key, value in function.items() if value is not None}}


def _choice(choice: wire.AnyChoice | wire.ToolChoice | None) -> str | NamedFunction | None:
    if choice is None:
        return None
    if isinstance(choice, wire.ToolChoice):
        return NamedFunction(name=choice.name)
    return "required" if choice.type == "any" else choice.type


def _turns(message: wire.InputMessage, what: str, media: MediaConfig) -> list[Message]:
    """A turn as ours: results of functions are turns of their own, in the order in which they stand."""
    if isinstance(message.content, str):
        return [Message(message.role, message.content)]
    if message.role == "assistant":
        return [_assistant(message.content, what)]
    turns: list[Message] = []
    parts: list[str | Media] = []
    for block in message.content:
        if isinstance(block, wire.ToolResultBlock):
            if parts:
                turns.append(_user(parts))
                parts = []
            turns.append(_result(block, media))
        elif isinstance(block, wire.TextBlock | wire.ImageBlock):
            parts.append(_part(block, media))
        else:
            raise bad(f"{what}: a turn of the user has no block of type {block.type}", "messages")
    if parts or not turns:
        turns.append(_user(parts))
    return turns


def _user(parts: list[str | Media]) -> Message:
    text, shown = chats.joined(parts)
    return Message("user", text, media=shown)


def _assistant(blocks: list[wire.Block], what: str) -> Message:
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[ToolCall] = []
    for block in blocks:
        if isinstance(block, wire.TextBlock):
            texts.append(block.text)
        elif isinstance(block, wire.ThinkingBlock):
            thoughts.append(block.thinking)
        elif isinstance(block, wire.ToolUseBlock):
            calls.append(ToolCall(block.name, dict(block.input), block.id))
        else:
            raise bad(f"{what}: a turn of the assistant has no block of type {block.type}", "messages")
    return Message("assistant", "".join(texts), reasoning="".join(thoughts) or None, tool_calls=tuple(calls))


def _result(block: wire.ToolResultBlock, media: MediaConfig) -> Message:
    content = block.content or ""
    text, shown = (content, ()) if isinstance(content, str) else chats.joined([_part(item, media) for item in content])
    if block.is_error:
        text = orjson.dumps({"error": text}).decode()
    return Message("tool", text, tool_call_id=block.tool_use_id, media=shown if not block.is_error else ())


def _part(block: wire.TextBlock | wire.ImageBlock, media: MediaConfig) -> str | Media:
    if isinstance(block, wire.TextBlock):
        return block.text
    if isinstance(block.source, wire.UrlSource):
        return chats.medium("image", block.source.url, media)
    return chats.medium("image", f"data:{block.source.media_type};base64,{block.source.data}", media)
