"""Random conversations with awkward text, through templates and tokenizers of several kinds."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swift.chat.codec import Codec, make_codec
from swift.chat.encode import encode, prompt_ids, trained_turns
from swift.chat.messages import prepare
from swift.chat.spans import chains
from swift.config.chat import ChatConfig
from swift.types import Conversation, Message
from tests.chat.support import CHATML, ORIGIN, byte_level, sentence_piece_like, wrap

LLAMA = (
    "{{ bos_token }}{% for m in messages %}{{ '<|head|>' + m.role + '<|tail|>\n\n' + m.content | trim + '<|im_end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|head|>assistant<|tail|>\n\n' }}{% endif %}"
)
LAST_DIFFERS = (
    "{% for m in messages %}{{ '<|head|>' + m.role + '<|tail|>' }}"
    "{% if m.role == 'assistant' and loop.last %}{{ m.content + '<|im_end|>' }}{% else %}{{ m.content + '<|end|>' }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|head|>assistant<|tail|>' }}{% endif %}"
)
BARE = (
    "{% for m in messages %}{{ m.role + ': ' + m.content }}{{ '<|im_end|>' if m.role == 'assistant' else '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)
TEMPLATES = {"chatml": CHATML, "llama": LLAMA, "last_differs": LAST_DIFFERS, "bare": BARE}
MARKS = ("<|begin|>", "<|im_start|>", "<|im_end|>", "<|head|>", "<|tail|>", "<|end|>")
OPTIONS = ChatConfig()

WORDS = st.sampled_from(
    [
        "user",
        "assistant",
        "system:",
        "\n",
        "\n\n",
        " ",
        "  ",
        "\t",
        "é",
        "e\u0301",
        "👩‍👩‍👧",
        "你好",
        "<think>",
        "</think>",
        "the",
        "answer",
        ".",
        "1, 2",
        "\u00a0",
        "\u200b",
        "\r\n",
        "{{ x }}",
        "▁",
        "ß",
        "end",
        "<|im",
        "|>",
    ]
)
TEXT = st.lists(st.one_of(WORDS, st.text(st.characters(codec="utf-8"), max_size=6)), max_size=12).map("".join)
ANSWER = st.tuples(TEXT, st.sampled_from(["ok", "é", "你", "user"]), TEXT).map("".join)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    messages = [Message("system", draw(TEXT))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 4))):
        messages += [Message("user", draw(TEXT)), Message("assistant", draw(ANSWER))]
    return Conversation(tuple(messages), ORIGIN)


@lru_cache
def codec_of(kind: str, template: str) -> Codec:
    backend = {
        "byte_level": lambda: byte_level(MARKS),
        "modern": lambda: byte_level(MARKS, composed=True, modern=True),
        "composed": lambda: byte_level(MARKS, composed=True),
        "sentence_piece": lambda: sentence_piece_like(MARKS),
        "greedy_marks": lambda: sentence_piece_like(MARKS, greedy=True),
    }[kind]()
    return make_codec(wrap(backend, TEMPLATES[template], eos="<|im_end|>"), OPTIONS)


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("kind", ["byte_level", "modern", "composed", "sentence_piece", "greedy_marks"])
@settings(max_examples=25)
@given(sample=conversations())
def test_training_is_what_inference_sees(kind: str, template: str, sample: Conversation) -> None:
    codec = codec_of(kind, template)
    row = encode(sample, codec, OPTIONS)
    wanted = {
        tuple(prompt_ids(Conversation(sample.messages[:number], ORIGIN), codec, OPTIONS)): message.content.strip()
        for number, message in enumerate(sample.messages)
        if message.role == "assistant"
    }
    found = 0
    for tokens in row.sequences:
        assert tokens.weights[0] == 0
        starts = [i for i in range(1, len(tokens)) if tokens.weights[i] and not tokens.weights[i - 1]]
        for start in starts:
            end = next((i for i in range(start, len(tokens)) if not tokens.weights[i]), len(tokens))
            said = wanted[tuple(tokens.ids[:start].tolist())]
            assert int(tokens.ids[end - 1]) in codec.eos_ids
            assert codec.keeps(said, tokens.ids[start:end].tolist())
            if kind == "byte_level":
                assert said in codec.decode(tokens.ids[start:end].tolist())
            found += 1
    assert found == len([m for m in sample.messages if m.role == "assistant"])


@settings(max_examples=40)
@given(sample=conversations())
def test_text_between_added_tokens_is_tokenized_alone(sample: Conversation) -> None:
    codec = codec_of("byte_level", "chatml")
    assert codec.added is not None
    text = codec.template.render(sample.messages)
    apart = [
        n
        for i, piece in enumerate(codec.added.split(text))
        for n in ([codec.number_of[piece]] if i % 2 else codec.encode(piece))
    ]
    assert apart == codec.encode(text)


@settings(max_examples=40)
@given(sample=conversations(), template=st.sampled_from(sorted(TEMPLATES)))
def test_chains_hold_every_turn_once_and_are_the_fewest(sample: Conversation, template: str) -> None:
    codec = codec_of("byte_level", template)
    turns = trained_turns(prepare(sample, codec, OPTIONS), codec, OPTIONS)
    found = chains(turns)
    assert sorted(turn.index for chain in found for turn in chain) == [turn.index for turn in turns]
    for chain in found:
        for earlier, later in pairwise(chain):
            assert later.prompt.startswith(earlier.text)
    leaves = [t for t in turns if not any(o.prompt.startswith(t.text) for o in turns)]
    assert len(found) == len(leaves)
