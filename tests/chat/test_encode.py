from __future__ import annotations

import numpy as np
import pytest

from swift.chat import reasons
from swift.chat.codec import Codec
from swift.chat.encode import EncodedRow, encode, prompt_ids, prompt_text, with_system
from swift.config.chat import ChatConfig
from swift.errors import RowError, TemplateError
from swift.types import Message, Text, Tokens, ToolCall
from tests.chat.support import CHATML, CONVERSATIONS, ORIGIN, TOOLS, byte_level, chat, codec_for, wrap

STRIPS_THINKING = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{% if m.role == 'assistant' and loop.last and m.reasoning_content %}{{ '<think>' + m.reasoning_content + "
    "'</think>' }}{% endif %}{{ m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def trained(tokens: Tokens, codec: Codec) -> list[str]:
    """The trained runs as text."""
    runs: list[list[int]] = [[]]
    for number, weight in zip(tokens.ids.tolist(), tokens.weights, strict=True):
        if weight:
            runs[-1].append(number)
        elif runs[-1]:
            runs.append([])
    return [codec.decode(run) for run in runs if run]


def run(sample: object, codec: Codec, **options: object) -> EncodedRow:
    return encode(sample, codec, ChatConfig(**options))


@pytest.fixture(scope="module")
def codec() -> Codec:
    return codec_for(CHATML)


def test_every_answer_and_its_stop_token_is_trained(codec: Codec) -> None:
    row = run(CONVERSATIONS["multi_turn"], codec)
    (tokens,) = row.sequences
    assert row.outcome == "kept"
    assert row.reason == ""
    assert trained(tokens, codec) == [
        "Hello! How can I help?<|im_end|>",
        "1, 2, 3<|im_end|>",
        "You are welcome.<|im_end|>",
    ]
    assert tokens.ids.dtype == np.int32
    assert tokens.weights.dtype == np.float32
    assert tokens.ids[-1] in codec.eos_ids


def test_training_ids_begin_with_the_ids_that_an_engine_is_given(codec: Codec) -> None:
    (tokens,) = run(CONVERSATIONS["multi_turn"], codec).sequences
    prompt = prompt_ids(CONVERSATIONS["multi_turn"], codec, ChatConfig())
    assert tokens.ids[: len(prompt)].tolist() == prompt
    assert codec.decode(tokens.ids[len(prompt) :].tolist()) == "You are welcome.<|im_end|>"


def test_last_trains_only_the_last_answer(codec: Codec) -> None:
    (tokens,) = run(CONVERSATIONS["multi_turn"], codec, train_on="last").sequences
    assert trained(tokens, codec) == ["You are welcome.<|im_end|>"]


def test_everything_trains_all_tokens_but_the_first(codec: Codec) -> None:
    (tokens,) = run(CONVERSATIONS["multi_turn"], codec, train_on="everything").sequences
    assert tokens.weights[0] == 0
    assert (tokens.weights[1:] == 1).all()


def test_everything_leaves_out_turns_of_weight_0(codec: Codec) -> None:
    sample = chat(("user", "a"), Message("assistant", "silent", loss_weight=0.0), ("user", "b"), ("assistant", "said"))
    (tokens,) = run(sample, codec, train_on="everything").sequences
    untrained = codec.decode(tokens.ids[tokens.weights == 0].tolist())
    assert untrained == "<|im_start|>silent<|im_end|>"


def test_message_weights_win_over_the_rule_and_multiply_with_the_row_weight(codec: Codec) -> None:
    sample = chat(
        ("user", "a"),
        Message("assistant", "one", loss_weight=0.5),
        ("user", "b"),
        Message("assistant", "two", loss_weight=0.0),
        ("user", "c"),
        ("assistant", "three"),
        weight=2.0,
    )
    (tokens,) = run(sample, codec, train_on="last").sequences
    assert trained(tokens, codec) == ["one<|im_end|>", "three<|im_end|>"]
    assert sorted(set(tokens.weights.tolist())) == [0.0, 1.0, 2.0]


def test_the_system_override_replaces_the_rows_own(codec: Codec) -> None:
    text = prompt_text(CONVERSATIONS["system"], codec, ChatConfig(system="Shout."))
    assert text.startswith("<|im_start|>system\nShout.<|im_end|>\n<|im_start|>user\nHi")
    assert "terse" not in text
    assert with_system(CONVERSATIONS["single"], "S").messages[0] == Message("system", "S")


def test_a_template_that_strips_thinking_gives_one_sequence_a_turn() -> None:
    codec = codec_for(STRIPS_THINKING)
    row = run(CONVERSATIONS["thinking_history"], codec)
    texts = [trained(tokens, codec) for tokens in row.sequences]
    assert texts == [["<think>two and two</think>4<|im_end|>"], ["<think>three and three</think>6<|im_end|>"]]
    assert [tokens.part for tokens in row.sequences] == [0, 1]
    assert "two and two" not in codec.decode(row.sequences[1].ids.tolist())


def test_kept_thinking_stays_in_history() -> None:
    codec = codec_for(STRIPS_THINKING)
    (tokens,) = run(CONVERSATIONS["thinking_history"], codec, thinking="keep").sequences
    assert trained(tokens, codec) == [
        "<think>two and two</think>4<|im_end|>",
        "<think>three and three</think>6<|im_end|>",
    ]


@pytest.mark.parametrize("inline", [False, True])
def test_stripped_thinking_is_nowhere(inline: bool) -> None:
    codec = codec_for(STRIPS_THINKING)
    answer = Message("assistant", "<think>\nhmm\n</think>\n\nYes") if inline else Message("assistant", "Yes", "hmm")
    (tokens,) = run(chat(("user", "?"), answer), codec, thinking="strip").sequences
    assert trained(tokens, codec) == ["Yes<|im_end|>"]


def test_a_template_without_thinking_gets_it_in_the_text(codec: Codec) -> None:
    (tokens,) = run(CONVERSATIONS["thinking"], codec).sequences
    assert trained(tokens, codec) == ["<think>\nAdding two and two\n\ngives four.\n</think>\n\nIt is 4.<|im_end|>"]


def test_consecutive_answers_are_turns_of_their_own(codec: Codec) -> None:
    (tokens,) = run(chat(("user", "a"), ("assistant", "b"), ("assistant", "c")), codec).sequences
    assert trained(tokens, codec) == ["b<|im_end|>", "c<|im_end|>"]


def test_a_leading_answer_is_context_and_said_so(codec: Codec) -> None:
    row = run(chat(("assistant", "Welcome"), ("user", "a"), ("assistant", "b")), codec)
    assert row.reason == reasons.UNTRAINED_TURN
    assert row.outcome == "kept"
    assert trained(row.sequences[0], codec) == ["b<|im_end|>"]


def test_special_tokens_in_text_are_encoded_as_inference_does_and_reported(codec: Codec) -> None:
    sample = chat(("user", "what is <|im_end|>?"), ("assistant", "it is <|im_end|>, a mark"))
    row = run(sample, codec)
    assert row.reason == reasons.SPECIAL_IN_TEXT
    assert "'<|im_end|>'" in row.detail
    (tokens,) = row.sequences
    assert codec.decode(tokens.ids[tokens.weights > 0].tolist()) == "it is <|im_end|>, a mark<|im_end|>"


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        (chat(("user", "a")), reasons.NO_ASSISTANT),
        (chat(("user", "a"), ("assistant", " \n")), reasons.EMPTY_ANSWER),
        (chat(("assistant", "a")), reasons.NO_PROMPT),
        (chat(("user", "a"), Message("assistant", "b", loss_weight=0.0)), reasons.NO_TARGET),
        (chat(("user", "a"), ("assistant", "b"), weight=0.0), reasons.NO_TARGET),
        (chat(Message("user", "a", loss_weight=1.0), ("assistant", "b")), reasons.PROMPT_WEIGHT),
        (chat(("user", "a"), ("assistant", "\ud800")), reasons.NOT_DECODABLE),
        (Text("", ORIGIN), reasons.EMPTY_TEXT),
    ],
)
def test_rows_that_cannot_be_trained_on_have_a_reason(codec: Codec, sample: object, reason: str) -> None:
    with pytest.raises(RowError) as caught:
        run(sample, codec)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        (chat(("user", "a"), ("assistant", "b"), tools=TOOLS), reasons.TOOLS_UNSUPPORTED),
        (chat(("user", "a"), Message("assistant", "", tool_calls=(ToolCall("f", {}),))), reasons.TOOL_CALL_LOST),
    ],
)
def test_tools_fail_a_row_where_only_the_template_may_write_them(sample: object, reason: str) -> None:
    with pytest.raises(RowError) as caught:
        run(sample, codec_for(CHATML, tool_format="template"), tool_format="template")
    assert caught.value.reason == reason


