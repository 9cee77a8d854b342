"""From answers to chat completions and their chunks."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from swift.chat.growing import Part, Thought
from swift.serving.http import json_text
from swift.serving.service import Finished
from swift.serving.wire import call_id
from swift.types import Completion, Message, TokenLogprob, ToolCall


class Writer:
    """Writes what belongs to one request.

    Args:
        model: The model's name, as the client has it.
    """

    def __init__(self, model: str) -> None:
        self._head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}

    def completion(self, choices: list[dict[str, Any]], usage: Mapping[str, Any]) -> dict[str, Any]:
        """A whole answer."""
        return {**self._head, "object": "chat.completion", "choices": choices, "usage": usage}

    def chunk(
        self,
        index: int,
        delta: Mapping[str, Any],
        *,
        logprobs: Mapping[str, Any] | None = None,
        finish: str | None = None,
    ) -> dict[str, Any]:
        """An event about one choice."""
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice]}

    def last(self, usage: Mapping[str, Any]) -> dict[str, Any]:
        """The event that tells the tokens used."""
        return {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": usage}


def choice(message: Message, done: Finished) -> dict[str, Any]:
    """One of n answers."""
    completion = done.completion
    said: dict[str, Any] = {"role": "assistant", "content": message.content, "refusal": None}
    if message.reasoning is not None:
        said["reasoning_content"] = message.reasoning
    if message.tool_calls:
        said["content"] = message.content or None
        said["tool_calls"] = [call_json(call) for call in message.tool_calls]
    return {
        "index": done.index,
        "message": said,
        "logprobs": logprobs_json(completion.logprobs),
        "finish_reason": finish_of(completion, calls=bool(message.tool_calls)),
    }


def finish_of(completion: Completion, *, calls: bool) -> str:
    """Why an answer ended."""
    return "tool_calls" if calls and completion.finish == "stop" else completion.finish


def delta(parts: Sequence[Part], calls: int) -> dict[str, Any]:
    """What an answer has grown by; empty for nothing.

    Args:
        parts: It.
        calls: How many calls it had before.
    """
    found: dict[str, Any] = {}
    for part in parts:
        if isinstance(part, Thought):
            found["reasoning_content"] = found.get("reasoning_content", "") + part.text
        elif isinstance(part, str):
            found["content"] = found.get("content", "") + part
        else:
            found.setdefault("tool_calls", []).append({"index": calls, **call_json(part)})
            calls += 1
    return found


def call_json(call: ToolCall) -> dict[str, Any]:
    """A call, with an id of ours where the model gave none."""
    return {
        "id": call.id or call_id(),
        "type": "function",
        "function": {"name": call.name, "arguments": json_text(call.arguments)},
    }


def logprobs_json(tokens: Sequence[TokenLogprob] | None) -> dict[str, Any] | None:
    """Log-probabilities of tokens; None where they were not asked for."""
    if tokens is None:
        return None
    return {
        "content": [{**_token(token), "top_logprobs": [_token(other) for other in token.top]} for token in tokens],
        "refusal": None,
    }


def _token(token: TokenLogprob) -> dict[str, Any]:
    # A part of a character has no bytes that could be told from its text.
    whole = "\ufffd" not in token.text
    return {"token": token.text, "logprob": token.logprob, "bytes": list(token.text.encode()) if whole else None}
