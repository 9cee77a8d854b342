"""Rows of every known shape, and what is said about rows of none."""

from __future__ import annotations

from typing import Any

import pytest

from swift.config.data import DataConfig
from swift.data.columns import Task, data_shapes, to_sample
from swift.errors import RowError
from swift.types import Conversation, Message, Origin, Row, Text, ToolCall

CONFIG = DataConfig()
ORIGIN = Origin("a.jsonl", 7)


def sample(values: dict[str, Any], task: Task = "sft", **options: Any) -> Conversation | Text:
    return to_sample(Row(values, ORIGIN), CONFIG.model_copy(update=options), task)


def chat(values: dict[str, Any], task: Task = "sft", **options: Any) -> Conversation:
    found = sample(values, task, **options)
    assert isinstance(found, Conversation)
    return found


def turns(values: dict[str, Any], task: Task = "sft", **options: Any) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in chat(values, task, **options).messages]


ROUND = [("user", "q"), ("assistant", "a")]
CALL = {"name": "f", "arguments": {"x": 1}}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}, ROUND),
        ({"messages": '[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]'}, ROUND),
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}, ROUND),
        ({"conversation": [{"human": "q", "assistant": "a"}]}, ROUND),
        ({"conversation": [{"human": "q", "assistant": "a"}] * 2, "system": "s"}, [("system", "s"), *ROUND, *ROUND]),
        ({"conversations": [{"from": "Human", "value": "q"}, {"from": "Bot", "value": "a"}]}, ROUND),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "q"}]},
                    {"role": "assistant", "content": ["a"]},
                ]
            },
            ROUND,
        ),
        ({"instruction": "q", "input": "", "output": "a"}, ROUND),
        ({"instruction": "q", "input": "i", "output": "a"}, [("user", "q\ni"), ("assistant", "a")]),
        ({"instruction": "", "input": "q", "output": "a"}, ROUND),
        ({"instruction": "q", "input": "", "output": "a", "text": "all of it"}, ROUND),
        (
            {"instruction": "q", "output": "a", "system": "s", "history": [["x", "y"]]},
            [("system", "s"), ("user", "x"), ("assistant", "y"), *ROUND],
        ),
        ({"query": "q", "response": "a", "history": '[["x", "y"]]'}, [("user", "x"), ("assistant", "y"), *ROUND]),
        ({"query": "q", "response": "a", "history": None, "system": ""}, ROUND),
        ({"system_prompt": "s", "question": "q", "response": "a"}, [("system", "s"), *ROUND]),
        ({"question": "q", "answer": "a", "id": 3}, ROUND),
        ({"problem": "q", "solution": "a"}, ROUND),
        ({"input": "q", "output": "a"}, ROUND),
        ({"prompt": "q", "completion": "a"}, ROUND),
        ({"prompt": [{"role": "user", "content": "q"}], "completion": [{"role": "assistant", "content": "a"}]}, ROUND),
        ({"query": "q", "response": "a", "answer": "short"}, ROUND),
        (
            {
                "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}],
                "prompt": "q",
                "chosen": [],
                "problem": "x",
                "solution": "y",
            },
            ROUND,
        ),
        (
            {
                "messages": [
                    {"role": "developer", "content": "d"},
                    {"role": "user", "content": "q"},
                    {"role": "assistant", "content": " a \n"},
                ]
            },
            [("developer", "d"), ("user", "q"), ("assistant", " a \n")],
        ),
    ],
)
def test_shapes(values: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert turns(values) == expected
    assert chat(values).origin == ORIGIN


def test_text_is_text_for_pt_and_last_choice_for_sft() -> None:
    assert sample({"text": "t", "weight": 2}) == Text("t", ORIGIN, 2.0)
    row = {"instruction": "q", "output": "a", "text": "whole"}
    assert sample(row, "pt") == Text("whole", ORIGIN)
    assert turns(row) == ROUND
    lone = {"messages": [{"role": "assistant", "content": "t"}]}
    assert sample(lone, "pt") == Text("t", ORIGIN)


def test_prompt_rows_need_no_answer() -> None:
    assert turns({"query": "q"}, "prompt") == [("user", "q")]
    assert turns({"messages": [{"role": "user", "content": "q"}]}, "prompt") == [("user", "q")]


def test_columns_are_mapped_and_settle_what_is_open() -> None:
    assert turns({"q": "q", "r": "a"}, columns={"q": "query", "r": "response"}) == ROUND
    row = {"problem": "q", "solution": "a", "answer": "b"}
    assert turns(row, columns={"solution": "response"}) == ROUND
    assert turns({"query": "wrong", "q": "q", "response": "a"}, columns={"q": "query"}) == ROUND
    assert sample({"body": "t"}, "pt", columns={"body": "text"}) == Text("t", ORIGIN)


def test_openai_tools() -> None:
    found = chat(
        {
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
            "messages": [
                {"role": "user", "content": "q"},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
                        {"id": "2", "type": "function", "function": {"name": "g"}},
                    ],
                },
                {"role": "tool", "tool_call_id": "1", "name": "f", "content": {"y": "é"}},
                {"role": "assistant", "content": "a"},
            ],
        }
    )
    assert found.tools == ({"type": "function", "function": {"name": "f", "parameters": {}}},)
    assert found.messages[1].tool_calls == (ToolCall("f", {"x": 1}, "1"), ToolCall("g", {}, "2"))
    assert found.messages[2] == Message("tool", '{"y": "é"}', name="f", tool_call_id="1")