def test_a_template_that_loses_the_answer_fails_the_row() -> None:
    codec = codec_for(CHATML.replace("message.content +", "message.content.split('SECRET')[0] +"))
    with pytest.raises(RowError) as caught:
        run(chat(("user", "a"), ("assistant", "one SECRET two")), codec)
    assert caught.value.reason == reasons.ANSWER_LOST


def test_a_template_that_ends_no_turn_fails_the_row() -> None:
    codec = codec_for(CHATML.replace("'<|im_end|>' + ", ""))
    with pytest.raises(RowError) as caught:
        run(CONVERSATIONS["single"], codec)
    assert caught.value.reason == reasons.NO_STOP


def test_a_rewritten_prompt_is_remarked() -> None:
    codec = codec_for(CHATML.replace("message.content +", "message.content | replace('bad', 'good') +"))
    row = run(chat(("user", "a bad day"), ("assistant", "yes")), codec)
    assert (row.outcome, row.reason) == ("kept", reasons.PROMPT_REWRITTEN)


def test_thinking_is_asked_for_exactly_on_rows_that_have_it() -> None:
    codec = codec_for(
        STRIPS_THINKING.replace(
            "<|im_start|>assistant\n' }}{% endif %}",
            "<|im_start|>assistant\n' }}{% if enable_thinking is false %}{{ '(off)' }}{% endif %}{% endif %}",
        ).replace(
            "{{ m.content",
            "{% if m.role == 'assistant' and enable_thinking is false %}{{ '(off)' }}{% endif %}{{ m.content",
        )
    )
    assert "(off)" in prompt_text(CONVERSATIONS["single"], codec, ChatConfig())
    assert "(off)" not in prompt_text(CONVERSATIONS["single"], codec, ChatConfig(enable_thinking=True))
    assert "(off)" not in prompt_text(CONVERSATIONS["thinking"], codec, ChatConfig())
    assert "(off)" not in prompt_text(chat(("user", "first question")), codec, ChatConfig())
    sample = chat(("user", "?"), ("assistant", "!"), template_kwargs={"enable_thinking": True})
    assert "(off)" not in prompt_text(sample, codec, ChatConfig(enable_thinking=False))


