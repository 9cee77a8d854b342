from __future__ import annotations

import pytest

from swift.chat.codec import make_codec
from swift.chat.encode import encode, prompt_ids
from swift.config.chat import ChatConfig
from tests.chat.support import CHATML, byte_level, chat, codec_for, sentence_piece_like, wrap

OPTIONS = ChatConfig()
MARKS = ("<|begin|>", "<|im_start|>", "<|im_end|>")


def test_a_first_token_that_would_reach_into_the_prompt_is_cut_at_the_prompt() -> None:
    codec = codec_for(CHATML)
    sample = chat(("user", "go"), ("assistant", "\n\nindented"))
    whole = codec.encode(codec.template.render(sample.messages))
    prompt = prompt_ids(sample, codec, OPTIONS)
    assert whole[: len(prompt)] != prompt, "the line breaks must merge, or this proves nothing"
    (tokens,) = encode(sample, codec, OPTIONS).sequences
    assert tokens.ids[: len(prompt)].tolist() == prompt
    assert codec.decode(tokens.ids[tokens.weights > 0].tolist()) == "\n\nindented<|im_end|>"


def test_only_the_straddling_turn_becomes_a_sequence_of_its_own() -> None:
    codec = codec_for(CHATML)
    sample = chat(
        ("user", "a"),
        ("assistant", "one"),
        ("user", "b"),
        ("assistant", "\n\ntwo"),
        ("user", "c"),
        ("assistant", "three"),
    )
    together, apart = encode(sample, codec, OPTIONS).sequences
    assert codec.decode(together.ids[together.weights > 0].tolist()) == "one<|im_end|>three<|im_end|>"
    assert codec.decode(apart.ids[apart.weights > 0].tolist()) == "\n\ntwo<|im_end|>"


def test_repeated_prompts_do_not_change_the_ids() -> None:
    codec = codec_for(CHATML)
    sample = chat(("system", "Long rules. " * 20), ("user", "a"), ("assistant", "b"))
    for _ in range(2):
        (tokens,) = encode(sample, codec, OPTIONS).sequences
        assert [*tokens.ids.tolist(), *codec.encode("\n")] == codec.encode(codec.template.render(sample.messages))


@pytest.mark.parametrize("greedy", [False, True])
def test_tokenizers_with_word_marks_are_placed_by_offsets(greedy: bool) -> None:
    tokenizer = wrap(sentence_piece_like(MARKS, greedy=greedy), CHATML, eos="<|im_end|>")
    codec = make_codec(tokenizer, OPTIONS)
    assert (codec.added is None) == greedy or codec.known_bytes is None
    sample = chat(("user", "Paris?"), ("assistant", "the capital"), ("user", "and 你?"), ("assistant", "好"))
    for tokens in encode(sample, codec, OPTIONS).sequences:
        starts = [i for i in range(1, len(tokens)) if tokens.weights[i] and not tokens.weights[i - 1]]
        assert starts
        for start in starts:
            said = codec.decode(tokens.ids[start:].tolist())
            assert said.lstrip().startswith(("the capital<|im_end|>", "好<|im_end|>"))


def test_text_without_any_added_token_in_the_prompt() -> None:
    template = (
        "{% for m in messages %}{{ m.role + ': ' + m.content }}{{ '<|im_end|>' if m.role == 'assistant' else '\n' }}"
        "{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
    )
    codec = make_codec(wrap(byte_level(MARKS), template, eos="<|im_end|>"), OPTIONS)
    sample = chat(("user", "Paris?"), ("assistant", "Yes."))
    (tokens,) = encode(sample, codec, OPTIONS).sequences
    prompt = prompt_ids(sample, codec, OPTIONS)
    assert tokens.ids[: len(prompt)].tolist() == prompt
    assert codec.decode(tokens.ids[len(prompt) :].tolist()) == " Yes.<|im_end|>"
