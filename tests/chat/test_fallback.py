from __future__ import annotations

from dataclasses import replace

import pytest

from swift.chat.codec import Codec, make_codec
from swift.chat.encode import encode, prompt_text
from swift.chat.fallback import FALLBACKS, fallback
from swift.chat.predicates import require
from swift.config.chat import ChatConfig
from swift.errors import TemplateError, UnknownNameError
from swift.types import Conversation, Message
from tests.chat.support import CONVERSATIONS, ORIGIN, byte_level, wrap


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


def test_llama3() -> None:
    text = prompt_text(CONVERSATIONS["multi_turn"], codec_of("llama3", "<|endoftext|>"), ChatConfig())
    head = "<|start_header_id|>{}<|end_header_id|>\n\n".format
    assert text == (
        f"{head('user')}Hi<|eot_id|>{head('assistant')}Hello! How can I help?<|endoftext|>"
        f"{head('user')}Count to 3<|eot_id|>{head('assistant')}1, 2, 3<|endoftext|>"
        f"{head('user')}Thanks<|eot_id|>{head('assistant')}"
    )
    assert "'<|eot_id|>' if message" in fallback("llama3", bos=False, end_token=None)


def test_gemma_puts_the_system_message_into_the_first_question() -> None:
    chat = Conversation((Message("system", "Be brief."), *CONVERSATIONS["multi_turn"].messages[:3]), ORIGIN)
    text = prompt_text(chat, codec_of("gemma", "<|endoftext|>"), ChatConfig())
    assert text == (
        "<start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\nHello! How can I help?<|endoftext|>\n"
        "<start_of_turn>user\nCount to 3<end_of_turn>\n<start_of_turn>model\n"
    )


@pytest.mark.parametrize("name", ["llama3", "gemma"])
def test_with_its_own_marks_as_tokens(name: str) -> None:
    marks = {
        "llama3": ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        "gemma": ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
    }[name]
    codec = make_codec(wrap(byte_level(marks, modern=True), None, eos=marks[-1]), ChatConfig(template=name))
    require(codec, ChatConfig())
    (tokens,) = encode(CONVERSATIONS["multi_turn"], codec, ChatConfig()).sequences
    said = codec.decode(tokens.ids[tokens.weights > 0].tolist())
    assert said == f"Hello! How can I help?{marks[-1]}1, 2, 3{marks[-1]}You are welcome.{marks[-1]}"


def test_without_a_template_the_error_names_what_suits_the_model() -> None:
    bare = wrap(byte_level(("<|endoftext|>",)), None, eos="<|endoftext|>")
    with pytest.raises(TemplateError) as caught:
        replace(make_codec(bare, ChatConfig()), recommended="llama3").require_template()
    assert caught.value.hint.startswith("--chat_template llama3 suits this family of models")
    with pytest.raises(TemplateError) as caught:
        make_codec(bare, ChatConfig()).require_template()
    assert caught.value.hint == "name one: --chat_template chatml, gemma, llama3, plain, or a Jinja file"


def test_a_begin_token_only_where_the_tokenizer_sets_one() -> None:
    assert fallback("chatml", bos=True, end_token=None).startswith("{{ bos_token }}")
    assert "bos_token" not in fallback("plain", bos=False, end_token="</s>")


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        fallback("chatmll", bos=False, end_token=None)
    assert caught.value.suggestions == ("chatml",)
