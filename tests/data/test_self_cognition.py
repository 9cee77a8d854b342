"""Rows about the model itself."""

from __future__ import annotations

import re

import pytest

from swift.config.data import DataConfig
from swift.data.columns import to_sample
from swift.data.source import open_sources
from swift.data.syntax import parse
from swift.errors import ConfigError, RowError
from swift.types import Conversation, Origin, Row, Text

ONE = DataConfig(model_name=("Swallow",), model_author=("the team",))
PAIR = DataConfig(model_name=("小燕", "Swallow"), model_author=("团队", "the team"))

# Asked by the demo before and after training; answered by what was learnt, not by heart.
HELD_OUT = (
    "Which company developed you?",
    "Hi, what should I call you?",
    "Tell me your name and who made you.",
    "你是哪家公司开发的？",
)


def rows(config: DataConfig) -> list[Row]:
    [source] = open_sources(parse("self-cognition"), config)
    found = list(source.rows())
    assert all(isinstance(row, Row) for row in found)
    return [row for row in found if isinstance(row, Row)]


def test_builtin_rows_are_whole_and_varied() -> None:
    found = rows(ONE)
    questions = [row.values["query"] for row in found]
    assert len(found) >= 100
    assert len(set(questions)) == len(questions)
    for language in ("en", "zh"):
        assert sum(row.values["language"] == language for row in found) >= 40
    for row in found:
        assert "{{name}}" in row.values["response"] or "{{author}}" in row.values["response"]
        assert bool(re.search(r"[\u4e00-\u9fff]", row.values["query"])) == (row.values["language"] == "zh")


def test_held_out_questions_are_not_in_it() -> None:
    def bare(text: str) -> str:
        return re.sub(r"\W", "", text.lower())

    assert not {bare(question) for question in HELD_OUT} & {bare(row.values["query"]) for row in rows(ONE)}


def test_every_builtin_row_is_filled() -> None:
    for row in rows(PAIR):
        sample = to_sample(row, PAIR, "sft")
        assert isinstance(sample, Conversation)
        answer = sample.messages[-1].content
        assert "{{" not in answer
        chinese = row.values["language"] == "zh"
        assert any(word in answer for word in (("小燕", "团队") if chinese else ("Swallow", "the team")))
        assert not any(word in answer for word in (("Swallow", "the team") if chinese else ("小燕", "团队")))


@pytest.mark.parametrize(
    ("answer", "extra", "config", "expected"),
    [
        ("I am {{name}} by {{author}}", {}, ONE, "I am Swallow by the team"),
        ("I am {{NAME}} by {{AUTHOR}}", {}, PAIR, "I am Swallow by the team"),
        ("我是{{NAME}}", {}, PAIR, "我是小燕"),
        ("我是{{name}}", {}, ONE, "我是Swallow"),
        ("{{name}}", {"tag": "zh"}, PAIR, "小燕"),
        ("{{name}}", {"language": "en-US"}, PAIR, "Swallow"),
        ("use {{ name }} and {{title}}", {}, DataConfig(), "use {{ name }} and {{title}}"),
        ("{{name}}", {}, DataConfig(model_name=("{{name}}",)), "{{name}}"),
        ("{{name}}", {}, DataConfig(model_name=(r"\1 \g<0>",)), r"\1 \g<0>"),
    ],
)
def test_filling(answer: str, extra: dict[str, str], config: DataConfig, expected: str) -> None:
    row = Row({"query": "q", "response": answer, **extra}, Origin("a", 1))
    sample = to_sample(row, config, "sft")
    assert isinstance(sample, Conversation)
    assert sample.messages[-1].content == expected


def test_plain_text_is_filled_too() -> None:
    row = Row({"text": "{{name}} sings"}, Origin("a", 1))
    assert to_sample(row, ONE, "pt") == Text("Swallow sings", Origin("a", 1))


def test_missing_and_too_many_names() -> None:
    from swift.data.self_cognition import check_names

    row = Row({"query": "q", "response": "by {{author}}"}, Origin("a", 1))
    with pytest.raises(RowError, match=r"\{\{author\}\} needs --model_author"):
        to_sample(row, DataConfig(model_name=("N",)), "sft")
    with pytest.raises(ConfigError, match="--model_author has 3 values"):
        check_names(DataConfig(model_author=("a", "b", "c")))
