"""Rows with boxes through real processors: the coordinates are those of the picture that the model sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swift.chat.codec import Codec
from swift.chat.encode import encode, prompt_ids, prompt_text
from swift.chat.grounding.parse import parse
from swift.chat.media.files import processor_of
from swift.config.chat import ChatConfig
from swift.config.data import DataConfig
from swift.config.media import MediaConfig
from swift.data.columns import to_sample
from swift.errors import ConfigError, RowError
from swift.types import Conversation, Media, Origin, Row
from tests.chat.grounding.conftest import Codecs

OPTIONS = ChatConfig()
ANSWER = '[{"bbox_2d": <bbox>, "label": "<ref-object>"}]'


def conversation(picture: Path, answer: str = ANSWER, **objects: Any) -> Conversation:
    values = {"ref": ["cat"], "bbox": [[10, 20, 110, 120]], **objects}
    row = {"query": "<image>Find it.", "response": answer, "images": [str(picture)], "objects": values}
    found = to_sample(Row(row, Origin("rows", 1)), DataConfig(), "sft")
    assert isinstance(found, Conversation)
    return found


def trained(sample: Conversation, codec: Codec) -> str:
    row = encode(sample, codec, OPTIONS)
    assert (row.outcome, row.reason) == ("kept", "")
    (tokens,) = row.sequences
    return codec.decode(tokens.ids[tokens.weights > 0]).removesuffix("<|im_end|>")


@pytest.mark.parametrize("size", [(210, 150), (33, 97), (400, 400), (640, 57), (28, 28)])
def test_the_size_that_the_model_sees(size: tuple[int, int], codecs: Codecs, picture: Callable[..., Path]) -> None:
    """Against the grid of the picture itself, and against the resize function that the family publishes."""
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

    codec = codecs("qwen2_5_vl")
    assert codec.media is not None
    path = picture(*size)
    shown = codec.media.shown_size(Media("image", str(path)))
    (tokens,) = encode(conversation(path, bbox=[[1, 2]]), codec, OPTIONS).sequences
    made = codec.media.inputs(tokens)
    assert made is not None
    image = processor_of(codec.media.folder, False).image_processor
    assert shown == tuple(made.tensors["image_grid_thw"][0, [2, 1]].mul(image.patch_size).tolist())
    limits = {"min_pixels": image.size["shortest_edge"], "max_pixels": image.size["longest_edge"]}
    resized = smart_resize(size[1], size[0], factor=image.patch_size * image.merge_size, **limits)
    assert shown == resized[::-1]


def test_pixels_of_the_resized_picture(codecs: Codecs, picture: Callable[..., Path]) -> None:
    codec = codecs("qwen2_5_vl")
    assert codec.media is not None
    path = picture(210, 150)
    wide, high = codec.media.shown_size(Media("image", str(path)))
    assert (wide, high) != (210, 150)
    box = [round(10 / 210 * wide), round(20 / 150 * high), round(110 / 210 * wide), round(120 / 150 * high)]
    text = trained(conversation(path), codec)
    assert text == f'[{{"bbox_2d": {box}, "label": "cat"}}]'
    (spot,) = parse(text, codec.grounding, (210, 150), (wide, high))
    assert spot.ref == "cat"
    assert spot.box == pytest.approx((10, 20, 110, 120), abs=210 / wide)


def test_our_own_limits_come_before_the_processors(codecs: Codecs, picture: Callable[..., Path]) -> None:
    path = picture(400, 200)
    media = Media("image", str(path))
    large, small = codecs("qwen2_5_vl"), codecs("qwen2_5_vl", media=MediaConfig(max_pixels=5000))
    assert large.media is not None
    assert small.media is not None
    assert small.media.file_size(media) == (400, 200)
    assert small.media.shown_size(media) == (112, 56)
    assert small.media.shown_size(media) < large.media.shown_size(media)
    assert trained(conversation(path, "<ref-object> <bbox>", bbox=[[0, 0, 400, 200]]), small) == "cat [0, 0, 112, 56]"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("qwen2_vl", "<|object_ref_start|>cat<|object_ref_end|><|box_start|>(48,133),(524,800)<|box_end|>"),
        ("qwen3_vl", "cat[48, 133, 524, 800]"),
        ("internvl", "<ref>cat</ref><box>[[48, 133, 524, 800]]</box>"),
        ("paligemma", "cat<loc0137><loc0049><loc0819><loc0536>"),
        ("llava", "cat[48, 133, 524, 800]"),
    ],
)
def test_what_each_family_is_trained_on(name: str, text: str, codecs: Codecs, picture: Callable[..., Path]) -> None:
    assert trained(conversation(picture(210, 150), "<ref-object><bbox>"), codecs(name)) == text


@pytest.mark.parametrize(
    ("values", "scale"),
    [([[0.1, 0.2, 0.5, 1]], "norm1"), ([[100, 200, 500, 1000]], "norm1000"), ([[21, 30, 105, 150]], "real")],
)
def test_every_unit_of_a_row(values: Any, scale: str, codecs: Codecs, picture: Callable[..., Path]) -> None:
    sample = conversation(picture(210, 150), bbox=values, bbox_type=scale)
    assert trained(sample, codecs("qwen3_vl")) == '[{"bbox_2d": [100, 200, 500, 1000], "label": "cat"}]'


def test_a_picture_that_lies_on_its_side(codecs: Codecs, picture: Callable[..., Path]) -> None:
    path = picture(200, 100, "a.jpg", orientation=6)  # upright: 100 wide, 200 high
    text = trained(conversation(path, bbox=[[50, 50, 100, 200]]), codecs("qwen3_vl"))
    assert text == '[{"bbox_2d": [500, 250, 1000, 1000], "label": "cat"}]'
    with pytest.raises(
        RowError, match=r"bad_objects: box 1, \[0, 0, 200, 100\], lies outside its picture of 100 x 200"
    ):
        encode(conversation(path, bbox=[[0, 0, 200, 100]]), codecs("qwen3_vl"), OPTIONS)


def test_which_picture_a_box_is_in(codecs: Codecs, picture: Callable[..., Path]) -> None:
    wide, high = picture(200, 100, "wide.png"), picture(100, 200, "high.png")
    row = {
        "query": "<image><image>",
        "response": "<bbox><bbox>",
        "images": [str(wide), str(high)],
        "objects": {"bbox": [[50, 50], [50, 50]], "image_id": [1, 0]},
    }
    sample = to_sample(Row(row, Origin("rows", 1)), DataConfig(), "sft")
    assert isinstance(sample, Conversation)
    assert trained(sample, codecs("qwen3_vl")) == "[500, 250][250, 500]"


def test_the_question_is_not_trained_on_and_the_prompt_is_the_same(
    codecs: Codecs, picture: Callable[..., Path]
) -> None:
    path, codec = picture(210, 150), codecs("internvl")
    row = {
        "query": "<image>What is at <bbox>?",
        "response": "<ref-object>",
        "images": [str(path)],
        "objects": {"ref": ["cat"], "bbox": [[21, 30, 105, 150]]},
    }
    sample = to_sample(Row(row, Origin("rows", 1)), DataConfig(), "sft")
    assert isinstance(sample, Conversation)
    assert trained(sample, codec) == "<ref>cat</ref>"
    assert "What is at <box>[[100, 200, 500, 1000]]</box>?" in prompt_text(sample, codec, OPTIONS)
    (tokens,) = encode(sample, codec, OPTIONS).sequences
    ids = prompt_ids(sample, codec, OPTIONS)
    assert tokens.ids[: len(ids)].tolist() == ids
    assert not tokens.weights[: len(ids)].any()


def test_other_coordinates_make_other_tokens_in_the_cache(codecs: Codecs) -> None:
    prints = {codecs("qwen2_5_vl", norm_bbox=norm).fingerprint for norm in ("auto", "none", "norm1000")}
    assert len(prints) == 3
    assert codecs("qwen2_5_vl", grounding="internvl").grounding.name == "internvl"
    with pytest.raises(ConfigError, match="--norm_bbox none: the format paligemma"):
        codecs("paligemma", norm_bbox="none")
