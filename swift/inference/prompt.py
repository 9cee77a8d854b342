"""Reading the user's turns: from the terminal with line editing, or from a pipe."""

from __future__ import annotations

import importlib.util
import sys
from typing import TextIO

_BLOCK = '"""'


class Prompt:
    """Reads turns of one or more lines.

    A line that ends in a backslash goes on in the next. A line that begins with three double quotes begins a
    block, which ends at the next three.

    Args:
        source: Where lines come from.
    """

    def __init__(self, source: TextIO) -> None:
        self._source = source
        self.interactive = source.isatty()
        if self.interactive and importlib.util.find_spec("readline") is not None:
            import readline  # noqa: F401  # gives input() line editing and history

    def read(self) -> str | None:
        """The next turn, or None at the end of the input.

        Raises:
            KeyboardInterrupt: The user pressed Ctrl-C while typing.
        """
        line = self._line(">>> ")
        if line is None:
            return None
        if line.lstrip().startswith(_BLOCK):
            return self._block(line.lstrip()[len(_BLOCK) :])
        lines = []
        while line is not None and line.endswith("\\"):
            lines.append(line[:-1])
            line = self._line("... ")
        return "\n".join([*lines, line] if line is not None else lines)

    def _block(self, line: str | None) -> str:
        """Lines up to the closing quotes; `line` is the rest of the opening line."""
        lines: list[str] = []
        while line is not None and _BLOCK not in line:
            lines.append(line)
            line = self._line("... ")
        if line is not None:
            lines.append(line[: line.index(_BLOCK)])
        return "\n".join(lines).strip("\n")

    def _line(self, mark: str) -> str | None:
        if self.interactive and self._source is sys.stdin:
            try:
                return input(mark)
            except EOFError:
                sys.stdout.write("\n")
                return None
        line = self._source.readline()
        return line.rstrip("\r\n") if line else None
