"""What the page shows of a chat."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swift.app.show import Box, boxes, fenced, note, turn_at
from swift.app.talk import Attachment, Call, Reply, Turn


def shown(reply: Reply) -> list[tuple[str, str, bool, bool]]:
    return [(box.title, box.text, box.open, box.growing) for box in boxes([Turn("q", replies=(reply, None))], 0)[1:]]


def test_thinking_is_open_while_it_grows_and_folded_afterwards() -> None:
    assert shown(Reply("m", reasoning="hm")) == [("Thinking", "hm", True, True)]
    assert shown(Reply("m", "so", "hm")) == [("Thoughts", "hm", False, False), ("", "so", False, False)]
    assert shown(Reply("m", reasoning="hm", finish="length"))[0] == ("Thoughts", "hm", False, False)


def test_calls_are_laid_out() -> None:
    whole, part = Call("look", '{"a":[1]}', "1"), Call("see", '{"a":', "2")
    titles = [(title, text) for title, text, _, _ in shown(Reply("m", calls=(whole, part), finish="tool_calls"))]
    assert titles[0] == ("Calls look", '```json\n{\n  "a": [\n    1\n  ]\n}\n```')
    assert titles[1] == ("Calls see", '```json\n{"a":\n```')


@pytest.mark.parametrize(
    ("reply", "last"),
    [
        (Reply("m"), "…"),
        (Reply("m", finish="stop"), "*(an empty answer)*"),
        (Reply("m", "half", finish="stopped"), "*(stopped)*"),
        (Reply("m", error="it <b>broke</b>"), "```\nit <b>broke</b>\n```"),
    ],
)
def test_every_end_is_told(reply: Reply, last: str) -> None:
    assert shown(reply)[-1][1] == last


def test_columns_and_places() -> None:
    files = (Attachment("/a.png", "image"),)
    turns = [
        Turn("x", files, (Reply("m", "one", "hm", finish="stop"), None)),
        Turn("y", (), (None, Reply("n", "zwei"))),
    ]
    assert [box.turn for box in boxes(turns, 0)] == [0, 0, 0, 0, 1]
    assert boxes(turns, 0)[0] == Box("user", 0, file="/a.png")
    assert [box.text for box in boxes(turns, 1)] == ["", "x", "y", "zwei"]
    assert [turn_at(turns, 0, index) for index in (0, 3, 4, 5, -1)] == [0, 0, 1, None, None]


def test_the_note() -> None:
    assert note(None) == note(Reply("m")) == note(Reply("m", error="x", first=1.0)) == ""
    reply = Reply("m", "x", finish="length", usage=(3, 11), first=0.5, seconds=2.5)
    assert note(reply) == "m · 3 + 11 tokens · 5.0 tokens/s · first after 0.5 s · cut off at the longest answer"
    assert note(Reply("m", "x", first=0.5, seconds=0.5)) == "m · first after 0.5 s"


@given(st.text(alphabet="`a\n<", max_size=30))
def test_nothing_gets_out_of_a_fence(text: str) -> None:
    lines = fenced(text).split("\n")
    fence = lines[0]
    assert set(fence) == {"`"}
    assert lines[-1] == fence
    assert not any(line.strip().startswith(fence) for line in text.split("\n"))
