"""One entry of a message list, in the forms that data sets have it, to a `Message`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from swift.data.reasons import BAD_ROLE, BAD_WEIGHT, NO_MESSAGES, TWO_THOUGHTS, WRONG_TYPE
from swift.data.shapes.parts import spoken
from swift.data.shapes.tools import tool_calls
from swift.data.shapes.values import as_text, kind, text_value, weight_value
from swift.errors import RowError
from swift.types import Message, Placed, Role, ToolCall

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "ai": "assistant",
    "tool": "tool",
    "tool_response": "tool",
    "function_response": "tool",
    "observation": "tool",
    "function": "tool",
}
CALL_ROLES = frozenset({"function_call", "tool_call"})
_THINKING = re.compile(r"\s*<think>(.*?)</think>\s*", re.DOTALL)
_WEIGHTS = ("loss_weight", "loss_scale", "weight")
_PLAIN = {"role", "content"}


def turns(items: Any, column: str) -> list[Message]:
    """Messages from a list of them, or of {"human", "assistant"} pairs.

    Raises:
        RowError: Any reason that one message may give.
    """
    if not isinstance(items, list):
        raise RowError(WRONG_TYPE, f"{column} is {kind(items)}, not a list")
    if not items:
        raise RowError(NO_MESSAGES, f"{column} is an empty list")
    messages: list[Message] = []
    for place, item in enumerate(items, 1):
        what = f"message {place}"
        if not isinstance(item, dict):
            raise RowError(WRONG_TYPE, f"{what} is {kind(item)}, not an object")
        if "human" in item and "assistant" in item and "role" not in item:
            text, media = spoken(item["human"], what)
            messages.append(Message("user", text, media=media))
            messages.append(assistant(item["assistant"], what))
        else:
            _append(messages, turn(item, what))
    return messages


def turn(item: Mapping[str, Any], what: str) -> Message:
    """One message.

    Args:
        item: With role and content (OpenAI) or from and value (ShareGPT).
        what: Which message, for errors.
    """
    speaker = item.get("role", item.get("from"))
    content = item.get("content")
    if content is None:
        content = item.get("value")
    if not isinstance(speaker, str):
        raise RowError(BAD_ROLE, f"{what} has no role" if speaker is None else f"{what}: role is {kind(speaker)}")
    role = ROLES.get(speaker) or ROLES.get(speaker.strip().lower())
    if role == "assistant":
        return assistant(content, what, item)
    if role is None:
        if speaker.strip().lower() in CALL_ROLES:
            return Message("assistant", "", tool_calls=tool_calls(content, what), loss_weight=_weight(item, what))
        known = "system, developer, user, assistant, tool and their usual other names"
        raise RowError(BAD_ROLE, f"{what} has the role {speaker!r}; known are {known}")
    if role == "tool":
        shows = isinstance(content, list) and any(isinstance(p, dict) and "type" in p for p in content)
        text, media = spoken(content, what) if shows else (as_text(content, what), ())
        return Message(
            role,
            text,
            name=_optional(item, "name", what),
            tool_call_id=_optional(item, "tool_call_id", what),
            loss_weight=_weight(item, what),
            media=media,
        )
    text, media = spoken(content, what)
    return Message(role, text, loss_weight=_weight(item, what), media=media)


def assistant(content: Any, what: str, item: Mapping[str, Any] | None = None) -> Message:
    """An assistant's message: content, thinking, calls.

    Thinking is taken from `reasoning_content`, `reasoning` or `thinking`, from parts of type "thinking", or
    from <think>...</think> at the very start of the content. Empty thinking is none.
    """
    thought = None
    calls: tuple[ToolCall, ...] = ()
    weight = None
    if item is not None and item.keys() != _PLAIN:
        thought = next((item[key] for key in ("reasoning_content", "reasoning", "thinking") if item.get(key)), None)
        if thought is not None:
            thought = text_value(thought, f"{what}: thinking")
        given = item.get("tool_calls") or item.get("function_call")
        calls = tool_calls(given, what) if given else ()
        weight = _weight(item, what)
    if isinstance(content, list):
        content, inner = _split_parts(content)
        thought = _one(thought, inner, what)
    text, media = spoken(content, what)
    if "<think>" in text:
        match = _THINKING.match(text)
        if match and not any(placed.at < match.end() for placed in media):
            thought = _one(thought, match[1].strip("\n"), what)
            text = text[match.end() :]
            media = tuple(Placed(placed.at - match.end(), placed.media) for placed in media)
    return Message("assistant", text, reasoning=thought or None, tool_calls=calls, loss_weight=weight, media=media)


def _split_parts(parts: list[Any]) -> tuple[list[Any], str]:
    thinking = [part for part in parts if isinstance(part, dict) and part.get("type") == "thinking"]
    rest = [part for part in parts if part not in thinking]
    return rest, "".join(text_value(part.get("thinking"), "thinking") for part in thinking)


def _one(first: str | None, second: str, what: str) -> str | None:
    if not second.strip():
        return first
    if first and first.strip() != second.strip():
        raise RowError(TWO_THOUGHTS, f"{what} has thinking of its own and other thinking inside its content")
    return first or second


def _weight(item: Mapping[str, Any], what: str) -> float | None:
    """The loss weight that a message asks for: "loss" switches, "loss_weight" (or its other names) scales."""
    if item.keys() == _PLAIN:
        return None
    given = {weight_value(item[key], f"{what}: {key}") for key in _WEIGHTS if item.get(key) is not None}
    if len(given) > 1:
        raise RowError(BAD_WEIGHT, f"{what} has several weights: {', '.join(map(str, sorted(given)))}")
    weight = next(iter(given), None)
    loss = item.get("loss")
    if loss is None:
        return weight
    if loss not in (0, 1):  # true and false are 1 and 0
        raise RowError(BAD_WEIGHT, f"{what}: loss is {loss!r}, not true or false")
    if weight is not None and bool(weight) != bool(loss):
        raise RowError(BAD_WEIGHT, f"{what}: loss is {bool(loss)} and its weight is {weight}")
    return float(loss) if weight is None else weight


def _optional(item: Mapping[str, Any], key: str, what: str) -> str | None:
    value = item.get(key)
    if value is not None and not isinstance(value, str):
        raise RowError(WRONG_TYPE, f"{what}: {key} is {kind(value)}, not a text")
    return value


def _append(messages: list[Message], message: Message) -> None:
    """Add a turn. Calls that stand as turns of their own join the assistant turn before them."""
    last = messages[-1] if messages else None
    joins = (
        last is not None
        and last.role == message.role == "assistant"
        and bool(message.tool_calls)
        and not message.content
        and message.reasoning is None
        and last.loss_weight == message.loss_weight
    )
    if last is None or not joins:
        messages.append(message)
        return
    messages[-1] = Message(
        "assistant",
        last.content,
        reasoning=last.reasoning,
        tool_calls=last.tool_calls + message.tool_calls,
        loss_weight=last.loss_weight,
        media=last.media,
    )
