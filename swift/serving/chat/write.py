"""From answers to chat completions and their chunks."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from swift.chat.early import CallBegun, CallEnded, CallGrew
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


class Deltas:
    """What one answer has grown by, as its client is told; counts its calls."""

    def __init__(self) -> None:
        self._calls = 0

    def of(self, parts: Sequence[Part]) -> list[dict[str, Any]]:
        """Parts as deltas: one, and a further one for each next piece of a call."""
        found: list[dict[str, Any]] = []
        for part in parts:
            if isinstance(part, CallEnded):
                continue  # its client has seen all of it
            last = found[-1] if found and not isinstance(part, CallGrew) else {}
            if isinstance(part, Thought):
                last["reasoning_content"] = last.get("reasoning_content", "") + part.text
            elif isinstance(part, str):
                last["content"] = last.get("content", "") + part
            else:
                last.setdefault("tool_calls", []).append(self._call(part))
            if not found or last is not found[-1]:
                found.append(last)
        return found

    def _call(self, part: ToolCall | CallBegun | CallGrew) -> dict[str, Any]:
        if isinstance(part, CallGrew):
            return {"index": self._calls - 1, "function": {"arguments": part.text}}
        self._calls += 1
        if isinstance(part, ToolCall):
            return {"index": self._calls - 1, **call_json(part)}
        function = {"name": part.name, "arguments": ""}
        return {"index": self._calls - 1, "id": part.id or call_id(), "type": "function", "function": function}


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
