"""Tokens as text, and whose turn they belong to."""

from __future__ import annotations

import pytest

from swift.chat.codec import Codec, make_codec
from swift.chat.encode import encode
from swift.checking.pieces import pieces_of, sample_of
from swift.config.chat import ChatConfig
from swift.models.tiny import tiny_tokenizer
from swift.types import Conversation, Message, Origin, Text
from tests.chat.support import CHATML, CONVERSATIONS, sentence_piece_like, wrap

ORIGIN = Origin("rows", 1)


@pytest.fixture(scope="module")
def codec() -> Codec:
    return make_codec(tiny_tokenizer(), ChatConfig())


@pytest.mark.parametrize("name", ["single", "multi_turn", "system", "white_space", "emoji", "role_names"])
def test_pieces_are_the_sequence(codec: Codec, name: str) -> None:
    for tokens in encode(CONVERSATIONS[name], codec, ChatConfig()).sequences:
        pieces = list(pieces_of(tokens, codec))
        assert [number for piece in pieces for number in piece.ids] == tokens.ids.tolist()
        assert "".join(piece.text for piece in pieces) == codec.decode(tokens.ids.tolist())
        weights = [piece.weight for piece in pieces for _ in piece.ids]
        assert weights == tokens.weights.tolist()


def test_a_character_of_several_tokens_is_one_piece(codec: Codec) -> None:
    tokens = encode(CONVERSATIONS["emoji"], codec, ChatConfig()).sequences[0]
    assert "\ufffd" not in "".join(piece.text for piece in pieces_of(tokens, codec))


def test_words_keep_the_space_before_them() -> None:
    marks = ("<|im_start|>", "<|im_end|>")
    codec = make_codec(wrap(sentence_piece_like(marks), CHATML, eos="<|im_end|>", bos="<|im_start|>"), ChatConfig())
    tokens = encode(Text("The answer is short.", ORIGIN), codec, ChatConfig()).sequences[0]
    assert "".join(piece.text for piece in pieces_of(tokens, codec)).startswith("The answer is short.")


def test_turns(codec: Codec) -> None:
    sample = CONVERSATIONS["system"]
    tokens = encode(sample, codec, ChatConfig()).sequences[0]
    shown = sample_of(tokens, 1, sample, codec, ChatConfig())
    assert [(turn.role, turn.number) for turn in shown.turns] == [
        ("system", 1),
        ("user", 2),
        ("assistant", 3),
        ("user", 4),
        ("assistant", 5),
    ]
    texts = ["".join(piece.text for piece in turn.pieces) for turn in shown.turns]
    assert texts[1] == "<|im_start|>user\nHi<|im_end|>\n"
    assert texts[2] == "<|im_start|>assistant\nHello.<|im_end|>\n"
    for turn in shown.turns:
        said = "".join(piece.text for piece in turn.pieces if piece.weight)
        assert said == ({3: "Hello.<|im_end|>", 5: "Bye.<|im_end|>"}.get(turn.number, ""))
    assert shown.trained == int((tokens.weights > 0).sum())


def test_what_is_trained_is_always_the_assistants(codec: Codec) -> None:
    messages = (Message("user", "a"), Message("assistant", "b"), Message("user", "b"), Message("assistant", "a"))
    sample = Conversation(messages, ORIGIN)
    tokens = encode(sample, codec, ChatConfig()).sequences[0]
    shown = sample_of(tokens, 1, sample, codec, ChatConfig())
    trained = {turn.role for turn in shown.turns for piece in turn.pieces if piece.weight}
    assert trained == {"assistant"}
