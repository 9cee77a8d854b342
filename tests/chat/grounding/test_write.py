"""Names and boxes in the text, as each family writes them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swift.chat.codec import Codec
from swift.chat.encode import encode, prompt_text
from swift.chat.grounding.formats import choose
from swift.chat.grounding.write import ground, named, written_box, written_ref
from swift.chat.messages import prepare
from swift.config.chat import ChatConfig
from swift.errors import RowError
from swift.types import Conversation, Media, Message, Objects, Origin, Placed
from tests.chat.support import CHATML, codec_for

OPTIONS = ChatConfig()
SHARE = (0.1, 0.25, 0.5, 1.0)


def grounded(codec: Codec, objects: Objects, *messages: Message) -> list[str]:
    return [
        message.content for message in ground(Conversation(messages, Origin("a", 1), objects=objects), codec).messages
    ]


@pytest.mark.parametrize(
    ("name", "ref", "box", "point"),
    [
        ("plain", "cat", "[100, 250, 500, 1000]", "[100, 250]"),
        ("qwen_vl", "<ref>cat</ref>", "<box>(100,250),(500,1000)</box>", "<box>(100,250)</box>"),
        (
            "qwen2_vl",
            "<|object_ref_start|>cat<|object_ref_end|>",
            "<|box_start|>(100,250),(500,1000)<|box_end|>",
            "<|box_start|>(100,250)<|box_end|>",
        ),
        ("qwen2_5_vl", "cat", "[64, 120, 320, 480]", "[64, 120]"),
        ("qwen3_vl", "cat", "[100, 250, 500, 1000]", "[100, 250]"),
        ("internvl", "<ref>cat</ref>", "<box>[[100, 250, 500, 1000]]</box>", "<box>[[100, 250]]</box>"),
        (
            "deepseek_vl2",
            "<|ref|>cat<|/ref|>",
            "<|det|>[[100, 250, 500, 999]]<|/det|>",
            "<|det|>[[100, 250]]<|/det|>",
        ),
        (
            "glm4v",
            "cat",
            "<|begin_of_box|>[100, 250, 500, 1000]<|end_of_box|>",
            "<|begin_of_box|>[100, 250]<|end_of_box|>",
        ),
        ("cogvlm", "cat", "[[100,250,500,999]]", "[[100,250]]"),
        ("florence", "cat", "<loc_100><loc_250><loc_500><loc_999>", "<loc_100><loc_250>"),
        # The upper edge comes first.
        ("paligemma", "cat", "<loc0256><loc0102><loc1023><loc0512>", "<loc0256><loc0102>"),
    ],
)
def test_every_format_word_for_word(name: str, ref: str, box: str, point: str) -> None:
    form = choose(name)
    assert written_ref("cat", form) == ref
    assert written_box(SHARE, form, (640, 480)) == box
    assert written_box(SHARE[:2], form, (640, 480)) == point


@pytest.mark.parametrize(
    ("norm", "box"),
    [
        ("none", "<box>[[64, 120, 320, 480]]</box>"),
        ("norm1", "<box>[[0.100, 0.250, 0.500, 1.000]]</box>"),
        ("norm1000", "<box>[[100, 250, 500, 1000]]</box>"),
    ],
)
def test_other_units(norm: str, box: str) -> None:
    assert written_box(SHARE, choose("internvl", "", norm), (640, 480)) == box  # type: ignore[arg-type]


def test_small_numbers_are_filled_up_where_the_family_does_so() -> None:
    assert written_box((0.0, 0.004, 0.05, 0.1), choose("cogvlm")) == "[[000,004,050,100]]"
    assert written_box((0.0, 0.0, 0.01, 0.1), choose("paligemma")) == "<loc0000><loc0000><loc0102><loc0010>"


def test_tags_are_filled_in_order_through_all_turns_and_thoughts() -> None:
    codec = codec_for(CHATML, grounding="internvl")
    objects = Objects(("cat", "dog"), ((0.1, 0.2), (0.3, 0.4), (0.5, 0.6)), "norm1", (0, 0, 0))
    sample = Conversation(
        (
            Message("system", "A <bbox> is <ref-object>."),
            Message("user", "<ref-object> at <bbox>?"),
            Message("assistant", "No: <ref-object> at <bbox>.", reasoning="hm <bbox>"),
        ),
        Origin("a", 1),
        objects=objects,
    )
    system, question, answer = ground(sample, codec).messages
    assert system.content == "A <bbox> is <ref-object>.", "only those who talk about the picture have tags"
    assert question.content == "<ref>cat</ref> at <box>[[100, 200]]</box>?"
    assert answer.reasoning == "hm <box>[[300, 400]]</box>"
    assert answer.content == "No: <ref>dog</ref> at <box>[[500, 600]]</box>."


def test_tags_without_the_column_are_text() -> None:
    sample = Conversation((Message("user", "<bbox>"), Message("assistant", "<ref-object>")), Origin("a", 1))
    assert ground(sample, codec_for(CHATML)) is sample


def test_a_tag_in_a_name_is_part_of_the_name() -> None:
    objects = Objects(("<bbox>", "b"), ((0.5, 0.5),), "norm1", (0,))
    texts = grounded(codec_for(CHATML), objects, Message("user", "<ref-object> <ref-object> <bbox>"))
    assert texts == ["<bbox> b [500, 500]"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"label": "<ref-object>"}', '{"label": "a \\"b\\" c"}'),
        ("see <ref-object>.", 'see a "b" c.'),
    ],
)
def test_a_name_inside_a_json_string_does_not_end_it(text: str, expected: str) -> None:
    objects = Objects(('a "b" c',), ())
    assert grounded(codec_for(CHATML), objects, Message("user", text)) == [expected]


def test_the_same_in_training_and_in_the_prompt_and_only_once() -> None:
    codec = codec_for(CHATML, grounding="plain")
    sample = Conversation(
        (Message("user", "Where is <ref-object>?"), Message("assistant", "At <bbox>.")),
        Origin("a", 1),
        objects=Objects(("<ref-object>",), ((0.1, 0.2, 0.3, 0.4),), "norm1", (0,)),
    )
    (tokens,) = encode(sample, codec, OPTIONS).sequences
    assert codec.decode(tokens.ids).startswith(prompt_text(sample, codec, OPTIONS))
    assert codec.decode(tokens.ids[tokens.weights > 0]) == "At [100, 200, 300, 400].<|im_end|>"
    assert "Where is <ref-object>?" in prompt_text(sample, codec, OPTIONS), "a name that looks like a tag stays"
    once = prepare(sample, codec, OPTIONS)
    assert prepare(once, codec, OPTIONS) == once


@given(
    st.lists(st.sampled_from(["<bbox>", "<ref-object>", "PICTURE", "x", " ", "<b", "box>", "é\n"]), max_size=12),
    st.sampled_from(["internvl", "florence", "plain"]),
)
def test_media_keep_their_places(parts: list[str], name: str) -> None:
    text, media, expected, plain = "", [], [], ""
    form = choose(name)
    for part in parts:
        if part == "PICTURE":
            media.append(Placed(len(text), Media("image", str(len(media)))))
            expected += [plain, media[-1].media]
            plain = ""
            continue
        text += part
        plain += {"<bbox>": written_box((0.5, 0.5), form), "<ref-object>": written_ref("a cat", form)}.get(part, part)
    expected.append(plain)
    if any("<b" in a and "box>" in b for a, b in pairwise(parts)):
        return  # together they make a tag
    objects = Objects(("a cat",) * parts.count("<ref-object>"), ((0.5, 0.5),) * parts.count("<bbox>"), "norm1")
    objects = replace(objects, images=(0,) * len(objects.boxes))
    sample = Conversation((Message("user", text, media=tuple(media)),), Origin("a", 1), objects=objects)
    (message,) = ground(sample, codec_for(CHATML, grounding=name)).messages
    assert message.parts == tuple(part for part in expected if part != "")


def test_boxes_in_pixels_need_a_picture() -> None:
    objects = Objects((), ((1.0, 2.0),), "real", (0,))
    with pytest.raises(RowError, match=r"bad_objects: a box is in picture 0 \(from 0\), and the row has 0"):
        grounded(codec_for(CHATML), objects, Message("user", "<bbox>"))


@pytest.mark.parametrize(
    ("refs", "boxes", "names"),
    [
        (("a", "b"), 2, ["a", "b"]),
        (("a",), 3, ["a", "a", "a"]),
        (("asked", "a", "b"), 2, ["a", "b"]),
        (("a", "b"), 3, [None, None, None]),
        (("a", "b"), 0, []),
        ((), 1, [None]),
    ],
)
def test_which_name_is_whose(refs: tuple[str, ...], boxes: int, names: list[str | None]) -> None:
    assert named(Objects(refs, ((0.0, 0.0),) * boxes, "norm1", (0,) * boxes)) == names
