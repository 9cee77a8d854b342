"""Files and functions stay small enough to be read."""

from __future__ import annotations

from tests.rules.sources import files, functions, name

FILE_LINES = 400
FUNCTION_LINES = 50


def test_files() -> None:
    long = {name(path): lines for path in files() if (lines := len(path.read_text().splitlines())) > FILE_LINES}
    assert long == {}


def test_functions() -> None:
    long = {
        f"{name(path)}:{node.lineno} {node.name}": lines
        for path in files()
        for node in functions(path)
        if (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES
    }
    assert long == {}
