"""A conversation as the template wants it: system override, thinking, roles it does not know."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from swift.chat.codec import Codec
from swift.chat.grounding.write import ground
from swift.chat.template import Dialect
from swift.chat.tools.base import tool_formats
from swift.chat.tools.write import write_tools
from swift.config.chat import ChatConfig
from swift.types import Conversation, Message, Placed

_INLINE_THINKING = re.compile(r"\s*<think>(.*?)</think>\s*(.*)\Z", re.DOTALL)


def prepare(sample: Conversation, codec: Codec, options: ChatConfig) -> Conversation:
    """The conversation that is rendered, for training and for inference alike.

    Names and boxes in place of their tags; system override; tools as text where the template does not write them or
    another format is asked for; thinking where the template looks for it; a system
    message is put in front of the first user message where the template has no system role.

    Raises:
        TemplateError: The codec has no template.
        RowError: A box or a call of the row cannot be written; see `ground` and `write_tools`.
    """
    sample = ground(sample, codec)
    dialect = codec.require_template().dialect
    if options.system is not None:
        sample = with_system(sample, options.system)
    if codec.writes_tools:
        sample = write_tools(sample, tool_formats.get(codec.writes_tools), codec.writes_tools, dialect)
    strip = options.thinking == "strip"
    messages = tuple(
        _thinking(message, dialect, strip=strip) if message.role == "assistant" else message
        for message in sample.messages
    )
    if any(message.role == "developer" for message in messages) and "developer" not in codec.template.source:
        messages = tuple(replace(m, role="system") if m.role == "developer" else m for m in messages)
    if not dialect.system:
        messages = _fold_system(messages)
    kwargs = _template_kwargs(sample, messages, codec, options)
    return replace(sample, messages=messages, template_kwargs=kwargs)


def with_system(sample: Conversation, system: str) -> Conversation:
    """`sample` with `system` as its only leading system message."""
    rest = sample.messages
    while rest and rest[0].role in ("system", "developer"):
        rest = rest[1:]
    return replace(sample, messages=(Message("system", system), *rest))


def split_thinking(text: str) -> tuple[str, str] | None:
    """Thinking and answer of a text that begins with `<think>...</think>`, else None."""
    match = _INLINE_THINKING.match(text)
    return None if match is None else (match[1].strip(), match[2])


def _thinking(message: Message, dialect: Dialect, *, strip: bool) -> Message:
    reasoning, content = message.reasoning, message.content
    if reasoning is None and "</think>" in content and (strip or dialect.reasoning != "inline"):
        parts = split_thinking(content)
        if parts is not None:
            reasoning, content = parts
    if strip or (reasoning is not None and not reasoning.strip()):
        reasoning = None
    if reasoning is not None and dialect.reasoning == "inline":
        reasoning, content = None, f"<think>\n{reasoning}\n</think>\n\n{content}"
    if reasoning is message.reasoning and content is message.content:
        return message
    return replace(message, reasoning=reasoning, content=content, media=_moved(message, content))


def _moved(message: Message, content: str) -> tuple[Placed, ...]:
    """The message's media when its text is replaced by another with the same end."""
    by = len(content) - len(message.content)
    return tuple(Placed(max(placed.at + by, 0), placed.media) for placed in message.media)


def _fold_system(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    system = [message.content for message in messages if message.role == "system"]
    rest = [message for message in messages if message.role != "system"]
    first = next((number for number, message in enumerate(rest) if message.role == "user"), None)
    if not system or first is None:
        return messages
    content = "\n\n".join([*system, rest[first].content])
    rest[first] = replace(rest[first], content=content, media=_moved(rest[first], content))
    return tuple(rest)


def _template_kwargs(
    sample: Conversation, messages: tuple[Message, ...], codec: Codec, options: ChatConfig
) -> Mapping[str, Any]:
    if "enable_thinking" in sample.template_kwargs or not codec.template.reads("enable_thinking"):
        return sample.template_kwargs
    enable = options.enable_thinking
    if enable is None:
        answers = [message for message in messages if message.role == "assistant"]
        if not answers:
            return sample.template_kwargs  # a first question: what the template does by itself
        enable = any(message.reasoning is not None for message in answers)
    return {**sample.template_kwargs, "enable_thinking": enable}
