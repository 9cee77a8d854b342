"""Turns of one and of several lines."""

from __future__ import annotations

import io

import pytest

from swift.inference.prompt import Prompt


def _turns(text):
    prompt = Prompt(io.StringIO(text))
    turns = []
    while (turn := prompt.read()) is not None:
        turns.append(turn)
    return turns


@pytest.mark.parametrize(
    ("text", "turns"),
    [
        ("one\ntwo\n", ["one", "two"]),
        ("no end", ["no end"]),
        ("windows\r\n", ["windows"]),
        ("a\\\nb\\\nc\nd\n", ["a\nb\nc", "d"]),
        ("a\\\n", ["a"]),
        ('"""\nfirst\n\n  second\n"""\nnext\n', ["first\n\n  second", "next"]),
        ('"""one line"""\n', ["one line"]),
        ('"""open\nto the end', ["open\nto the end"]),
        ("", []),
        ("\n\n", ["", ""]),
    ],
)
def test_turns(text, turns):
    assert _turns(text) == turns
