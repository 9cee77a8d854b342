from __future__ import annotations

import pytest

from swift.chat.codec import Codec, make_codec
from swift.chat.encode import encode, prompt_text
from swift.chat.fallback import FALLBACKS, fallback
from swift.chat.predicates import require
from swift.config.chat import ChatConfig
from swift.errors import UnknownNameError
from tests.chat.support import CONVERSATIONS, byte_level, wrap


def codec_of(name: str, eos: str) -> Codec:
    marks = ("<|begin|>", "<|im_start|>", "<|im_end|>", "<|endoftext|>")
    return make_codec(wrap(byte_level(marks), None, eos=eos), ChatConfig(template=name))


@pytest.mark.parametrize("eos", ["<|im_end|>", "<|endoftext|>"])
@pytest.mark.parametrize("name", FALLBACKS)
def test_fallbacks_pass_every_predicate(name: str, eos: str) -> None:
    require(codec_of(name, eos), ChatConfig())


def test_chatml() -> None:
    text = prompt_text(CONVERSATIONS["multi_turn"], codec_of("chatml", "<|im_end|>"), ChatConfig())
    assert text.startswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello! How can I help?<|im_end|>\n")
    assert text.endswith("<|im_start|>user\nThanks<|im_end|>\n<|im_start|>assistant\n")


def test_chatml_trains_tool_calls() -> None:
    codec = codec_of("chatml", "<|im_end|>")
    row = encode(CONVERSATIONS["tools"], codec, ChatConfig())
    (tokens,) = row.sequences
    said = codec.decode(tokens.ids[tokens.weights > 0].tolist())
    assert '<tool_call>\n{"name": "get_weather", "arguments": {"city": "São Paulo"}}\n</tool_call><|im_end|>' in said


def test_plain() -> None:
    text = prompt_text(CONVERSATIONS["multi_turn"], codec_of("plain", "<|endoftext|>"), ChatConfig())
    assert text == "Hi\nHello! How can I help?<|endoftext|>Count to 3\n1, 2, 3<|endoftext|>Thanks\n"


def test_a_begin_token_only_where_the_tokenizer_sets_one() -> None:
    assert fallback("chatml", bos=True, end_token=None).startswith("{{ bos_token }}")
    assert "bos_token" not in fallback("plain", bos=False, end_token="</s>")


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        fallback("chatmll", bos=False, end_token=None)
    assert caught.value.suggestions == ("chatml",)
