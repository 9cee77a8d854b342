"""Text that is shown while it is made."""

from __future__ import annotations

import random

import pytest

from swift.engines.text import TextStream
from swift.models.tiny import tiny_tokenizer

NASTY = [
    "plain words, and  two spaces\n\n\ttab ",
    "emoji 👩‍👩‍👧‍👦 and 🇫🇷 and é and e\u0301",
    "你好，世界。混ぜる中文 и русский",
    " leading space",
    "�already a replacement character�",
    "\x00\x7f control",
]


def _stream(ids, decode, stop=()):
    stream = TextStream(decode, stop)
    pieces = []
    for token in ids:
        stream.add(token)
        pieces.append(stream.take())
        if stream.stopped:
            break
    stream.finish()
    pieces.append(stream.take(final=True))
    return pieces, stream


@pytest.mark.parametrize("text", NASTY)
def test_pieces_are_whole_characters_and_join_to_the_text(text):
    tokenizer = tiny_tokenizer().backend_tokenizer
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    pieces, stream = _stream(ids, lambda some: tokenizer.decode(list(some), skip_special_tokens=False))
    assert "".join(pieces) == text
    assert stream.text == text
    if "�" not in text:
        assert not any("�" in piece for piece in pieces)


def test_random_bytes_join_to_what_decoding_them_at_once_gives():
    tokenizer = tiny_tokenizer().backend_tokenizer
    draw = random.Random(0)
    for _ in range(50):
        ids = [draw.randrange(3, 384) for _ in range(30)]
        pieces, _ = _stream(ids, lambda some: tokenizer.decode(list(some), skip_special_tokens=False))
        assert "".join(pieces) == tokenizer.decode(ids, skip_special_tokens=False)


def test_spaces_that_a_decoder_strips_at_the_start_stay_inside():
    from tokenizers import Tokenizer, decoders
    from tokenizers.models import BPE

    words = {"▁one": 0, "▁two": 1, "x": 2, "<0xE4>": 3, "<0xBD>": 4, "<0xA0>": 5}
    tokenizer = Tokenizer(BPE(words, [], byte_fallback=True))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    ids = [0, 1, 2, 3, 4, 5, 1, 0]
    pieces, _ = _stream(ids, lambda some: tokenizer.decode(list(some)))
    assert "".join(pieces) == tokenizer.decode(ids) == "one twox你 two one"
    assert pieces[3] == pieces[4] == ""


def _letters(ids):
    return "".join(chr(number) for number in ids)


@pytest.mark.parametrize(
    ("text", "stop", "shown"),
    [
        ("hello END more", ("END",), "hello "),
        ("hello ENx EN", ("END",), "hello ENx EN"),
        ("aaab", ("aab",), "a"),
        ("one two", ("two", "one t"), ""),
        ("abc", ("",), "abc"),
        ("###", ("##",), ""),
    ],
)
def test_stop_texts_across_tokens(text, stop, shown):
    pieces, stream = _stream([ord(letter) for letter in text], _letters, stop)
    assert "".join(pieces) == shown
    assert stream.text == shown
    assert stream.stopped == any(some and some in text for some in stop)


def test_nothing_of_a_stop_text_is_ever_shown():
    stream = TextStream(_letters, ("<end>",))
    shown = ""
    for letter in "a < b <en <end>":
        stream.add(ord(letter))
        shown += stream.take()
        assert "a < b <en ".startswith(shown)
    assert stream.stopped
    assert shown == "a < b <en "
