"""The result file of a batch: one JSON object a line, only ever appended to, and what it was made with."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from swift.errors import DataError
from swift.types import Media, Message, ToolCall

_BESIDE = ".run.json"


class Results:
    """A result file open for appending.

    Attributes:
        done: Rows in the file.
        failed: Rows of this run without an answer.
        tokens: New tokens of this run.
    """

    def __init__(self, file: BinaryIO, done: int) -> None:
        self._file = file
        self.done = done
        self.failed = 0
        self.tokens = 0

    def write(self, line: Mapping[str, Any]) -> None:
        """Append one row; it is on disk, whole, when this returns."""
        answers = list(line["responses"].values()) if "responses" in line else [line]
        self.failed += any("error" in answer for answer in answers)
        self.tokens += sum(answer.get("completion_tokens", 0) for answer in answers)
        self._file.write(orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
        self._file.flush()
        self.done += 1


@contextmanager
def open_results(path: Path, identity: Mapping[str, Any], flag: str = "result_path") -> Iterator[Results]:
    """Open `path` to go on where an earlier run of the same identity stopped.

    A last line that was cut in the middle is removed. What the answers are made with stands in a file beside it.

    Args:
        path: The file.
        identity: All that decides what is written.
        flag: The option by which another place is chosen.

    Raises:
        DataError: The file is of another run, or of no run.
    """
    if path.is_dir():
        raise DataError(f"result_path {path} is a folder", hint="name a file, such as results.jsonl")
    claim(path, identity, flag)
    with path.open("a+b") as file:
        yield Results(file, _repair(file))
        os.fsync(file.fileno())


def claim(path: Path, identity: Mapping[str, Any], flag: str = "result_path") -> None:
    """Say beside a file or folder of answers what they are made with, or make sure that it says the same.

    Args:
        path: It need not be there.
        identity: All that decides what is written.
        flag: The option by which another place is chosen.

    Raises:
        DataError: It is of another run, or of no run.
    """
    beside = identity_file(path)
    if path.exists() and path.stat().st_size:
        _require_same(path, beside, identity, flag)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = beside.with_name(beside.name + ".tmp")
    temporary.write_bytes(orjson.dumps(identity, option=orjson.OPT_INDENT_2))
    temporary.replace(beside)


def identity_file(path: Path) -> Path:
    """The file beside a result file that says what it was made with."""
    return path.with_name(path.name + _BESIDE)


def message_json(message: Message) -> dict[str, Any]:
    """A turn in the form that data files have, without what is empty."""
    values: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.media:
        values["content"] = [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": part.kind, part.kind: _named(part)}
            for part in message.parts
        ]
    if message.reasoning is not None:
        values["reasoning_content"] = message.reasoning
    if message.tool_calls:
        values["tool_calls"] = calls_json(message.tool_calls)
    if message.name is not None:
        values["name"] = message.name
    if message.tool_call_id is not None:
        values["tool_call_id"] = message.tool_call_id
    return values


def calls_json(calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
    """Calls in the form that data files have."""
    return [
        {"type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        | ({"id": call.id} if call.id is not None else {})
        for call in calls
    ]


def _named(media: Media) -> str | list[str]:
    """Where a medium came from; bytes by their number."""
    if isinstance(media.source, tuple):
        return [source if isinstance(source, str) else f"<{len(source)} bytes>" for source in media.source]
    return media.source if isinstance(media.source, str) else f"<{len(media.source)} bytes>"


def _require_same(path: Path, beside: Path, identity: Mapping[str, Any], flag: str) -> None:
    way_out = f"choose another --{flag}, or delete the file"
    if not beside.is_file():
        raise DataError(f"{flag} {path} exists and does not say what it was made with", hint=way_out)
    before = _read_identity(beside, way_out)
    now = orjson.loads(orjson.dumps(identity))
    changed = [name for name in now if before.get(name) != now[name]]
    if changed:
        raise DataError(f"{flag} {path} holds answers made with other settings: {', '.join(changed)}", hint=way_out)


def _read_identity(beside: Path, way_out: str) -> dict[str, Any]:
    try:
        found = orjson.loads(beside.read_bytes())
    except ValueError as error:
        raise DataError(f"{beside} is damaged: it is no JSON", hint=way_out) from error
    if not isinstance(found, dict):
        raise DataError(f"{beside} is damaged: it is no object", hint=way_out)
    return found


def _repair(file: BinaryIO) -> int:
    """Cut off a last line without end; returns the number of whole lines."""
    file.seek(0)
    lines = end = 0
    for line in file:
        if line.endswith(b"\n"):
            lines += 1
            end += len(line)
    file.truncate(end)
    file.seek(end)
    return lines
