"""Tool calls as the models' own templates write them: the format is found by rendering, and calls are read back."""

from __future__ import annotations

import pytest

pytest.importorskip("trl")

from swift.chat.codec import make_codec
from swift.chat.encode import trained_turns
from swift.chat.messages import prepare
from swift.chat.parse import parse_answer
from swift.chat.tools.choose import template_format
from swift.config.chat import ChatConfig
from swift.errors import RowError
from swift.types import Message
from tests.chat.support import CONVERSATIONS, tokenizer_for
from tests.oracles.templates import ORIGINALS, read, stops

FOUND = {
    "deepseekv3": "deepseek_v3",
    "diffusion_gemma": "gemma4",
    "gemma4": "gemma4",
    "glm4moe": "glm4_5",
    "gptoss": "harmony",
    "lfm2": "lfm2",
    "llama3_": "llama3",
    "muse_glimmer": "muse_glimmer",
    "nemotron": "qwen3_5",
    "qwen2_5": "hermes",
    "qwen3": "hermes",
    "qwen3_5": "qwen3_5",
    "qwen3_6": "qwen3_5",
    "qwen3_8": "qwen3_5",
}
"""By the longest beginning of a template's name. Qwen3-Coder and Qwen 3.5 write the same."""

NO_CALLS = {"lfm2", "qwen2_5_vl"}
"""Templates that write no calls, though their names begin so."""

# Rows that these templates cannot show: they drop words beside a call, or rewrite the turn when its result arrives.
LOST = {
    ("diffusion_gemma", "tools_text"),
    ("gemma4_v5", "tools_text"),
    ("llama3_1", "tools_text"),
    ("llama3_2", "tools_text"),
    ("muse_glimmer", "tools_text"),
}
# What the model has to write between a result and its answer.
HEADER = {"diffusion_gemma": "<|turn>model\n", "cohere2": "<|END_RESPONSE|>"}
OPTIONS = ChatConfig()


@pytest.mark.parametrize("name", ORIGINALS)
def test_the_format_is_found_and_answers_are_read(name: str) -> None:
    tokenizer = tokenizer_for(read(name), stops(name))
    ids = [tokenizer.convert_tokens_to_ids(stop) for stop in stops(name)]
    codec = make_codec(tokenizer, OPTIONS, stop_ids=ids)
    known = [start for start in FOUND if name.startswith(start) and name not in NO_CALLS]
    assert template_format(codec.template) == (FOUND[max(known, key=len)] if known else "")
    for kind in ("tools", "tools_text"):
        prepared = prepare(CONVERSATIONS[kind], codec, OPTIONS)
        if (name, kind) in LOST:
            with pytest.raises(RowError):
                trained_turns(prepared, codec, OPTIONS)
            continue
        said = [message for message in CONVERSATIONS[kind].messages if message.role == "assistant"]
        for turn, message in zip(trained_turns(prepared, codec, OPTIONS), said, strict=True):
            text = turn.span
            for stop in codec.stops:
                text = text.removesuffix(stop)
            read_back = parse_answer(text, codec, CONVERSATIONS[kind].tools)
            assert [(c.name, c.arguments) for c in read_back.tool_calls] == [
                (c.name, c.arguments) for c in message.tool_calls
            ]
            assert words(read_back, name) == message.content


def words(message: Message, name: str) -> str:
    """What was said; GPT-OSS writes words beside a call as thinking."""
    spoken = message.content.replace(HEADER.get(name, "\0"), "").strip()
    return (message.reasoning or "") if name == "gptoss" and message.tool_calls else spoken
