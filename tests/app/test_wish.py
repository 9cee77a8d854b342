"""From the fields of the page to the options of a request."""

from __future__ import annotations

import pytest

from swift.app.talk import PageError
from swift.app.wish import Wish, options_of, tools_of

USAGE = {"include_usage": True}


def test_empty_fields_are_not_sent() -> None:
    assert options_of(Wish()) == {"stream_options": USAGE}
    assert options_of(Wish(system="not an option", stop="\n\n", tools=" ")) == {"stream_options": USAGE}


def test_all_of_them() -> None:
    wish = Wish("", "8", "0", " 0.5", "40", ".1", "1.1", "0.2", "-0.2", "7", "a\n\nb c", "off", '[{"name": "look"}]')
    assert options_of(wish) == {
        "stream_options": USAGE,
        "max_tokens": 8,
        "temperature": 0.0,
        "top_p": 0.5,
        "top_k": 40,
        "min_p": 0.1,
        "repetition_penalty": 1.1,
        "presence_penalty": 0.2,
        "frequency_penalty": -0.2,
        "seed": 7,
        "stop": ["a", "b c"],
        "chat_template_kwargs": {"enable_thinking": False},
        "tools": [{"type": "function", "function": {"name": "look"}}],
    }
    assert isinstance(options_of(wish)["max_tokens"], int)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("max_tokens", "1.5"),
        ("top_k", "x"),
        ("seed", "1e3"),
        ("temperature", "warm"),
        ("top_p", "nan"),
        ("min_p", "inf"),
    ],
)
def test_what_is_no_number_is_refused(name: str, text: str) -> None:
    with pytest.raises(PageError, match=f"'{text}' is no (whole )?number"):
        options_of(Wish(**{name: text}))


@pytest.mark.parametrize("text", ["nonsense", "[1]", '["a"]', "{}", "[{}]", "[", "null"])
def test_bad_tools_are_refused(text: str) -> None:
    with pytest.raises(PageError, match="tools: "):
        tools_of(text)


def test_tools_may_be_wrapped_or_one() -> None:
    whole = {"type": "function", "function": {"name": "look"}}
    assert tools_of('{"type": "function", "function": {"name": "look"}}') == [whole]
    assert tools_of('[{"name": "look"}, {"type": "function", "function": {"name": "look"}}]') == [whole, whole]