def test_sharegpt_tools() -> None:
    found = chat(
        {
            "tools": '[{"name": "f", "parameters": {"p": {"type": "string"}}}]',
            "conversations": [
                {"from": "human", "value": "q"},
                {"from": "gpt", "value": "wait"},
                {"from": "function_call", "value": '{"name": "f", "arguments": "{\\"x\\": 1}"}'},
                {"from": "function_call", "value": '{"name": "g", "arguments": {}}'},
                {"from": "observation", "value": "[1, 2]"},
                {"from": "gpt", "value": "a"},
            ],
        }
    )
    assert found.tools == ({"type": "function", "function": {"name": "f", "parameters": {"p": {"type": "string"}}}},)
    assert found.messages[1] == Message("assistant", "wait", tool_calls=(ToolCall("f", {"x": 1}), ToolCall("g", {})))
    assert found.messages[2] == Message("tool", "[1, 2]")


@pytest.mark.parametrize(
    ("message", "reasoning", "content"),
    [
        ({"content": "<think>\nwhy\n</think>\n\na"}, "why", "a"),
        ({"content": " <think>a\nb</think>c"}, "a\nb", "c"),
        ({"content": "<think>\n\n</think>\n\na"}, None, "a"),
        ({"content": "a <think>b</think>"}, None, "a <think>b</think>"),
        ({"content": "a", "reasoning_content": "why"}, "why", "a"),
        ({"content": "a", "thinking": "why"}, "why", "a"),
        ({"content": "<think>why</think>a", "reasoning_content": "why"}, "why", "a"),
        ({"content": [{"type": "thinking", "thinking": "why"}, {"type": "text", "text": "a"}]}, "why", "a"),
    ],
)
def test_thinking(message: dict[str, Any], reasoning: str | None, content: str) -> None:
    [found] = chat({"messages": [{"role": "assistant", **message}]}).messages
    assert (found.reasoning, found.content) == (reasoning, content)


