"""Lines of streams, of all kinds of servers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swift.errors import ServerError
from swift.serving.events import CallPart, Event, event_of


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ("", None),
        (": ping", None),
        ("event: x", None),
        ("data: [DONE]", None),
        ('data: {"choices": []}', None),
        ('data:{"choices":[{"delta":{"content":"a"}}]}', Event("a")),
        ('data: {"choices":[{"index":1,"delta":{"content":"a"}}]}', None),
        ('data: {"choices":[{"index":0,"delta":{"reasoning_content":"h","content":null}}]}', Event(reasoning="h")),
        ('data: {"choices":[{"index":0,"delta":{"reasoning":"h"}}]}', Event(reasoning="h")),
        ('data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}', Event(finish="stop")),
        ('data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}', Event(usage=(1, 2))),
        (
            'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"id":"x","function":{"name":"f"}}]}}]}',
            Event(calls=(CallPart(0, "x", "f", ""),)),
        ),
    ],
)
def test_lines(line: str, event: Event | None) -> None:
    assert event_of(line) == event


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('data: {"error": {"message": "out of\\nluck"}}', "out of luck"),
        ('data: {"error": "flat"}', "flat"),
        ("data: <html>", "not that of a chat completion"),
        ("data: [1]", "not that of a chat completion"),
        ("data: 3", "not that of a chat completion"),
        ('data: {"choices": [3]}', "not that of a chat completion"),
        ('data: {"choices": [], "usage": {"total": 1}}', "not that of a chat completion"),
    ],
)
def test_errors(line: str, words: str) -> None:
    with pytest.raises(ServerError, match=words):
        event_of(line)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "delta", "index", "content", "tool_calls", "function", "usage", "error"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_nothing_but_events_and_errors(value: object) -> None:
    import orjson

    try:
        found = event_of(f"data: {orjson.dumps(value).decode()}")
    except ServerError:
        return
    assert found is None or isinstance(found, Event)
