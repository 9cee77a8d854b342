"""From answers to Anthropic's messages and the events of their streams."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from swift.serving.blocks import Block, Closed, Opened, Step
from swift.serving.http import event
from swift.serving.reading import Reading
from swift.types import Completion


def message(model: str, reading: Reading) -> dict[str, Any]:
    """A whole answer.

    Args:
        model: The model's name, as the client has it.
        reading: The answer, which has ended.
    """
    return {
        **_head(model),
        "content": [_content(block) for block in reading.blocks.blocks if not block.broken],
        **_ending(reading),
        "usage": _usage_of(reading.ending.completion),
    }


def start(model: str, tokens: int) -> bytes:
    """The first event of a stream; `tokens` are those of the prompt, as far as they are known yet."""
    told = {**_head(model), "content": [], "stop_reason": None, "stop_sequence": None, "usage": _usage(tokens, 0, 0)}
    return event({"type": "message_start", "message": told}, "message_start")


def steps(found: Iterable[Step]) -> Iterator[bytes]:
    """Events about blocks."""
    for step in found:
        block = step.block
        if isinstance(step, Opened):
            yield event(
                {"type": "content_block_start", "index": block.place, "content_block": _content(block, empty=True)},
                "content_block_start",
            )
        elif isinstance(step, Closed):
            yield event({"type": "content_block_stop", "index": block.place}, "content_block_stop")
        elif block.call is not None:
            yield _grown(block, {"type": "input_json_delta", "partial_json": step.text})
        elif block.thinking:
            yield _grown(block, {"type": "thinking_delta", "thinking": step.text})
        else:
            yield _grown(block, {"type": "text_delta", "text": step.text})


def end(reading: Reading) -> Iterator[bytes]:
    """The last events of a stream."""
    told = {"type": "message_delta", "delta": _ending(reading), "usage": _usage_of(reading.ending.completion)}
    yield event(told, "message_delta")
    yield event({"type": "message_stop"}, "message_stop")


def _ending(reading: Reading) -> dict[str, Any]:
    done = reading.ending
    if done.completion.finish == "length":
        reason = "max_tokens"
    elif reading.calls:
        reason = "tool_use"
    else:
        reason = "end_turn" if done.stop is None else "stop_sequence"
    return {"stop_reason": reason, "stop_sequence": done.stop if reason == "stop_sequence" else None}


def _usage_of(completion: Completion) -> dict[str, int]:
    return _usage(completion.prompt_tokens, completion.cached_tokens, completion.new_tokens)


def _usage(prompt: int, cached: int, answer: int) -> dict[str, int]:
    return {
        "input_tokens": prompt - cached,
        "output_tokens": answer,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0,
    }


def _head(model: str) -> dict[str, Any]:
    return {"id": f"msg_{uuid.uuid4().hex[:24]}", "type": "message", "role": "assistant", "model": model}


def _content(block: Block, *, empty: bool = False) -> dict[str, Any]:
    if block.call is not None:
        given = {} if empty else block.call.arguments
        return {"type": "tool_use", "id": block.call.id, "name": block.call.name, "input": given}
    text = "" if empty else block.text
    if block.thinking:
        return {"type": "thinking", "thinking": text, "signature": ""}
    return {"type": "text", "text": text}


def _grown(block: Block, delta: dict[str, str]) -> bytes:
    return event({"type": "content_block_delta", "index": block.place, "delta": delta}, "content_block_delta")
