"""From answers to responses and the events of their streams."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from swift.serving.blocks import Block, Closed, Opened, Step
from swift.serving.http import event
from swift.serving.reading import Reading
from swift.serving.responses.wire import ResponseRequest
from swift.types import Completion


class Writer:
    """Writes what belongs to one response; its events are numbered.

    Args:
        body: The request.
    """

    def __init__(self, body: ResponseRequest) -> None:
        self._id = f"resp_{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._body = body
        self._number = -1
        self._names: dict[int, str] = {}

    def response(self, reading: Reading | None) -> dict[str, Any]:
        """The response; without an answer, as it is before that begins."""
        body = self._body
        done = None if reading is None else reading.ending
        cut = done is not None and done.completion.finish == "length"
        choice = body.tool_choice
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": "in_progress" if done is None else "incomplete" if cut else "completed",
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "metadata": body.metadata or {},
            "model": body.model,
            "output": [] if reading is None else [self._item(block) for block in reading.blocks.blocks],
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "store": False,
            "temperature": body.temperature,
            "text": {} if body.text is None else body.text.model_dump(by_alias=True, exclude_none=True),
            "tool_choice": "auto" if choice is None else choice if isinstance(choice, str) else choice.model_dump(),
            "tools": [tool.model_dump() for tool in body.tools or ()],
            "top_p": body.top_p,
            "truncation": "disabled",
            "usage": None if done is None else _usage(done.completion),
        }

    def start(self) -> Iterator[bytes]:
        """The first events of a stream."""
        for name in ("response.created", "response.in_progress"):
            yield self._event(name, response=self.response(None))

    def steps(self, found: Iterable[Step]) -> Iterator[bytes]:
        """Events about blocks."""
        for step in found:
            if isinstance(step, Opened):
                yield from self._opened(step.block)
            elif isinstance(step, Closed):
                yield from self._closed(step.block)
            elif step.block.call is not None:
                yield self._event("response.function_call_arguments.delta", step.block, delta=step.text)
            else:
                kind = "reasoning_text" if step.block.thinking else "output_text"
                more: dict[str, Any] = {} if step.block.thinking else {"logprobs": []}
                yield self._event(f"response.{kind}.delta", step.block, content_index=0, delta=step.text, **more)

    def end(self, response: Mapping[str, Any]) -> bytes:
        """The last event of a stream, which tells the whole response."""
        return self._event(f"response.{response['status']}", response=response)

    def _opened(self, block: Block) -> Iterator[bytes]:
        yield self._event("response.output_item.added", item=self._item(block, begun=True), output_index=block.place)
        if block.call is None:
            yield self._event("response.content_part.added", block, content_index=0, part=_part(block, ""))

    def _closed(self, block: Block) -> Iterator[bytes]:
        if block.call is not None and not block.broken:
            yield self._event(
                "response.function_call_arguments.done", block, name=block.call.name, arguments=block.text
            )
        elif block.call is None:
            kind = "reasoning_text" if block.thinking else "output_text"
            more: dict[str, Any] = {} if block.thinking else {"logprobs": []}
            yield self._event(f"response.{kind}.done", block, content_index=0, text=block.text, **more)
            yield self._event("response.content_part.done", block, content_index=0, part=_part(block, block.text))
        yield self._event("response.output_item.done", item=self._item(block), output_index=block.place)

    def _event(self, kind: str, block: Block | None = None, /, **values: Any) -> bytes:
        self._number += 1
        where = {} if block is None else {"item_id": self._name(block), "output_index": block.place}
        return event({"type": kind, "sequence_number": self._number, **where, **values}, kind)

    def _name(self, block: Block) -> str:
        prefix = "fc" if block.call is not None else "rs" if block.thinking else "msg"
        return self._names.setdefault(block.place, f"{prefix}_{uuid.uuid4().hex[:24]}")

    def _item(self, block: Block, *, begun: bool = False) -> dict[str, Any]:
        head = {
            "id": self._name(block),
            "status": "in_progress" if begun else "incomplete" if block.broken else "completed",
        }
        if block.call is not None:
            return {
                "type": "function_call",
                **head,
                "call_id": block.call.id,
                "name": block.call.name,
                "arguments": "" if begun else block.text,
            }
        content = [] if begun else [_part(block, block.text)]
        if block.thinking:
            return {"type": "reasoning", **head, "summary": [], "content": content}
        return {"type": "message", **head, "role": "assistant", "content": content}


def _part(block: Block, text: str) -> dict[str, Any]:
    if block.thinking:
        return {"type": "reasoning_text", "text": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(completion: Completion) -> dict[str, Any]:
    answer = completion.new_tokens
    return {
        "input_tokens": completion.prompt_tokens,
        "input_tokens_details": {"cached_tokens": completion.cached_tokens},
        "output_tokens": answer,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": completion.prompt_tokens + answer,
    }
