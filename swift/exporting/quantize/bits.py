"""Which layer gets how many bits, by rules on parts of names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from swift.errors import ConfigError, UnknownNameError

_RULE = re.compile(r"(?P<part>[\w.-]+?)=(?P<bits>\d+)")
_RANGE = re.compile(r"(?P<start>\d+)-(?P<end>\d+)")
WHOLE = 16
"""Bits of a layer that stays as it is."""


def bits_of(rules: Iterable[str], names: Sequence[str], usual: int, allowed: Sequence[int]) -> dict[str, int]:
    """The bits of each layer.

    Args:
        rules: PART=BITS, several behind commas too: a part of a name, such as `down_proj`, `layers.0` or `layers.0-3`,
            the last rule that matches counts. 16 leaves a layer as it is.
        names: Full names of the layers.
        usual: Bits where no rule matches.
        allowed: What the method knows.

    Raises:
        ConfigError: A rule cannot be read, or asks for bits that the method does not know.
        UnknownNameError: A rule matches nothing.
    """
    found = dict.fromkeys(names, usual)
    for rule in filter(None, (piece.strip() for text in rules for piece in text.split(","))):
        match = _RULE.fullmatch(rule)
        if match is None:
            raise ConfigError(f"--bits_rule {rule!r} is not PART=BITS", hint="such as layers.0-1=8 or down_proj=8")
        bits = int(match["bits"])
        if bits not in (*allowed, WHOLE):
            known = ", ".join(map(str, (*allowed, WHOLE)))
            message = f"--bits_rule {rule!r}: {bits} bits are not among {known}"
            raise ConfigError(message, hint=f"{WHOLE} leaves a layer as it is")
        matching = [name for name in names if any(f".{part}." in f".{name}." for part in _parts(match["part"], rule))]
        if not matching:
            pieces = sorted({piece for name in names for piece in name.split(".") if not piece.isdigit()})
            raise UnknownNameError("layer in --bits_rule:", match["part"], pieces, hint=f"layers have {pieces}")
        found.update(dict.fromkeys(matching, bits))
    return found


def _parts(text: str, rule: str) -> list[str]:
    """Names that a part stands for: `layers.0-2` is three."""
    match = _RANGE.search(text)
    if match is None:
        return [text]
    start, end = int(match["start"]), int(match["end"])
    if start > end or end - start > 100_000:
        raise ConfigError(f"--bits_rule {rule!r}: {start}-{end} is no range", hint="such as layers.0-3=8")
    return [f"{text[: match.start()]}{number}{text[match.end() :]}" for number in range(start, end + 1)]


def is_symmetric(wanted: bool | None, bits: Iterable[int], *, experts: bool) -> bool:
    """Whether scales have no zero points.

    transformers 5.24 reads zero points of a single number of bits, and none in mixtures of experts.

    Args:
        wanted: What the user says; None where nothing.
        bits: Of the layers.
        experts: Whether the model is a mixture of experts.

    Raises:
        ConfigError: Zero points are wanted that transformers does not read.
    """
    kinds = sorted(set(bits))
    if not experts and len(kinds) < 2:
        return bool(wanted)
    if wanted is False:
        told = "in mixtures of experts" if experts else f"where layers have {' and '.join(map(str, kinds))} bits"
        raise ConfigError(f"--quant_symmetric false: transformers does not read zero points {told}", hint="take it out")
    return True
