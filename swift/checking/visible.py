"""Text of a row, made safe and readable: white space shows, and nothing in it commands a terminal."""

from __future__ import annotations

import unicodedata

_PICTURES = 0x2400  # Unicode's pictures of control characters


def visible(text: str) -> str:
    """`text` with line ends marked, tabs as arrows, and control characters as pictures of themselves."""
    return "".join(map(_one, text))


def _one(character: str) -> str:
    if character == "\n":
        return "↵\n"
    if character == "\t":
        return "→\t"
    code = ord(character)
    if code < 32:
        return chr(_PICTURES + code)
    # Control, format and surrogate characters, such as those that turn the direction of writing around.
    if unicodedata.category(character) in ("Cc", "Cf", "Cs") and character not in "\u200c\u200d":
        return f"\\u{code:04x}"
    return character
