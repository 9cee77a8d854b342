from __future__ import annotations

from enum import StrEnum

import pytest

from swift.chat.environment import compile_template, plain, template_variables
from swift.chat.template import ChatTemplate
from swift.errors import TemplateError
from tests.chat.support import CHATML, CONVERSATIONS


class Colour(StrEnum):
    RED = "red"


def render(source: str, **values: object) -> str:
    return compile_template(source).render(**values)


def test_generation_blocks_render_their_content_and_keep_their_variables_inside() -> None:
    source = "{% set x = 1 %}{% generation %}{% set x = 2 %}{{ x }}{% endgeneration %}{{ x }}"
    assert render(source) == "21"


def test_loop_controls_and_helpers() -> None:
    assert render("{% for n in range(5) %}{% if n == 2 %}{% break %}{% endif %}{{ n }}{% endfor %}") == "01"
    assert render("{{ {'a': '<é>'} | tojson }}") == '{"a": "<é>"}'
    assert render("{% set ns = namespace(a=1) %}{% set ns.a = 2 %}{{ ns.a }}{{ dict(b=3).b }}") == "23"
    assert len(render("{{ strftime_now('%Y') }}")) == 4


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages.append(1) }}",
        "{{ ''.__class__.__mro__ }}",
        "{% set ns = namespace(_x=1) %}",
        "{{ raise_exception('no') }}",
        "{{ messages[0].content + 1 }}",
    ],
)
def test_what_a_template_may_not_do_is_a_refusal(source: str) -> None:
    with pytest.raises(TemplateError, match="refuses"):
        ChatTemplate(source + "x").render(CONVERSATIONS["single"].messages)


def test_variables_that_a_template_reads() -> None:
    assert "enable_thinking" in template_variables("{% if enable_thinking %}x{% endif %}")
    assert ChatTemplate("x", tools_source="{{ mode }}").reads("mode")
    assert not ChatTemplate(CHATML).reads("enable_thinking")


def test_templates_see_plain_values_only() -> None:
    value = plain({"a": (1, Colour.RED), "b": None})
    assert value == {"a": [1, "red"], "b": None}
    assert type(value["a"][1]) is str
    with pytest.raises(TemplateError, match="object"):
        plain(object())


def test_special_tokens_and_extra_variables_reach_the_template() -> None:
    template = ChatTemplate("{{ bos_token }}{{ mode }}{{ messages[0].content }}", (("bos_token", "<s>"),))
    assert template.render(CONVERSATIONS["single"].messages[:1], template_kwargs={"mode": "m"}).startswith("<s>mWhat")
