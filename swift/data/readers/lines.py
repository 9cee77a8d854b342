"""Files in which a line is a row: JSON Lines and plain text. Blank lines are skipped."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from swift.data.readers.base import open_utf8
from swift.data.reasons import INVALID_UTF8, MALFORMED, NOT_AN_OBJECT
from swift.data.rows import BadRow
from swift.errors import DataError
from swift.types import Origin, Row

# A run of this many digits may be an integer that 64 bits do not hold.
_LONG_INTEGER = b"0" * 19
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_KINDS = {list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number", type(None): "null"}


def lines(path: Path, name: str) -> Iterator[tuple[int, bytes]]:
    """(line number from 1, line with its end) of every line that is not blank."""
    with open_utf8(path, name) as file:
        for number, line in enumerate(file, 1):
            if not line.isspace():
                yield number, line


def count_lines(path: Path, name: str) -> int:
    """How many lines are not blank."""
    with open_utf8(path, name) as file:
        return sum(not line.isspace() for line in file)


def read_jsonl(path: Path, name: str, start: int) -> Iterator[Row | BadRow]:
    """Rows of a JSON Lines file; each line must be an object.

    Raises:
        DataError: The file is a JSON array in the clothes of JSON Lines.
    """
    for place, (number, line) in enumerate(itertools.islice(lines(path, name), start, None), start):
        item = decode_object(line, Origin(name, number))
        if place == 0 and isinstance(item, BadRow) and line.lstrip().startswith(b"["):
            raise DataError(f"{name} holds a JSON array, not one object a line", hint="name it .json")
        yield item


def read_text(path: Path, name: str, start: int) -> Iterator[Row | BadRow]:
    """Each line of a text file as a row with the column `text`, without its line end."""
    for number, line in itertools.islice(lines(path, name), start, None):
        origin = Origin(name, number)
        try:
            yield Row({"text": line.rstrip(b"\r\n").decode()}, origin)
        except UnicodeDecodeError as error:
            yield invalid_utf8(origin, error)


def decode_object(data: bytes, origin: Origin) -> Row | BadRow:
    """A row from the JSON text of one object.

    Integers stay exact whatever their size. NaN, Infinity, lone surrogates and invalid UTF-8 are not JSON.
    """
    try:
        values = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return _explain(data.rstrip(b"\r\n"), error, origin)
    if type(values) is not dict:
        return BadRow(origin, NOT_AN_OBJECT, f"expected an object {{...}}, found {_KINDS[type(values)]}")
    if _LONG_INTEGER in data.translate(_DIGITS):
        values = json.loads(data)  # orjson rounds integers beyond 64 bits
    return Row(values, origin)


def invalid_utf8(origin: Origin, error: UnicodeDecodeError) -> BadRow:
    """The bad row for bytes that are no UTF-8."""
    byte = error.object[error.start]
    return BadRow(origin, INVALID_UTF8, f"byte {error.start + 1} (0x{byte:02x}) is not UTF-8")


def _explain(data: bytes, error: orjson.JSONDecodeError, origin: Origin) -> BadRow:
    try:
        text = data.decode()
    except UnicodeDecodeError as problem:
        return invalid_utf8(origin, problem)
    constant = non_json_constant(text)
    if constant:
        return BadRow(origin, MALFORMED, f"{constant} is not JSON; write null")
    # Past the last character, orjson would count the line end as a line more.
    return BadRow(origin, MALFORMED, f"column {min(error.pos, len(text)) + 1}: {error.msg}")


def non_json_constant(text: str) -> str | None:
    """NaN, Infinity or -Infinity, where that is all that keeps the text from being JSON."""
    found: list[str] = []

    def remember(constant: str) -> Any:
        found.append(constant)

    try:
        json.loads(text, parse_constant=remember)
    except (ValueError, RecursionError):
        return None
    return found[0] if found else None
