"""Every format: what is written is read again, and nothing that a model writes is an error."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swift.chat.tools.base import Parsed, Result, tool_formats
from swift.models.catalog import all_families
from swift.types import ToolCall
from tests.chat.support import TOOLS

NAMES = tool_formats.names()
ANY_NAME = frozenset(
    {"command_r", "command_r7b", "granite", "hermes", "hunyuan_hermes", "llama3", "llama4", "minimax_m1", "mistral"}
    | {"phi4", "youtu"}
)
"""Formats in which a call is a JSON object, so that any name and any arguments can be written."""

ODD = (
    *("</parameter>", "</arg_value>", "</param>", "<tool_call>", "[TOOL_CALLS]", "Observation: x", "]]>", "<![CDATA[a"),
    *("5", "true", "null", "None", '"quoted"', '{"a": 1}', "<&>", "``` ```"),
    *("a\nb\n", "\n", " x ", "it's \\n", "日本 👩‍👧"),
)
"""Strings with which some format could go wrong."""

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(ODD)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    scalars | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
keys = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(lambda word: word not in ("in", "is", "if", "as"))
plain_names = st.from_regex(r"[a-z]{3}[a-z0-9_]{0,8}", fullmatch=True).map("f_".__add__)
arguments = st.dictionaries(keys.map("k_".__add__), values, max_size=4)
words = st.sampled_from(["", "Let me look.", 'As {"a": 1} says:\n\n- "x"', "思考\n{", "1 < 2 and [3]"])


def said(calls: Any) -> list[tuple[str, Any]]:
    return [(call.name, call.arguments) for call in calls]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(
    calls=st.lists(st.builds(ToolCall, plain_names, arguments), min_size=1, max_size=3),
    content=words,
)
def test_calls_are_read_as_they_were_written(name: str, calls: list[ToolCall], content: str) -> None:
    form = tool_formats.get(name)
    try:
        text = form.write(content, calls)
    except ValueError:
        # Only marks of the format itself, inside a string that cannot escape them, may stand in the way.
        whole = form.calls(calls)
        assert name in ("gemma4", "qwen_en", "qwen_zh") or any(mark in whole.replace("\\", "") for mark in form.opens)
        assert name == "gemma4" or form.read(whole).calls == () or content
        return
    found = form.read(text)
    assert found.content.strip() == content.strip()
    assert said(found.calls) == said(calls)


@pytest.mark.parametrize("name", sorted(ANY_NAME))
@settings(max_examples=30, deadline=None)
@given(calls=st.lists(st.builds(ToolCall, texts.filter(bool), st.dictionaries(texts, values, max_size=3)), min_size=1))
def test_formats_that_are_json_write_any_name_and_any_argument(name: str, calls: list[ToolCall]) -> None:
    form = tool_formats.get(name)
    assert said(form.read(form.write("", calls)).calls) == said(calls)


@pytest.mark.parametrize("name", NAMES)
def test_several_calls_with_nested_arguments_behind_words(name: str) -> None:
    form = tool_formats.get(name)
    deep = {"list": [1, 2.5, None, True, {"x": "y\n\"z\" 'w' \\ é 😀"}], "empty": {}, "none": []}
    calls = [
        ToolCall("get_weather", {"city": "São Paulo", "number": 5, "text": "5", "flag": True, "deep": deep}),
        ToolCall("stop", {}),
        ToolCall("get_weather", {"city": "</parameter>\n</arg_value></param>"}),
    ]
    text = form.write("First I look.", calls)
    assert form.read(text).content.strip() == "First I look."
    assert said(form.read(text).calls) == said(calls)


@pytest.mark.parametrize("name", NAMES)
def test_a_text_that_grows_shows_calls_only_when_they_are_whole(name: str) -> None:
    form = tool_formats.get(name)
    calls = [ToolCall("get_weather", {"city": "Rome", "days": 3})]
    text = form.write("I look.", calls)
    first = min(place for mark in form.opens if (place := text.find(mark)) >= 0)
    assert form.read(text[:first]) == Parsed(text[:first])
    for end in range(len(text)):
        found = form.read(text[:end])
        assert found == Parsed(text[:end]) or said(found.calls) == said(calls)
    assert said(form.read(text).calls) == said(calls)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_damaged_calls_are_words_and_never_an_error(name: str, data: st.DataObject) -> None:
    form = tool_formats.get(name)
    text = form.write("So:", [ToolCall("get_weather", {"city": "Rome", "at": {"lat": 1}})])
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    damaged = text[:start] + data.draw(texts) + text[end:]
    found = form.read(damaged)
    assert found.calls or found == Parsed(damaged)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "inside", ["[" * 100_000, '{"a":' * 50_000, "NaN", '"\\ud800"', "9" * 5000, "{'a': 1}", "", "-" * 50_000 + "1"]
)
def test_hostile_arguments_are_no_error(name: str, inside: str) -> None:
    form = tool_formats.get(name)
    text = form.write("", [ToolCall("get_weather", {"city": "Rome"})])
    for hostile in (
        text.replace("Rome", inside),
        text.replace('"Rome"', inside),
        text.replace('{"city": "Rome"}', inside),
    ):
        found = form.read(hostile)
        assert found.calls or found.content == hostile


@pytest.mark.parametrize("name", NAMES)
def test_tools_and_results_are_shown(name: str) -> None:
    form = tool_formats.get(name)
    offered = form.offer(TOOLS)
    assert all(word in offered for word in ("get_weather", "Weather of a city.", "city"))
    told = form.results([Result("get_weather", "21 degrees"), Result("stop", "done")])
    assert "21 degrees" in told
    assert "done" in told


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hermes", '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'),
        ("llama3", '{"name": "f", "parameters": {"a": 1}}'),
        ("llama3", '<|python_tag|>{"name": "f", "parameters": {"a": 1}}'),
        ("glm4", 'f\n{"a": 1}'),
        ("glm4_5", "<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n</tool_call>"),
        ("glm4_7", "<tool_call>f<arg_key>a</arg_key><arg_value>1</arg_value></tool_call>"),
        ("qwen3_coder", "<tool_call>\n<function=f>\n<parameter=a>\n1\n</parameter>\n</function>\n</tool_call>"),
        ("seed_oss", "<seed:tool_call>\n<function=f>\n<parameter=a>1</parameter>\n</function>\n</seed:tool_call>"),
        (
            "deepseek_v3",
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n"
            '{"a": 1}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
        ),
        (
            "deepseek_v3_1",
            '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{"a": 1}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
        ),
        ("mistral", '[TOOL_CALLS][{"name": "f", "arguments": {"a": 1}}]'),
        ("mistral", '[TOOL_CALLS]f[ARGS]{"a": 1}'),
        ("mistral_args", '[TOOL_CALLS]f[ARGS]{"a": 1}'),
        ("react_en", 'Action: f\nAction Input: {"a": 1}'),
        ("react_en", 'Action: f\nAction Input: {"a": 1}\nObservation: made up'),
        (
            "kimi_k2",
            "<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>"
            '{"a": 1}<|tool_call_end|><|tool_calls_section_end|>',
        ),
        ("minimax_m1", '<tool_calls>\n{"name": "f", "arguments": {"a": 1}}\n</tool_calls>'),
        (
            "minimax_m2",
            '<minimax:tool_call>\n<invoke name="f">\n<parameter name="a">1</parameter>\n</invoke>\n'
            "</minimax:tool_call>",
        ),
        ("granite", '<|tool_call|>[{"name": "f", "arguments": {"a": 1}}]'),
        ("phi4", '<|tool_call|>[{"name": "f", "arguments": {"a": 1}}]<|/tool_call|>'),
        ("command_r", 'Action: ```json\n[\n    {"tool_name": "f", "parameters": {"a": 1}}\n]\n```'),
        ("harmony", ' to=functions.f<|channel|>commentary json<|message|>{"a": 1}<|call|>'),
        ("harmony", '<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a": 1}'),
        ("lfm2", "<|tool_call_start|>[f(a=1)]<|tool_call_end|>"),
        ("gemma4", "<|tool_call>call:f{a:1}<tool_call|>"),
        ("minicpm5", '<function name="f"><param name="a">1</param></function>'),
        ("qwen_en", '✿FUNCTION✿: f\n✿ARGS✿: {"a": 1}\n✿RESULT✿'),
        (
            "deepseek_v4",
            '<｜DSML｜function_calls>\n<｜DSML｜invoke name="f">\n<｜DSML｜parameter name="a" string="false">1'
            "</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
        ),
        (
            "hy_v3",
            "<tool_calls>\n<tool_call>f<tool_sep>\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n</tool_call>\n</tool_calls>",
        ),
    ],
)
def test_calls_as_the_models_write_them(name: str, text: str) -> None:
    assert said(tool_formats.get(name).read(text).calls) == [("f", {"a": 1})]


@pytest.mark.parametrize("name", ["qwen3_coder", "glm4_5", "minimax_m2", "seed_oss", "minicpm5"])
def test_the_schema_tells_a_string_from_a_number(name: str) -> None:
    form = tool_formats.get(name)
    rules = {"zip": {"type": "string"}, "flag": {"type": "boolean"}, "count": {"type": "integer"}}
    tools = ({"type": "function", "function": {"name": "find", "parameters": {"properties": rules}}},)
    text = form.calls([ToolCall("find", {"zip": 10115, "flag": "yes", "count": 3})]).replace("yes", "True")
    assert form.read(text, tools).calls[0].arguments == {"zip": "10115", "flag": True, "count": 3}


def test_a_call_that_cannot_be_written_is_refused() -> None:
    coder = tool_formats.get("qwen3_coder")
    with pytest.raises(ValueError, match="cannot be told"):
        coder.write("", [ToolCall("a>b", {})])
    with pytest.raises(ValueError, match="have no names"):
        coder.write("", [ToolCall("f", [1, 2])])
    with pytest.raises(ValueError, match="cannot be told"):
        tool_formats.get("hermes").write("I write <tool_call> in words", [ToolCall("f", {})])


def test_families_name_formats_that_exist() -> None:
    named = {value for family in all_families() for value in family.tools.values}
    # Layouts that are not public in a form to go by.
    assert named - set(NAMES) == {"kimi_k3", "minimax_m3"}
