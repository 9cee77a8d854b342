"""From text back to places: the inverse of writing, and nothing worse than nothing for any other text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swift.chat.grounding.formats import Format, choose, formats
from swift.chat.grounding.parse import parse
from swift.chat.grounding.write import written_box, written_ref
from swift.types import Spot

EVERY = sorted(formats)
SIZE = (640, 480)
SHOWN = (560, 420)
NAMES = st.text("abcxyz é你", min_size=1, max_size=8).map(str.strip).filter(bool)


def near(one: tuple[float, ...], other: tuple[float, ...], form: Format) -> bool:
    """Equal within what the format's steps can tell; a whole one at the edge, where the last step may lack."""
    steps = form.coordinates.steps
    slack = [side / (1000 if steps == 1 else steps or seen) for side, seen in zip(SIZE, SHOWN, strict=True)]
    return len(one) == len(other) and all(
        abs(a - b) <= slack[n % 2] + 1e-6 for n, (a, b) in enumerate(zip(one, other, strict=True))
    )


@st.composite
def places(draw: st.DrawFn) -> list[tuple[str, tuple[float, ...]]]:
    share = st.floats(0, 1)
    box = st.tuples(share, share, share, share).map(
        lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
    )
    return draw(st.lists(st.tuples(NAMES, st.one_of(box, st.tuples(share, share))), max_size=4))


def whole(form: Format, items: list[tuple[str, tuple[float, ...]]]) -> str:
    """An answer as the family writes it."""
    pairs = [(written_ref(name, form), written_box(share, form, SHOWN)) for name, share in items]
    if form.naming == "json":
        return "[" + ", ".join(f'{{"bbox_2d": {box}, "label": "{name}"}}' for name, box in pairs) + "]"
    if form.naming == "after":
        return " ; ".join(f"{box} {name}" for name, box in pairs)
    return "".join(f"{name}{box}" for name, box in pairs)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("norm", ["auto", "none", "norm1", "norm1000"])
@given(items=places())
def test_what_was_written_is_read(name: str, norm: str, items: list[tuple[str, tuple[float, ...]]]) -> None:
    if choose(name).tokens:
        norm = "auto"
    form = choose(name, "", norm)  # type: ignore[arg-type]
    found = parse(whole(form, items), form, SIZE, SHOWN)
    assert [spot.ref for spot in found] == [None if form.naming == "none" else ref for ref, _ in items]
    for spot, (_, share) in zip(found, items, strict=True):
        pixels = tuple(value * SIZE[place % 2] for place, value in enumerate(share))
        assert near(spot.box, pixels, form), (spot, pixels)


@pytest.mark.parametrize("name", EVERY)
@given(items=places(), data=st.data())
def test_a_text_that_is_cut_off_has_the_first_of_its_places(
    name: str, items: list[tuple[str, tuple[float, ...]]], data: st.DataObject
) -> None:
    form = choose(name)
    text = whole(form, items)
    cut = text[: data.draw(st.integers(0, len(text)))]
    boxes = [spot.box for spot in parse(text, form, SIZE, SHOWN)]
    found = [spot.box for spot in parse(cut, form, SIZE, SHOWN, cut=True)]
    assert found == boxes[: len(found)]
    if cut == text and not form.tokens:
        assert found == boxes


PIECES = [
    *("<loc_9>", "<loc0009>", "<box>", "</box>", "<ref>", "</ref>", "<|box_start|>", "<|box_end|>", "<|det|>"),
    *("<|begin_of_box|>", "[", "]", "(", ")", ",", ";", " ", "{", "}", '"label": "', '"', "\\", "word"),
    *("1", "999999999999", "-3", "4.5"),
]