@pytest.mark.parametrize(
    ("marks", "weight"),
    [
        ({}, None),
        ({"loss": True}, 1.0),
        ({"loss": False}, 0.0),
        ({"loss": 0}, 0.0),
        ({"loss_weight": 0.5}, 0.5),
        ({"loss_scale": 2}, 2.0),
        ({"weight": 0}, 0.0),
        ({"loss": True, "loss_scale": 3}, 3.0),
        ({"loss": None}, None),
        ({"loss_weight": 0.5, "loss_scale": 0.5}, 0.5),
    ],
)
def test_loss_weight_of_a_message(marks: dict[str, Any], weight: float | None) -> None:
    [found] = chat({"messages": [{"role": "assistant", "content": "a", **marks}]}).messages
    assert found.loss_weight == weight


def test_row_options() -> None:
    row = {"query": "q", "response": "a", "weight": "0.5", "chat_template_kwargs": '{"k": 1}', "enable_thinking": False}
    found = chat(row)
    assert found.weight == 0.5
    assert found.template_kwargs == {"k": 1, "enable_thinking": False}


def message(**values: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", **values}]}


def called(value: Any) -> dict[str, Any]:
    return message(content="", tool_calls=value)


@pytest.mark.parametrize(
    ("values", "reason", "detail"),
    [
        ({"a": 1, "b": 2}, "unknown_shape", "columns a, b; known are messages; "),
        ({}, "unknown_shape", "columns none; "),
        ({"messages": []}, "no_messages", "the list of messages is empty"),
        ({"messages": {"role": "user"}}, "wrong_type", "messages is an object, not a list"),
        ({"messages": "hello"}, "wrong_type", "messages is a text that is not JSON"),
        ({"messages": ["hello"]}, "wrong_type", "message 1 is a text, not an object"),
        ({"messages": [{"content": "a"}]}, "bad_role", "message 1 has no role"),
        ({"messages": [{"role": 3, "content": "a"}]}, "bad_role", "message 1: role is a number"),
        (message(role="narrator"), "bad_role", "message 2 has the role 'narrator'; known are "),
        (message(content=3), "wrong_type", "message 2 is a number, not a text"),
        (message(content={"a": 1}), "wrong_type", "message 2 is an object, not a text"),
        (message(content=[3]), "wrong_type", "message 2 is a list that holds a number"),
        (message(content=[{"type": "text"}]), "wrong_type", "message 2 has a text part without text"),
        (message(content=[{"type": "image_url"}]), "media_count", "1 place(s) for images"),
        (message(content=""), "empty_answer", "turn 2, of the assistant, is empty"),
        (message(content=" \n"), "empty_answer", "turn 2, of the assistant, is empty"),
        (message(content=None), "empty_answer", "turn 2, of the assistant, is empty"),
        (message(content="<think>why</think>"), "empty_answer", "turn 2, of the assistant, is empty"),
        (message(role="user"), "no_assistant", "no turn of the assistant"),
        (message(loss="yes"), "bad_weight", "message 2: loss is 'yes', not true or false"),
        (message(loss_weight=-1), "bad_weight", "message 2: loss_weight is -1; it must be finite and not negative"),
        (message(loss_weight=float("inf")), "bad_weight", "message 2: loss_weight is inf; it must be finite"),
        (message(loss_scale=True), "bad_weight", "message 2: loss_scale is true or false, not a number"),
        (message(loss=False, loss_weight=2), "bad_weight", "message 2: loss is False and its weight is 2.0"),
        (message(loss_weight=1, weight=2), "bad_weight", "message 2 has several weights: 1.0, 2.0"),
        (message(content="<think>x</think>a", thinking="y"), "two_thoughts", "message 2 has thinking of its own"),
        (called([{"function": {"arguments": "{}"}}]), "bad_tool", "message 2 names no function"),
        (called([{"name": "f", "arguments": "{"}]), "bad_tool", "the arguments of message 2: not JSON: "),
        (called("no"), "bad_tool", "message 2: not JSON: "),
        (called([3]), "bad_tool", "message 2 is a number, not an object with name and arguments"),
        ({**message(), "tools": "{"}, "bad_tool", "tools: not JSON: "),
        ({**message(), "tools": [{"type": "function"}]}, "bad_tool", "tool 1 has no name"),
        ({**message(), "tools": 3}, "bad_tool", "tools is a number, not a list"),
        ({**message(), "conversations": [{"from": "gpt", "value": "a"}]}, "ambiguous_columns", "messages and conv"),
        ({**message(content="<image><image>"), "images": ["a.png"]}, "media_count", "2 place(s) for images"),
        ({**message(), "weight": "heavy"}, "bad_weight", "weight is 'heavy', not a number"),
        ({**message(), "weight": 1, "loss_weight": 2}, "bad_weight", "weight is 1.0 and loss_weight is 2.0"),
        ({**message(), "enable_thinking": "yes"}, "wrong_type", "enable_thinking is a text, not true or false"),
        ({**message(), "chat_template_kwargs": "[]"}, "wrong_type", "chat_template_kwargs is a list, not an object"),
        (
            {"messages": [{"role": "system", "content": "s"}, {"role": "assistant", "content": "a"}], "system": "t"},
            "two_systems",
            "the column system and the first message differ",
        ),
        ({"query": "q", "response": ""}, "empty_answer", "turn 2, of the assistant, is empty"),
        ({"query": "q", "response": 3}, "wrong_type", "response is a number, not a text"),
        ({"instruction": "", "input": "", "output": "a"}, "empty_question", "instruction is empty"),
        ({"output": "a"}, "missing_column", "output looks like an answer, and there is no question column"),
        ({"query": "q"}, "no_assistant", "no turn of the assistant"),
        ({"question": "q", "answer": "a", "solution": "b"}, "ambiguous_columns", "answer and solution may each be the"),
        ({"prompt": "q", "question": "r", "answer": "a"}, "ambiguous_columns", "prompt and question may each be the"),
        ({"question": "q", "input": "i", "answer": "a"}, "ambiguous_columns", "question and input may each be"),
        ({"prompt": "q", "text": "t"}, "ambiguous_columns", "text beside prompt may be an answer or plain text"),
        ({"query": "q", "response": "a", "history": "no"}, "wrong_type", "history is a text that is not JSON"),
        ({"query": "q", "response": "a", "history": [["x"]]}, "wrong_type", "round 1 of history is not a pair"),
        ({"text": ""}, "empty_text", "text is empty"),
        ({"text": 3}, "wrong_type", "text is a number, not a text"),
        (
            {"conversations": [{"from": "human", "value": "q"}], "chosen": {"from": "gpt", "value": "a"}},
            "wrong_task",
            "a preference row",
        ),
        (message(content="I am {{name}}"), "unfilled_placeholder", "{{name}} needs --model_name"),
        (message(content="by {{AUTHOR}}"), "unfilled_placeholder", "{{AUTHOR}} needs --model_author"),
    ],
)
def test_bad_rows(values: dict[str, Any], reason: str, detail: str) -> None:
    with pytest.raises(RowError) as caught:
        sample(values)
    assert caught.value.reason == reason
    assert caught.value.detail.startswith(detail)
    assert "\n" not in caught.value.detail


def test_pt_refuses_conversations() -> None:
    with pytest.raises(RowError, match="wrong_task"):
        sample(message(), "pt")


def test_untrained_empty_answer_is_fine() -> None:
    row = {"messages": [{"role": "assistant", "content": "", "loss": False}, {"role": "assistant", "content": "a"}]}
    assert len(chat(row).messages) == 2


def test_a_plugins_shape_comes_first() -> None:
    def reverse(row: Row) -> Text | None:
        return Text(str(row.values["text"])[::-1], row.origin) if "reverse" in row.values else None

    data_shapes.register("test_reverse")(reverse)
    try:
        assert sample({"text": "abc", "reverse": True}) == Text("cba", ORIGIN)
        assert sample({"text": "abc"}) == Text("abc", ORIGIN)
    finally:
        del data_shapes._entries["test_reverse"]
