from __future__ import annotations

import pytest

from swift.chat.parse import parse_answer
from swift.types import Message
from tests.chat.support import CHATML, codec_for
from tests.chat.test_dialect import DROPS_THINKING, THINKS

CHANNELS = (
    "{% for m in messages %}{{ '<|start|>' + m.role }}"
    "{% if m.thinking %}{{ '<|chan|>analysis<|message|>' + m.thinking + '<|end|><|start|>assistant' }}{% endif %}"
    "{{ ('<|chan|>final' if m.role == 'assistant' else '') + '<|message|>' + m.content + '<|return|>' }}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)


@pytest.mark.parametrize(
    ("template", "text", "content", "reasoning"),
    [
        (CHATML, "<think>a</think>b", "<think>a</think>b", None),
        (CHATML, " b\n", "b", None),
        (THINKS, "<think>\na\n</think>\nb", "b", "a"),
        (THINKS, "b", "b", None),
        (THINKS, "<think>\nunfinished", "<think>\nunfinished", None),
        (THINKS, "<think>\n\n</think>\n\nb", "b", None),
        (DROPS_THINKING, "a\n</think>\n\nb", "b", "a"),
        (DROPS_THINKING, "unfinished", "unfinished", None),
        (CHANNELS, "<|chan|>analysis<|message|>a<|end|><|start|>assistant<|chan|>final<|message|>b", "b", "a"),
        (CHANNELS, "<|chan|>final<|message|>b", "b", None),
    ],
)
def test_thinking_is_split_off_as_the_template_writes_it(
    template: str, text: str, content: str, reasoning: str | None
) -> None:
    codec = codec_for(template, ("<|im_end|>", "<|return|>"))
    assert parse_answer(text, codec) == Message("assistant", content, reasoning=reasoning)