@pytest.mark.parametrize("name", EVERY)
@given(text=st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_whatever_the_text_is_places_are_in_the_picture(name: str, text: str) -> None:
    for spot in parse(text, choose(name), SIZE, SHOWN):
        assert len(spot.box) in (2, 4)
        assert all(0 <= value <= SIZE[place % 2] for place, value in enumerate(spot.box))
        if len(spot.box) == 4:
            assert spot.box[0] <= spot.box[2]
            assert spot.box[1] <= spot.box[3]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("plain", "Nothing is there.", []),
        ("plain", "a [0, 0, 1000, 1000] b", [Spot((0, 0, 640, 480))]),
        ("plain", "[ 500 ,\n 500,1000 ,1000 ]", [Spot((320, 240, 640, 480))]),
        ("plain", "[1000, 1000, 500, 500]", [Spot((320, 240, 640, 480))]),
        ("plain", "[0, 0, 2000, 1000]", [Spot((0, 0, 640, 480))]),
        ("plain", "[1, 2, 3] [1, 2, 3, 4, 5]", []),
        ("qwen3_vl", '[{"bbox_2d": [0, 0, 500, 500], "label": "a \\"b\\""},', [Spot((0, 0, 320, 240), 'a "b"')]),
        ("qwen3_vl", '{"label": "cat", "point_2d": [500, 500]}', [Spot((320, 240), "cat")]),
        ("qwen3_vl", '{"bbox_2d": [0, 0, 500, 500], "label": "ca', [Spot((0, 0, 320, 240))]),
        ("qwen3_vl", '{"label": "cat"} [0, 0, 500, 500] {"label": "dog"}', [Spot((0, 0, 320, 240))]),
        ("qwen2_5_vl", "[0, 0, 280, 210]", [Spot((0, 0, 320, 240))]),
        ("qwen2_vl", "<|box_start|>(0,0),(500", []),
        ("qwen2_vl", "<|box_start|>(0,0),(500,500)", [Spot((0, 0, 320, 240))]),
        ("qwen2_vl", "(0,0),(500,500)", []),
        (
            "qwen2_vl",
            "<|object_ref_start|>a<|object_ref_end|><|box_start|>(0,0),(500,500)<|box_end|><|box_start|>(0,0)<|box_end|>",
            [Spot((0, 0, 320, 240), "a"), Spot((0, 0), "a")],
        ),
        (
            "internvl",
            "<ref>cats</ref><box>[[0, 0, 500, 500], [500,500,1000,1000]]</box>",
            [Spot((0, 0, 320, 240), "cats"), Spot((320, 240, 640, 480), "cats")],
        ),
        ("cogvlm", "cat [[000,000,500,500;500,500,500,500]]", [Spot((0, 0, 320, 240)), Spot((320, 240, 320, 240))]),
        (
            "paligemma",
            "<loc0000><loc0000><loc0512><loc0512> a ; <loc0512><loc0512> b",
            [Spot((0, 0, 320, 240), "a"), Spot((320, 240), "b")],
        ),
        ("paligemma", "<loc0000><loc0000><loc0512>", []),
    ],
)
def test_texts_as_models_write_them(name: str, text: str, expected: list[Spot]) -> None:
    assert parse(text, choose(name), SIZE, SHOWN) == expected


def test_boxes_behind_one_name_are_all_of_that_name() -> None:
    one, other = (written_box(share, choose("florence")) for share in ((0.1, 0.1, 0.2, 0.2), (0.3, 0.3, 0.4, 0.4)))
    found = parse(f"car{one}{other}dog{one}", choose("florence"), SIZE)
    assert [spot.ref for spot in found] == ["car", "car", "dog"]


def test_long_texts_take_no_time_to_speak_of() -> None:
    import time

    pieces = (
        " ",
        "[",
        "[1, ",
        "<loc_1>",
        "<loc0001>",
        "{",
        "[1, 2]",
        "<ref>",
        "<box>(",
        "<|box_start|>(1,2),",
        '{"a":',
    )
    for name in EVERY:
        for text in (f"{piece * 20_000}[1, 2]" for piece in pieces):
            start = time.perf_counter()
            parse(text, choose(name), SIZE)
            assert time.perf_counter() - start < 3, (name, text[:9])
