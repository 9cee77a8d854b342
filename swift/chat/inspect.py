"""What a tokenizer's own description proves about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tokenizers import AddedToken, Tokenizer

_APART = {"Split", "Digits", "Punctuation", "WhitespaceSplit", "Whitespace", "ByteLevel", "Sequence"}
_TEXT = "One\n two  three\n\n\u00e9\u00df 4\t"


def known_bytes(state: Mapping[str, Any]) -> bytes | None:
    """Bytes that survive encoding and decoding; None where the tokenizer is not a byte-level BPE.

    A byte-level tokenizer drops bytes that its vocabulary lacks without a word.

    Args:
        state: What the tokenizer says of itself: its JSON form.
    """
    if state["model"].get("type") != "BPE" or (state["decoder"] or {}).get("type") != "ByteLevel":
        return None
    if (state["normalizer"] or {}).get("type", "NFC") != "NFC":
        return None
    if any(token["lstrip"] or token["rstrip"] for token in state["added_tokens"]):
        return None
    vocabulary = state["model"]["vocab"]
    return bytes(byte for byte, character in enumerate(_byte_characters()) if character in vocabulary)


def _byte_characters() -> Iterator[str]:
    """The character that stands for each byte in byte-level vocabularies (GPT-2, Radford et al. 2019)."""
    shifted = 256
    for byte in range(256):
        if 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte <= 255:
            yield chr(byte)
        else:
            yield chr(shifted)
            shifted += 1


def splits_apart(tokenizer: Tokenizer, state: Mapping[str, Any]) -> bool:
    """Whether text between two added tokens gets the ids that it gets alone.

    So it is where added tokens are matched as they are, neither the normalizer nor the pre-tokenizer treats a text's
    beginning in a way of its own, and a trial with every kind of neighbour confirms it.

    Args:
        tokenizer: The tokenizer.
        state: Its JSON form.
    """
    if any(t["lstrip"] or t["rstrip"] or t["single_word"] or t["normalized"] for t in state["added_tokens"]):
        return False
    if (state["normalizer"] or {}).get("type", "NFC") != "NFC":
        return False
    if not all(_starts_like_any(step) for step in _steps(state["pre_tokenizer"])):
        return False
    marks = [token["content"] for token in state["added_tokens"][:2] if token["content"]]
    for mark in marks:
        together = tokenizer.encode(mark + _TEXT + mark + mark + _TEXT, add_special_tokens=False).ids
        alone = tokenizer.encode(_TEXT, add_special_tokens=False).ids
        number = tokenizer.token_to_id(mark)
        if together != [number, *alone, number, number, *alone]:
            return False
    return bool(marks)


def _steps(step: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    if step is not None:
        yield step
        for inner in step.get("pretokenizers", ()):
            yield from _steps(inner)


def _starts_like_any(step: dict[str, Any]) -> bool:
    return step["type"] in _APART and not step.get("add_prefix_space", False)


def anchor(added: Mapping[int, AddedToken]) -> tuple[str, int] | None:
    """An added token that leaves the text behind it alone."""
    for number, token in sorted(added.items()):
        if token.special and not token.rstrip and token.content.strip() == token.content != "":
            return token.content, number
    return None


def any_of(texts: Iterable[str]) -> re.Pattern[str]:
    """A pattern, in a group, that matches any of `texts`, none of them empty."""
    # The longest first: that is how the tokenizer chooses among added tokens that begin at the same place.
    longest_first = sorted({text for text in texts if text}, key=lambda text: (-len(text), text))
    return re.compile(f"({'|'.join(map(re.escape, longest_first)) or '(?!)'})")
