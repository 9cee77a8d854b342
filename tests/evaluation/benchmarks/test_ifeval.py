"""Each instruction of IFEval with an answer that follows it, and one that does not."""

from __future__ import annotations

from typing import Any

import pytest

from swift.errors import RowError
from swift.evaluation.benchmarks.ifeval import IFEVAL, failed, followed, follows
from swift.evaluation.benchmarks.ifeval_options import options_of
from swift.evaluation.item import Item
from swift.types import Conversation, Message, Origin

Case = tuple[str, dict[str, Any], str, str]

CASES: list[Case] = [
    ("keywords:existence", {"keywords": ["Sun", "moon"]}, "sun and Moon", "the sun"),
    ("keywords:frequency", {"keyword": "tea", "frequency": 2, "relation": "at least"}, "tea, Tea", "tea"),
    ("keywords:frequency", {"keyword": "tea", "frequency": 2, "relation": "less than"}, "tea", "tea tea"),
    ("keywords:forbidden_words", {"forbidden_words": ["cat"]}, "category", "a Cat!"),
    ("keywords:letter_frequency", {"letter": "z", "let_frequency": 2, "let_relation": "at least"}, "Zz", "z"),
    ("length_constraints:number_sentences", {"num_sentences": 3, "relation": "less than"}, "A b. C d.", "A. B. C."),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb", "a\n\nb"),
    ("length_constraints:number_words", {"num_words": 3, "relation": "at least"}, "a b c", "a b"),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "so"},
        "x\n\nSo, y",
        "so x\n\ny",
    ),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[name] in [town]", "[name]"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "x\nP.S. y", "x y"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n* b", "* a\n* b\n- c"),
    ("detectable_format:constrained_response", {}, "My answer is maybe.", "maybe"),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*a* and **b**", "*a* b"),
    ("detectable_format:multiple_sections", {"section_spliter": "Part", "num_sections": 2}, "Part 1 Part 2", "Part 1"),
    ("detectable_format:json_format", {}, '```json\n{"a": 1}\n```', "{a}"),
    ("detectable_format:title", {}, "<<x>> y", "<< >> y"),
    ("combination:two_responses", {}, "a ****** b", "a ****** a"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say it"}, "say it: x", "x say it"),
    ("startend:end_checker", {"end_phrase": "The end."}, 'x "the end."', "the end. x"),
    ("startend:quotation", {}, '"x"', '"x'),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": "at least"},
        "ONE and TWO",
        "ONE and Two",
    ),
    ("change_case:english_capital", {}, "ALL 2", "ALl"),
    ("change_case:english_lowercase", {}, "all 2", "All"),
    ("punctuation:no_comma", {}, "a b", "a, b"),
]


@pytest.mark.parametrize(("rule", "options", "good", "bad"), CASES, ids=[case[0] for case in CASES])
def test_instructions(rule: str, options: dict[str, Any], good: str, bad: str) -> None:
    assert options_of(rule, options) == options
    assert follows(good, rule, options)
    assert not follows(bad, rule, options)
    assert not follows(" ", rule, options)


def test_all_loosely_or_each() -> None:
    row = {
        "key": 7,
        "prompt": "x",
        "instruction_id_list": ["change_case:english_lowercase", "punctuation:no_comma"],
        "kwargs": [{}, {"num_words": None}],
    }
    asked = IFEVAL.ask(row)
    item = Item(asked.id, Conversation(asked.messages, Origin("x", 1)), asked.reference)
    scores = followed(Message("assistant", "Sure, so:\nall is small, here"), item)
    assert scores == {"strict": False, "loose": False, "each": [False, False]}
    assert followed(Message("assistant", "Sure:\nall is small"), item) == {
        "strict": False, "loose": True, "each": [False, True],
    }  # fmt: skip
    assert failed(item)["each"] == [False, False]


def test_rows_that_cannot_be_judged() -> None:
    row = {"prompt": "x", "instruction_id_list": ["language:response_language"], "kwargs": [{"language": "de"}]}
    with pytest.raises(RowError, match="left_out"):
        IFEVAL.ask(row)
    with pytest.raises(RowError, match="not known"):
        IFEVAL.ask({**row, "instruction_id_list": ["x:y"]})
    with pytest.raises(RowError, match="one length"):
        IFEVAL.ask({**row, "kwargs": []})
    counted = {**row, "instruction_id_list": ["length_constraints:number_words"]}
    with pytest.raises(RowError, match="number_words lacks num_words"):
        IFEVAL.ask({**counted, "kwargs": [{"relation": "at least"}]})
    for number in ("many", 2.5, float("inf"), True):
        with pytest.raises(RowError, match=f"has num_words {number!r}"):
            IFEVAL.ask({**counted, "kwargs": [{"relation": "at least", "num_words": number}]})
    with pytest.raises(RowError, match="lacks num_words"):
        IFEVAL.ask({**counted, "kwargs": [{"relation": "at least", "num_words": float("nan")}]})
    assert IFEVAL.ask({**counted, "kwargs": [{"relation": "at least", "num_words": 3.0, "frequency": float("nan")}]})
    with pytest.raises(RowError, match="no object"):
        IFEVAL.ask({**counted, "kwargs": [[1]]})
    with pytest.raises(RowError, match="lacks"):
        follows("x", "keywords:existence", {})
