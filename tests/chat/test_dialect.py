from __future__ import annotations

from swift.chat.template import Dialect
from tests.chat.support import CHATML, codec_for

THINKS = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{% if m.reasoning_content %}{{ '<think>\n' + m.reasoning_content + '\n</think>\n' }}{% endif %}"
    "{{ m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
DROPS_THINKING = CHATML.replace("assistant\n'", "assistant\n<think>\n'")
PARTS = CHATML.replace("message.content", "message.content[0].text")
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + CHATML
CALLS = (
    "{{ tools | tojson if tools else '' }}{% for m in messages %}{{ '<|im_start|>' + m.role + m.content }}"
    "{% for c in m.tool_calls or [] %}{{ c.function.name + c.function.ARGS }}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant{% endif %}"
)


def of(template: str) -> Dialect:
    return codec_for(template).template.dialect


def test_chatml_is_plain() -> None:
    assert of(CHATML) == Dialect()


def test_content_as_parts() -> None:
    assert of(PARTS).content == "parts"


def test_no_system_role() -> None:
    assert not of(NO_SYSTEM).system


def test_thinking_in_a_field() -> None:
    dialect = of(THINKS)
    assert (dialect.reasoning, dialect.opened) == ("field", False)
    assert (dialect.think_open, dialect.think_close) == ("<think>\n", "\n</think>\n")


def test_thinking_opened_by_the_prompt_and_dropped_from_turns() -> None:
    dialect = of(DROPS_THINKING)
    assert (dialect.reasoning, dialect.opened) == ("opened", True)
    assert dialect.think_close == "\n</think>\n\n"


def test_arguments_as_object_or_as_json() -> None:
    as_object = of(CALLS.replace("ARGS", "arguments.word"))
    as_json = of(CALLS.replace("ARGS", "arguments"))
    assert (as_object.calls, as_object.tools, as_object.arguments) == (True, True, "object")
    assert (as_json.calls, as_json.arguments) == (True, "json")
    assert not of(CHATML).calls
