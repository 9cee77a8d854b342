from __future__ import annotations

from dataclasses import replace

import pytest

from swift.chat import reasons
from swift.chat.codec import Codec
from swift.chat.encode import EncodedRow, encode
from swift.config.chat import ChatConfig
from swift.errors import DataError, RowError
from swift.types import Conversation, Text
from tests.chat.support import CHATML, ORIGIN, chat, codec_for

LONG = chat(
    ("system", "Be kind."),
    ("user", "first question"),
    ("assistant", "first answer"),
    ("user", "second question"),
    ("assistant", "second answer"),
    ("user", "third question"),
    ("assistant", "third answer"),
)


def run(sample: Conversation | Text, length: int, how: str) -> EncodedRow:
    codec = replace(codec_for(CHATML), max_length=length)
    return encode(sample, codec, ChatConfig(truncation=how))


@pytest.fixture(scope="module")
def codec() -> Codec:
    return codec_for(CHATML)


def text_of(row: EncodedRow, codec: Codec) -> str:
    return codec.decode(row.sequences[0].ids.tolist())


def test_what_fits_is_kept() -> None:
    assert run(LONG, 8192, "error").outcome == "kept"


@pytest.mark.parametrize(("how", "reason"), [("drop", reasons.TOO_LONG), ("split", reasons.CANNOT_SPLIT)])
def test_too_long_chats_are_dropped_with_a_reason(how: str, reason: str) -> None:
    with pytest.raises(RowError) as caught:
        run(LONG, 50, how)
    assert caught.value.reason == reason
    assert reason in reasons.DROPPED
    assert "max_length 50" in caught.value.detail


def test_error_stops_and_names_the_row() -> None:
    with pytest.raises(DataError, match=r"row 1 of test has .* more than max_length 50"):
        run(LONG, 50, "error")


def test_right_cuts_the_end_off(codec: Codec) -> None:
    whole = run(LONG, 8192, "drop").sequences[0]
    row = run(LONG, 60, "right")
    assert (row.outcome, row.reason) == ("truncated", reasons.TOO_LONG)
    assert row.sequences[0].ids.tolist() == whole.ids[:60].tolist()
    assert row.sequences[0].weights.tolist() == whole.weights[:60].tolist()


def test_right_without_an_answer_left_is_dropped() -> None:
    with pytest.raises(RowError) as caught:
        run(LONG, 10, "right")
    assert caught.value.reason == reasons.NO_TARGET


def test_left_leaves_out_the_oldest_exchanges_and_keeps_the_system_message(codec: Codec) -> None:
    whole = len(run(LONG, 8192, "drop").sequences[0])
    row = run(LONG, whole - 1, "left")
    assert row.outcome == "truncated"
    text = text_of(row, codec)
    assert text.startswith("<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nsecond question")
    trained = row.sequences[0].ids[row.sequences[0].weights > 0].tolist()
    assert codec.decode(trained) == "second answer<|im_end|>third answer<|im_end|>"


def test_left_cuts_tokens_where_one_exchange_is_too_long(codec: Codec) -> None:
    row = run(chat(("user", "word " * 50), ("assistant", "fine")), 20, "left")
    assert len(row.sequences[0]) == 20
    assert text_of(row, codec).endswith("<|im_start|>assistant\nfine<|im_end|>")


@pytest.mark.parametrize("length", [2, 3, 7, 10])
def test_split_predicts_every_token_of_a_text_once(length: int, codec: Codec) -> None:
    text = "Paris is the capital of France, and so on."
    whole = [*codec.encode(text), codec.end_id]
    row = run(Text(text, ORIGIN), length, "split")
    assert row.outcome == "split"
    predicted = [n for t in row.sequences for n, w in zip(t.ids.tolist(), t.weights, strict=True) if w]
    assert predicted == whole[1:]
    assert all(2 <= len(tokens) <= length for tokens in row.sequences)
    assert [tokens.part for tokens in row.sequences] == list(range(len(row.sequences)))


def test_texts_are_cut_left_and_right(codec: Codec) -> None:
    text = "Paris is the capital of France, and so on."
    whole = [*codec.encode(text), codec.end_id]
    assert run(Text(text, ORIGIN), 8, "right").sequences[0].ids.tolist() == whole[:8]
    assert run(Text(text, ORIGIN), 8, "left").sequences[0].ids.tolist() == whole[-8:]
    with pytest.raises(RowError) as caught:
        run(Text(text, ORIGIN), 8, "drop")
    assert caught.value.reason == reasons.TOO_LONG
    with pytest.raises(DataError):
        run(Text(text, ORIGIN), 8, "error")


def test_left_keeps_the_begin_token() -> None:
    codec = replace(codec_for("{{ bos_token }}" + CHATML), max_length=20)
    row = encode(chat(("user", "word " * 50), ("assistant", "fine")), codec, ChatConfig(truncation="left"))
    assert row.sequences[0].ids[0] == codec.bos_id
    assert len(row.sequences[0]) == 20
