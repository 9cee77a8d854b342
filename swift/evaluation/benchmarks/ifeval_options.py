"""What each instruction of IFEval has to say besides its name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from swift.errors import RowError

_NUMBERS = frozenset((
    "frequency", "let_frequency", "num_sentences", "num_paragraphs", "num_words", "nth_paragraph", "num_placeholders",
    "num_bullets", "num_highlights", "num_sections", "capital_frequency",
))  # fmt: skip
_LISTS = frozenset(("keywords", "forbidden_words"))
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "keywords:existence": ("keywords",),
    "keywords:frequency": ("keyword", "frequency", "relation"),
    "keywords:forbidden_words": ("forbidden_words",),
    "keywords:letter_frequency": ("letter", "let_frequency", "let_relation"),
    "length_constraints:number_sentences": ("num_sentences", "relation"),
    "length_constraints:number_paragraphs": ("num_paragraphs",),
    "length_constraints:number_words": ("num_words", "relation"),
    "length_constraints:nth_paragraph_first_word": ("num_paragraphs", "nth_paragraph", "first_word"),
    "detectable_content:number_placeholders": ("num_placeholders",),
    "detectable_content:postscript": ("postscript_marker",),
    "detectable_format:number_bullet_lists": ("num_bullets",),
    "detectable_format:number_highlighted_sections": ("num_highlights",),
    "detectable_format:multiple_sections": ("section_spliter", "num_sections"),
    "combination:repeat_prompt": ("prompt_to_repeat",),
    "startend:end_checker": ("end_phrase",),
    "change_case:capital_word_frequency": ("capital_frequency", "capital_relation"),
}


def options_of(rule: str, given: Any) -> dict[str, Any]:
    """The options of an instruction, without those that say nothing.

    Raises:
        RowError: One that it needs is missing, or is of another kind.
    """
    if given is not None and not isinstance(given, Mapping):
        raise RowError("bad_row", f"its kwargs hold {given!r}, and no object"[:200])
    options = {key: value for key, value in (given or {}).items() if not _is_missing(value)}
    for name in _NEEDS.get(rule, ()):
        if name not in options:
            raise RowError("bad_row", f"its instruction {rule} lacks {name}")
        if not _fits(name, options[name]):
            raise RowError("bad_row", f"its instruction {rule} has {name} {options[name]!r}"[:200])
    return options


def _is_missing(value: Any) -> bool:
    """Tables of numbers have NaN where there is none."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _fits(name: str, value: Any) -> bool:
    if name in _NUMBERS:
        whole = value.is_integer() if isinstance(value, float) else isinstance(value, int)
        return whole and not isinstance(value, bool)
    if name in _LISTS:
        return isinstance(value, list) and all(isinstance(word, str) for word in value)
    return isinstance(value, str)
