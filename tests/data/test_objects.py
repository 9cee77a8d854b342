"""The column `objects`: what it may be, and what is said of one that cannot be used."""

from __future__ import annotations

import json
from typing import Any

import pytest

from swift.config.data import DataConfig
from swift.data.columns import Task, to_sample
from swift.errors import RowError
from swift.types import Conversation, Objects, Origin, Row, Text

GOOD = {"ref": ["cat"], "bbox": [[1, 2, 3, 4]]}


def chat(objects: Any, task: Task = "sft", **columns: Any) -> Conversation | Text:
    values = {"query": "<image><ref-object>?", "response": "<bbox>", "images": ["a.png"], "objects": objects, **columns}
    return to_sample(Row(values, Origin("a", 1)), DataConfig(), task)


def objects_of(objects: Any, task: Task = "sft", **columns: Any) -> Objects | None:
    found = chat(objects, task, **columns)
    assert isinstance(found, Conversation)
    return found.objects


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (GOOD, Objects(("cat",), ((1, 2, 3, 4),), "real", (0,))),
        (json.dumps(GOOD), Objects(("cat",), ((1, 2, 3, 4),), "real", (0,))),
        ({**GOOD, "bbox_type": None, "image_id": None}, Objects(("cat",), ((1, 2, 3, 4),), "real", (0,))),
        ({**GOOD, "bbox": [[1.5, 2]]}, Objects(("cat",), ((1.5, 2),), "real", (0,))),
        ({**GOOD, "bbox": [[3, 3, 3, 3]]}, Objects(("cat",), ((3, 3, 3, 3),), "real", (0,))),
        (
            {**GOOD, "bbox": ((0, 0, 1, 1.0004),), "bbox_type": "norm1"},
            Objects(("cat",), ((0, 0, 1, 1),), "norm1", (0,)),
        ),
        (
            {**GOOD, "bbox": [[-0.4, 0, 1000, 1001]], "bbox_type": "norm1000"},
            Objects(("cat",), ((0, 0, 1000, 1000),), "norm1000", (0,)),
        ),
        ({**GOOD, "image_id": [0], "width": [9], "height": [9]}, Objects(("cat",), ((1, 2, 3, 4),), "real", (0,))),
    ],
)
def test_read(column: Any, expected: Objects) -> None:
    assert objects_of(column) == expected


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ({**GOOD, "bbox": [1, 2, 3, 4]}, "bad_objects: box 1 is a number, not a list [x1, y1, x2, y2]"),
        ({**GOOD, "bbox": "1,2,3,4"}, "bad_objects: bbox is a text, not a list"),
        ({**GOOD, "bbox": [[1, 2, 3]]}, "bad_objects: box 1 is [1, 2, 3]; it takes 4 numbers, or 2 for a point"),
        ({**GOOD, "bbox": [[1, 2, "3", 4]]}, "bad_objects: box 1 is [1, 2, '3', 4]; it takes 4 numbers, or 2"),
        ({**GOOD, "bbox": [[1, 2, float("nan"), 4]]}, "bad_objects: box 1 is [1, 2, nan, 4]; it takes"),
        ({**GOOD, "bbox": [[1, 2, True, 4]]}, "bad_objects: box 1 is [1, 2, True, 4]; it takes"),
        ({**GOOD, "bbox": [[5, 2, 3, 4]]}, "bad_objects: box 1 is [5, 2, 3, 4]: x1, y1 must not be greater"),
        ({**GOOD, "bbox": [[1, 5, 3, 4]]}, "bad_objects: box 1 is [1, 5, 3, 4]: x1, y1 must not be greater"),
        ({**GOOD, "bbox": [[-2, 2, 3, 4]]}, "bad_objects: box 1 is [-2, 2, 3, 4], outside the picture: real counts"),
        (
            {**GOOD, "bbox_type": "norm1"},
            "bad_objects: box 1 is [1, 2, 3, 4], outside the picture: norm1 counts from 0 to",
        ),
        ({**GOOD, "bbox_type": "pixel"}, "bad_objects: bbox_type is 'pixel'; it is one of real, norm1, norm1000"),
        ({**GOOD, "bbox_type": ["real"]}, "bad_objects: bbox_type is"),
        ({**GOOD, "ref": "cat"}, "bad_objects: ref is a text, not a list"),
        ({**GOOD, "ref": [1]}, "bad_objects: name 1 in ref is a number, not a text"),
        ({**GOOD, "boxes": []}, "bad_objects: objects has 'boxes'; known are ref, bbox, bbox_type, image_id"),
        ({**GOOD, "image_id": [1]}, "bad_objects: box 1 is in picture 1 (from 0), and the row has 1"),
        ({**GOOD, "image_id": [-1]}, "bad_objects: image_id 1 is -1; pictures count from 0"),
        ({**GOOD, "image_id": [0, 0]}, "bad_objects: 2 values in image_id for 1 boxes"),
        ([1], "bad_objects: objects is a list, not an object with ref, bbox"),
        ("{", "wrong_type: objects is a text that is not JSON"),
        ({**GOOD, "bbox": []}, "objects_count: 1 tag(s) <bbox> in the text, and 0 boxes in the column objects"),
        ({**GOOD, "bbox": [[1, 2], [3, 4]]}, "objects_count: 1 tag(s) <bbox> in the text, and 2 boxes"),
        ({**GOOD, "ref": []}, "objects_count: 1 tag(s) <ref-object> in the text, and 0 names in ref"),
        ({**GOOD, "ref": ["a", "b"]}, "objects_count: 1 tag(s) <ref-object> in the text, and 2 names in ref"),
    ],
)
def test_refused(column: Any, told: str) -> None:
    with pytest.raises(RowError) as caught:
        objects_of(column)
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("column", [None, {}, "", []])
def test_without_the_column_tags_are_text(column: Any) -> None:
    assert objects_of(column) is None