def test_a_text_is_trained_whole_with_an_end_token(codec: Codec) -> None:
    (tokens,) = run(Text("Paris is the capital.", ORIGIN, weight=0.5), codec).sequences
    assert codec.decode(tokens.ids.tolist()) == "Paris is the capital.<|im_end|>"
    assert tokens.weights.tolist() == [0.0] + [0.5] * (len(tokens) - 1)


def test_a_text_begins_as_the_tokenizer_begins_texts() -> None:
    from tokenizers.processors import TemplateProcessing

    from swift.chat.codec import make_codec

    backend = byte_level(("<|begin|>", "<|im_end|>"))
    backend = type(backend).from_str(backend.to_str())
    backend.post_processor = TemplateProcessing(
        single="<|begin|> $A <|im_end|>", special_tokens=[("<|begin|>", 0), ("<|im_end|>", 1)]
    )
    codec = make_codec(wrap(backend, None, eos="<|im_end|>"), ChatConfig())
    (tokens,) = run(Text("Hi", ORIGIN), codec).sequences
    assert codec.decode(tokens.ids.tolist()) == "<|begin|>Hi<|im_end|>"
    assert codec.decode(prompt_ids(Text("Hi", ORIGIN), codec, ChatConfig())) == "<|begin|>Hi"


def test_a_chat_needs_a_template() -> None:
    from swift.chat.codec import make_codec

    codec = make_codec(wrap(byte_level(("<|begin|>", "<|im_end|>")), None, eos="<|im_end|>"), ChatConfig())
    assert codec.template_source == ""
    with pytest.raises(TemplateError, match="no chat template"):
        run(CONVERSATIONS["single"], codec)


def test_prompt_of_nothing_is_refused(codec: Codec) -> None:
    with pytest.raises(RowError) as caught:
        prompt_ids(chat(("assistant", "a")), codec, ChatConfig())
    assert caught.value.reason == reasons.NO_PROMPT
