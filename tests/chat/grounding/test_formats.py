"""The table of formats: what config, catalog and documentation say of it is what is there."""

from __future__ import annotations

import re

import pytest

from swift.chat.grounding.formats import DEFAULT, FRACTIONS, PIXELS, THOUSANDTHS, Format, choose, formats
from swift.chat.grounding.parse import parse
from swift.chat.grounding.write import written_box
from swift.config.chat import ChatConfig
from swift.errors import ConfigError, UnknownNameError
from swift.models.catalog import all_families, grounding_format
from swift.types import Spot
from tests.rules.sources import ROOT


def test_the_option_names_every_format() -> None:
    told = ChatConfig.model_fields["grounding"].description or ""
    assert set(re.findall(r"\w+", told)) >= set(formats)


def test_the_page_has_a_row_for_every_format() -> None:
    page = (ROOT / "docs/grounding.md").read_text(encoding="utf-8")
    table = page.partition("## Formats")[2].partition("## Look")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)) == set(formats)


def test_the_catalog_names_formats_that_are_there() -> None:
    named = {name for family in all_families() for name in family.grounding.values}
    assert named <= set(formats)
    assert named == set(formats) - {DEFAULT}, "every format is some family's"


@pytest.mark.parametrize(
    ("model", "architectures", "name"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", (), "qwen2_5_vl"),
        ("Qwen/Qwen2-VL-2B-Instruct", (), "qwen2_vl"),
        ("Qwen/Qwen-VL-Chat", (), "qwen_vl"),
        ("Qwen/Qwen-Audio-Chat", (), ""),
        ("Qwen/Qwen3-VL-8B-Instruct", (), "qwen3_vl"),
        ("Qwen/Qwen3-VL-Embedding-2B", (), ""),
        ("OpenGVLab/InternVL3-1B-hf", (), "internvl"),
        ("google/paligemma-3b-mix-224", (), "paligemma"),
        ("runs/mine", ("Qwen2_5_VLForConditionalGeneration",), "qwen2_5_vl"),
        ("runs/mine", ("qwen3_vl",), "qwen3_vl"),
        ("llava-hf/llava-1.5-7b-hf", ("llava",), ""),
        ("runs/mine", ("Unheard",), ""),
    ],
)
def test_the_family_decides(model: str, architectures: tuple[str, ...], name: str) -> None:
    assert grounding_format(model, architectures) == name
    assert choose("auto", name).name == (name or DEFAULT)


def test_what_the_user_says_wins() -> None:
    assert choose("internvl", "qwen2_5_vl").name == "internvl"
    assert choose("auto", "qwen2_vl", "none").coordinates == PIXELS
    assert choose("auto", "qwen2_5_vl", "norm1000").coordinates == THOUSANDTHS
    assert choose("plain", "", "norm1").coordinates == FRACTIONS


def test_what_cannot_be() -> None:
    with pytest.raises(UnknownNameError, match="unknown grounding format 'internvlm'") as caught:
        choose("internvlm")
    assert caught.value.hint == "did you mean internvl?"
    for name in ("florence", "paligemma"):
        with pytest.raises(ConfigError, match=r"--norm_bbox norm1: .* as tokens"):
            choose(name, "", "norm1")


def test_a_format_of_the_users_own() -> None:
    mine = Format("of_a_test", THOUSANDTHS, "{x1} {y1} {x2} {y2}", "{x1} {y1}", around=("<b>", "</b>"))
    formats.register("of_a_test")(mine)
    try:
        assert choose("of_a_test") == mine
        written = written_box((0.1, 0.2, 0.3, 0.4), mine)
        assert written == "<b>100 200 300 400</b>"
        assert parse(written, mine, (1000, 1000)) == [Spot((100, 200, 300, 400))]
    finally:
        del formats._entries["of_a_test"]


def test_special_tokens_of_its_own() -> None:
    assert choose("qwen2_vl").writes("<|box_start|>")
    assert choose("internvl").writes("</box>")
    assert choose("paligemma").writes("<loc0012>")
    assert choose("florence").writes("<loc_12>")
    assert not choose("florence").writes("<|im_end|>")
    assert not choose("plain").writes("")