@pytest.mark.parametrize("column", [["vase", "chair"], {"category": [1]}, "vase", 7])
def test_another_column_of_that_name_is_left_alone(column: Any) -> None:
    assert objects_of(column, query="<image>?", response="a") is None
    assert isinstance(chat(column, "pt", query=None, response=None, images=None, text="plain"), Text)


def test_without_a_picture() -> None:
    with pytest.raises(RowError, match=r"bad_objects: box 1 is in picture 0 \(from 0\), and the row has 0"):
        objects_of(GOOD, images=[], query="<ref-object>?")
    relative = {**GOOD, "bbox": [[0.1, 0.2]], "bbox_type": "norm1"}
    assert objects_of(relative, images=[], videos=["a.mp4"], query="<video><ref-object>?") is not None


def test_a_question_whose_answer_is_yet_to_come_has_no_tags_for_its_boxes() -> None:
    question = [{"role": "user", "content": "<image><ref-object>?"}]
    assert objects_of(GOOD, "prompt", messages=question, query=None, response=None) is not None
    with pytest.raises(RowError, match=r"objects_count: 2 tag\(s\) <ref-object>"):
        objects_of(GOOD, "prompt", messages=[{"role": "user", "content": "<image><ref-object><ref-object>"}])
    with pytest.raises(RowError, match="objects_count: 0 tag"):
        objects_of(GOOD, "prompt", response="nothing")


def test_tags_count_in_thoughts_and_not_in_the_system_message() -> None:
    messages = [
        {"role": "system", "content": "<bbox> <ref-object>"},
        {"role": "user", "content": "<image>?"},
        {"role": "assistant", "content": "<ref-object>", "reasoning_content": "<bbox>"},
    ]
    assert objects_of(GOOD, messages=messages, query=None, response=None) is not None


def test_plain_text_has_none() -> None:
    with pytest.raises(RowError, match="bad_objects: plain text has no objects"):
        chat(GOOD, "pt", query=None, response=None, images=None, text="a <bbox>")
    answer = [{"role": "assistant", "content": "<image><ref-object> <bbox>"}]
    with pytest.raises(RowError, match="wrong_task: objects"):
        chat(GOOD, "pt", query=None, response=None, messages=answer)


def test_rows_that_differ_in_their_boxes_only_do_not_repeat_each_other() -> None:
    from swift.checking.repeats import Sayings

    sayings = Sayings(["a"])
    for number, box in enumerate(([1, 2], [1, 2], [3, 4])):
        values = {"query": "<image>?", "response": "<bbox>", "images": ["a.png"], "objects": {"bbox": [box]}}
        row = Row({**values, "id": number}, Origin("a", number + 1))
        sayings.add(0, row, to_sample(row, DataConfig(), "sft"), train=True)
    assert sayings.duplicates().rows == 1
