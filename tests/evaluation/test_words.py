"""Short answers against numbers worked out by hand, and against sacrebleu."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swift.errors import ConfigError
from swift.evaluation.boxes import boxes_in, iou, mean_iou
from swift.evaluation.calls import same_calls, same_names
from swift.evaluation.structured import json_in, schema_check
from swift.evaluation.words import anls, distance, f1, letter_in, number_in, same_number, squad_exact, vqa
from swift.inference.overlap import bleu, bleu_counts, bleu_of
from swift.types import ToolCall


@pytest.mark.parametrize(
    ("predicted", "references", "score"),
    [
        ("the cat", ["A cat!"], 1.0),
        ("a black cat", ["cat"], 2 / 3),
        ("dog", ["cat", "dog house"], 2 / 3),
        ("", ["the"], 1.0),
        ("", ["cat"], 0.0),
        ("cat cat", ["cat"], 2 / 3),
    ],
)
def test_f1(predicted: str, references: list[str], score: float) -> None:
    assert f1(predicted, references) == pytest.approx(score)


def test_squad_exact() -> None:
    assert squad_exact("The  Cat.", ["cat"])
    assert not squad_exact("cats", ["cat"])


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("so it is 1,234.50 dollars", "1234.50"),
        ("#### 18", "18"),
        ("18 apples\n#### 9 of 10", "9"),
        ("between 3 and -4", "-4"),
        ("1,2 and 3", "3"),
        ("no digits", None),
        ("#### none, but 7", "7"),
    ],
)
def test_numbers(text: str, number: str | None) -> None:
    assert number_in(text) == (None if number is None else Decimal(number))


def test_equal_numbers() -> None:
    assert same_number("It is 12.0", ["12"])
    assert not same_number("It is 12.5", ["12"])
    assert not same_number("none", ["none"])


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("B. Paris", "B"),
        ("(C) because A is wrong", "C"),
        ("**D**", "D"),
        ("The answer is (B).", "B"),
        ("Answer: C", "C"),
        ("A dog barks, so the answer is D", "D"),
        ("A dog barks.", None),
        ("I think it must be C, not anything else", "C"),
        ("答案是B", "B"),
        ("E", None),
        ("", None),
        ("Because", None),
        ("A", "A"),
    ],
)
def test_letters(text: str, letter: str | None) -> None:
    assert letter_in(text, "ABCD") == letter


@given(st.text(), st.text())
def test_anything_can_be_read(text: str, other: str) -> None:
    assert letter_in(text, "ABCD") in (None, "A", "B", "C", "D")
    number_in(text)
    assert 0 <= f1(text, [other]) <= 1
    assert 0 <= anls(text, [other]) <= 1
    assert 0 <= vqa(text, [other]) <= 1
    assert distance(text, other) == distance(other, text) <= max(len(text), len(other))
    json_in(text)
    boxes_in(text)


def test_anls() -> None:
    assert distance("kitten", "sitting") == 3
    assert anls("Hello World", ["hello  world"]) == 1.0
    assert anls("hallo", ["hello"]) == pytest.approx(0.8)
    assert anls("xyz", ["hello"]) == 0.0  # less than half right is nothing


def test_vqa_leaves_one_person_out() -> None:
    people = ["yes"] * 3 + ["no"] * 7
    # Of ten people, three agree: without one of them 2/3 each, without one of the others 1 each.
    assert vqa("Yes.", people) == pytest.approx((3 * 2 / 3 + 7 * 1) / 10)
    assert vqa("no", people) == 1.0
    assert vqa("two", ["2"]) == 1.0
    assert vqa("the 2", ["two"]) == 1.0


def test_json(tmp_path: object) -> None:
    assert json_in('{"a": [1]}') == (True, {"a": [1]})
    assert json_in("```json\n[1]\n```") == (True, [1])
    assert json_in("it is [1]")[0] is False
    assert json_in("NaN")[0] is False
    assert json_in("[" * 100_000)[0] is False


def test_schema(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("schema") / "schema.json"
    path.write_text('{"type": "object", "required": ["a"]}')
    check = schema_check(str(path))
    assert check({"a": 1})
    assert not check({"b": 1})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("3", "neither an object nor true or false"),
        ('{"$ref": "#/nowhere"}', "/nowhere'?, which is not in it"),
        ('{"properties": {"a": {"$ref": "#/$defs/x"}}}', "which is not in it"),
        ('{"$ref": "https://example.org/x.json"}', "which is not in it"),
        ('{"$ref": "#"}', "names itself without end"),
        ('{"properties": {"a": ' * 200 + "{}" + "}}" * 200, "nested too deeply"),
    ],
)
def test_schemas_that_cannot_be_used(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=why):
        schema_check(str(path))


def test_references_within_a_schema(tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    whole = {"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"type": "integer"}}}
    # What an enum holds is data, whatever it looks like.
    path.write_text(json.dumps({**whole, "enum": [{"a": 1}, {"a": "x"}, {"$ref": "#/y"}]}))
    check = schema_check(str(path))
    assert check({"a": 1})
    assert not check({"a": "x"})
    tree = {"properties": {"left": {"$ref": "#"}}, "additionalProperties": False}
    path.write_text(json.dumps(tree))
    assert schema_check(str(path))({"left": {"left": {}}})
    # Up to draft 7, what stands beside a reference does not count.
    beside = {"$ref": "#/definitions/x", "properties": {"a": {"$ref": "#/nowhere"}}}
    old = {"$schema": "http://json-schema.org/draft-07/schema#", "items": beside, "definitions": {"x": {"minimum": 1}}}
    path.write_text(json.dumps(old))
    check = schema_check(str(path))
    assert check([1])
    assert not check([0])


def test_boxes() -> None:
    assert boxes_in("at [1, 2, 3, 4] and (5,6),(7,8.5)") == [(1, 2, 3, 4), (5, 6, 7, 8.5)]
    assert iou((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert iou((0, 0, 0, 0), (0, 0, 0, 0)) == 0
    assert mean_iou([(0, 0, 2, 2)], [(0, 0, 2, 2), (5, 5, 6, 6)]) == 0.5
    assert mean_iou([], []) == 1.0


def test_calls() -> None:
    one, two = ToolCall("find", {"a": 1}), ToolCall("find", {"a": True})
    assert same_calls((one, two), (two, one))
    assert not same_calls((one, one), (one, two))
    assert not same_calls((), (one,))
    assert same_calls((ToolCall("now", None),), (ToolCall("now", {}),))
    assert same_names((one,), (two,))


def test_bleu_of_counts_is_that_of_all_answers() -> None:
    said = ["the cat sat on the mat today", "a dog barks", ""]
    right = ["the cat sat on the mat", "the dog barks loudly at night", "something"]
    counts = [bleu_counts(*pair) for pair in zip(said, [[text] for text in right], strict=True)]
    assert bleu_of([sum(column) for column in zip(*counts, strict=True)]) == pytest.approx(bleu(said, right))
