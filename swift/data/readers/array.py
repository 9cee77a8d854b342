"""JSON files: one array of objects, read element by element, or (as many write them) one object a line."""

from __future__ import annotations

import codecs
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from swift.data.readers.base import open_utf8
from swift.data.readers.lines import count_lines, read_jsonl
from swift.data.reasons import INVALID_UTF8, MALFORMED, NOT_AN_OBJECT
from swift.data.rows import BadRow
from swift.errors import DataError
from swift.types import Origin, Row

_CHUNK = 1 << 20
_SPACE = re.compile(r"[ \t\r\n]*")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
# An error this close to the end of what was read may only mean that there is more to read.
_NEAR_END = 32


def read_json(path: Path, name: str, start: int) -> Iterator[Row | BadRow]:
    """Rows of a JSON file.

    Raises:
        DataError: It is neither an array nor one object a line, or an array that is broken in a way that
            hides where the next row begins.
    """
    if _first_byte(path, name) == b"{":
        _require_lines(path, name)
        return read_jsonl(path, name, start)
    return itertools.islice(_elements(path, name), start, None)


def count_json(path: Path, name: str) -> int:
    """How many rows `read_json` yields."""
    if _first_byte(path, name) == b"{":
        _require_lines(path, name)
        return count_lines(path, name)
    return sum(1 for _ in _elements(path, name))


class _Window:
    """The part of a JSON text that is in memory: enough for one element.

    Attributes:
        text: What is in memory. Bytes that are no UTF-8 stand in it as lone surrogates.
        at: Where in `text` reading goes on.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._line = 1  # of the first character of `text`
        self._column = 1
        self._ended = False
        self.text = ""
        self.at = 0

    def more(self) -> bool:
        """Read on, twice as far each time nothing was used up; False at the end of the file."""
        if self._ended:
            return False
        self._line, self._column = self._place(self.at)
        rest = self.text[self.at :]
        data = self._file.read(max(_CHUNK, len(rest)))
        self._ended = not data
        self.text = rest + self._decoder.decode(data, final=self._ended)
        self.at = 0
        return True

    def next_mark(self) -> str:
        """The next character that is not white space, without using it up; empty at the end."""
        while True:
            self.at = _match_end(self.text, self.at)
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def element(self, scan: json.JSONDecoder, row: int) -> tuple[Any, str]:
        """The next value and its text. Raises DataError where it is not JSON."""
        while True:
            try:
                value, end = scan.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated string") or error.pos >= len(self.text) - _NEAR_END
                if not (cut and self.more()):
                    raise self.broken(error.msg, error.pos, row) from error
                continue
            except RecursionError as error:
                raise self.broken("nested too deeply", self.at, row) from error
            if end == len(self.text) and self.more():
                continue  # a number may go on
            text = self.text[self.at : end]
            self.at = end
            return value, text

    def broken(self, message: str, position: int, row: int) -> DataError:
        """The error for a text that is not JSON at `position`."""
        line, column = self._place(position)
        return DataError(
            f"{self._name} is not valid JSON in row {row}, line {line}, column {column}: {message}",
            hint="repair the file, or write one object a line (.jsonl), where a bad line harms no other",
        )

    def _place(self, position: int) -> tuple[int, int]:
        """Line and column in the file, from 1, of a position in `text`."""
        newline = self.text.rfind("\n", 0, position)
        column = self._column + position if newline < 0 else position - newline
        return self._line + self.text.count("\n", 0, position), column


def _elements(path: Path, name: str) -> Iterator[Row | BadRow]:
    constants: list[str] = []
    scan = json.JSONDecoder(parse_constant=constants.append)
    with open_utf8(path, name) as file:
        window = _Window(file, name)
        mark = window.next_mark()
        if not mark:
            return
        if mark != "[":
            raise DataError(f"{name} must be a JSON array of objects; it begins with {mark!r}")
        window.at += 1
        if window.next_mark() != "]":
            for row in itertools.count(1):
                window.next_mark()
                value, text = window.element(scan, row)
                yield _row(value, text, constants, Origin(name, row))
                constants.clear()
                mark = window.next_mark()
                if mark == "]":
                    break
                if mark != ",":
                    raise window.broken("expected , or ] after a row", window.at, row)
                window.at += 1
        window.at += 1
        if window.next_mark():
            raise DataError(f"{name} goes on after its array ends", hint="a JSON file holds one array")


def _row(value: Any, text: str, constants: list[str], origin: Origin) -> Row | BadRow:
    if type(value) is not dict:
        return BadRow(origin, NOT_AN_OBJECT, f"expected an object {{...}}, found {text[:40]}")
    if constants:
        return BadRow(origin, MALFORMED, f"{constants[0]} is not JSON; write null")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            byte = ord(text[error.start]) - 0xDC00
            return BadRow(origin, INVALID_UTF8, f"byte 0x{byte:02x} is not UTF-8")
    if _ESCAPED_SURROGATE.search(text):
        try:
            orjson.loads(text)
        except orjson.JSONDecodeError as error:
            return BadRow(origin, MALFORMED, f"column {error.colno}: {error.msg}")
    return Row(value, origin)


def _match_end(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _first_byte(path: Path, name: str) -> bytes:
    with open_utf8(path, name) as file:
        for line in file:
            if not line.isspace():
                return line.lstrip()[:1]
    return b""


def _require_lines(path: Path, name: str) -> None:
    """One object a line is fine; one object over many lines is not a list of rows."""
    with open_utf8(path, name) as file:
        filled = (line for line in file if not line.isspace())
        first = next(filled)
        second = next(filled, None)
    if second is not None and second.lstrip().startswith(b"{"):
        return
    if second is None and not _holds_list(first):
        return
    raise DataError(
        f"{name} holds one JSON object, not a list of rows",
        hint="save the list inside it as a file of its own: an array of objects, or one object a line",
    )


def _holds_list(line: bytes) -> bool:
    """Whether a lone object looks like a wrapper around rows: its only value is a list of objects."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    if len(value) != 1 or "messages" in value or "conversations" in value:
        return False
    inner = next(iter(value.values()))
    return isinstance(inner, list) and bool(inner) and all(isinstance(item, dict) for item in inner)
