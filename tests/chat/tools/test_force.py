"""Grammars of calls: what follows them is read as the call that was required."""

from __future__ import annotations

import pytest

from swift.chat.tools.base import tool_formats
from swift.chat.tools.force import call_guide
from swift.config.chat import ChatConfig
from swift.models.tiny import tiny_tokenizer
from swift.types import ToolCall

TOOLS = (
    {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}},
    {"type": "function", "function": {"name": "paint"}},
)
UNENFORCEABLE = {"qwen3_5", "qwen3_coder", "seed_oss", "glm4_5", "glm4_7", "glm5_1", "hy_v3", "hy_v3_preview", "lfm2"}
UNENFORCEABLE |= {"minimax_m2", "gemma4", "minicpm5", "deepseek_v4", "muse_glimmer"}


def test_formats_without_one_json_object_are_not_enforced() -> None:
    assert {name for name in tool_formats if call_guide(tool_formats.get(name), TOOLS) is None} == UNENFORCEABLE


@pytest.mark.parametrize("name", sorted(set(tool_formats.names()) - UNENFORCEABLE))
def test_a_call_follows_the_grammar_and_other_text_does_not(name: str) -> None:
    pytest.importorskip("llguidance")
    from swift.chat.codec import make_codec
    from swift.engines.guide import Guides

    form = tool_formats.get(name)
    guide = call_guide(form, TOOLS)
    assert guide is not None
    codec = make_codec(tiny_tokenizer(), ChatConfig())
    guides = Guides(codec)

    def follows(text: str) -> bool:
        match = guides.start(guide)
        for token in codec.encode(text):
            if not match.allowed(codec.vocab_size, "cpu")[token]:  # type: ignore[arg-type]
                return False
            match.accept(token)
        allowed = match.allowed(codec.vocab_size, "cpu")  # type: ignore[arg-type]
        return bool(allowed[min(codec.eos_ids)])

    assert follows(form.calls([ToolCall("look", {})]))
    assert follows(form.calls([ToolCall("paint", {"colour": "red", "size": 3})]))
    assert not follows(form.calls([ToolCall("steal", {})]))
    assert not follows("I would rather not.")
