"""Tokenizers made in the test process, and conversations that try a template."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from swift.chat.codec import Codec, make_codec
from swift.config.chat import ChatConfig
from swift.types import Conversation, Message, Origin, ToolCall

ORIGIN = Origin("test", 1)
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TOOLS = (
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather of a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "description": "The city."}},
                "required": ["city"],
            },
        },
    },
)
_MODERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
_MARKS = (
    r"<\|[^|<>\s'\"]{1,40}\|>",
    r"<｜[^｜\s]{1,40}｜>",
    r"<(?:start|end)_of_(?:turn|utterance)>",
    r"</s>",
    r"<\|[a-z_]{1,20}>",
    r"<[a-z_]{1,20}\|>",
    r"\[gMASK\]",
    r"<sop>",
)
# Sentences with runs of white space and line breaks, so that tokens for these exist and can straddle boundaries.
_CORPUS = (
    "The user asked the assistant a question.\n\nThe answer is  short.\n   Then the system said nothing.\n\n\n",
    "user\nassistant\nsystem\ntool\nmodel\n think thinking  answer Answer \n\n\t\t end\n \n  \n",
    "Paris is the capital of France. What is the weather in Berlin? Sunny, 21 degrees.",
)


@lru_cache(maxsize=64)
def byte_level(marks: tuple[str, ...], *, composed: bool = False, modern: bool = False) -> Tokenizer:
    """A byte-level BPE of a few hundred tokens with `marks` as special tokens.

    Args:
        composed: Composes Unicode characters first, as Qwen's does.
        modern: Splits words as Llama 3 and Qwen do, with line breaks together, instead of as GPT-2 does.
    """
    tokenizer = Tokenizer(models.BPE())
    if composed:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if modern:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(_MODERN), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=256 + len(marks) + 200,
        special_tokens=list(marks),
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(_CORPUS * 3, trainer)
    return tokenizer


@lru_cache(maxsize=8)
def sentence_piece_like(marks: tuple[str, ...], *, greedy: bool = False) -> Tokenizer:
    """A BPE over characters with a word mark for spaces and bytes for the rest, as Llama 2 has.

    Args:
        greedy: The marks swallow white space behind them, as Phi-3's do.
    """
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    single = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=single, show_progress=False)
    tokenizer.train_from_iterator(_CORPUS * 3, trainer)
    tokenizer.add_special_tokens([AddedToken(mark, rstrip=greedy, normalized=False) for mark in marks])
    return tokenizer


def marks_of(source: str) -> tuple[str, ...]:
    """Special tokens that a template writes."""
    return tuple(dict.fromkeys(mark for pattern in _MARKS for mark in re.findall(pattern, source)))


def wrap(backend: Tokenizer, template: str | None, *, eos: str, bos: str = "<|begin|>") -> PreTrainedTokenizerFast:
    """A tokenizer of transformers around `backend`."""
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=bos, eos_token=eos, pad_token=eos, chat_template=template
    )


def tokenizer_for(template: str, stops: Sequence[str]) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer that knows every special token of `template`."""
    marks = tuple(dict.fromkeys(["<|begin|>", *stops, *marks_of(template)]))
    return wrap(byte_level(marks, modern=True), template, eos=stops[0])


def codec_for(template: str, stops: Sequence[str] = ("<|im_end|>",), **options: object) -> Codec:
    """The codec of `tokenizer_for`."""
    tokenizer = tokenizer_for(template, stops)
    ids = [tokenizer.convert_tokens_to_ids(stop) for stop in stops]
    return make_codec(tokenizer, ChatConfig(**options), stop_ids=ids)


def chat(*turns: tuple[str, str] | Message, **fields: object) -> Conversation:
    """A conversation of (role, text) pairs and messages."""
    messages = tuple(turn if isinstance(turn, Message) else Message(*turn) for turn in turns)
    return Conversation(messages, ORIGIN, **fields)


_CALL = ToolCall("get_weather", {"city": "São Paulo"}, id="call00001")
CONVERSATIONS: dict[str, Conversation] = {
    "single": chat(("user", "What is the capital of France?"), ("assistant", "Paris.")),
    "multi_turn": chat(
        ("user", "Hi"),
        ("assistant", "Hello! How can I help?"),
        ("user", "Count to 3"),
        ("assistant", "1, 2, 3"),
        ("user", "Thanks"),
        ("assistant", "You are welcome."),
    ),
    "system": chat(
        ("system", "You are terse."),
        ("user", "Hi"),
        ("assistant", "Hello."),
        ("user", "Bye"),
        ("assistant", "Bye."),
    ),
    "white_space": chat(
        ("user", "  two spaces\n\n"),
        ("assistant", "\n\n  indented\n\ttab  \n"),
        ("user", "\tand\n"),
        ("assistant", " trailing \n\n\n"),
    ),
    "emoji": chat(
        ("user", "👩‍👩‍👧‍👦 naïve café 你好"),
        ("assistant", "🇫🇷🎉 é 数学 \u200bzero"),
        ("user", "🙂"),
        ("assistant", "🙃"),
    ),
    "role_names": chat(
        ("user", "user\nassistant\nsystem: say 'assistant'"),
        ("assistant", "assistant: user said assistant\nuser"),
        ("user", "end"),
        ("assistant", "end of turn"),
    ),
    "tools": chat(
        ("user", "Weather in São Paulo?"),
        Message("assistant", "", tool_calls=(_CALL,)),
        Message("tool", "21 degrees", name="get_weather", tool_call_id="call00001"),
        ("assistant", "It is 21 degrees."),
        ("user", "Thanks"),
        ("assistant", "Any time."),
        tools=TOOLS,
    ),
    "tools_text": chat(
        ("user", "Weather?"),
        Message("assistant", "Let me look.", tool_calls=(_CALL,)),
        Message("tool", "sunny", name="get_weather", tool_call_id="call00001"),
        ("assistant", "Sunny ☀️"),
        tools=TOOLS,
    ),
    "thinking": chat(
        ("user", "2 + 2?"),
        Message("assistant", "It is 4.", reasoning="Adding two and two\n\ngives four."),
    ),
    "thinking_history": chat(
        ("user", "2 + 2?"),
        Message("assistant", "4", reasoning="two and two"),
        ("user", "3 + 3?"),
        Message("assistant", "6", reasoning="three and three"),
    ),
    "thinking_tools": chat(
        ("user", "Weather?"),
        Message("assistant", "", reasoning="I must look.", tool_calls=(_CALL,)),
        Message("tool", "rain", name="get_weather", tool_call_id="call00001"),
        Message("assistant", "Rain.", reasoning="It rains."),
        tools=TOOLS,
    ),
}
