from __future__ import annotations

import math
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from swift.exporting.certificate.certificate import Certificate, Check
from swift.exporting.certificate.html import html, plot
from swift.exporting.certificate.layers import BlockError, LayerError
from swift.exporting.certificate.measure import Distance, Measured

BEFORE = Measured(2_000_000, 1.0, 3.5, 0.5, 10.0, (1, 2), finite=True)
DISTANCE = Distance(100, 0.1, 2.0, 0.9, (1, 2), tuple(2.0 * share / 20 for share in range(21)))
CERTIFICATE = Certificate(
    source="<script>alert(1)</script>",
    result="gptq",
    rows="12 rows",
    checks=(Check("loads", passed=True, detail="fine"), Check("divergence", passed=False, detail="0.1 nats")),
    before=BEFORE,
    after=replace(BEFORE, perplexity=4.25),
    distance=DISTANCE,
    versions={"torch": "2"},
    blocks=tuple(BlockError(number, 0.01 * number, 0.02 * number) for number in range(30)),
    layers=(LayerError("model.layers.0.mlp.down_proj", 0.25), LayerError("model.layers.1.mlp.down_proj", 0.125)),
)


def test_the_page_is_whole_and_needs_nothing_else():
    page = html(CERTIFICATE)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "FAILED" in page
    assert not re.search(r"""(src|href)\s*=|url\(|@import""", page)
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) == 4
    for picture in pictures:
        ElementTree.fromstring(picture)  # well formed
    assert "4.250" in page
    assert page.index("0.2500") < page.index("0.1250")


def test_plain_weights_have_no_layers_to_show():
    page = html(replace(CERTIFICATE, blocks=(), layers=(), distance=replace(DISTANCE, spread=(0.0,) * 21)))
    assert "<svg" not in page


def test_larger_values_lie_higher():
    picture = plot("t", "n", {"a": [0.0, 1.0, 4.0]}, ["x", "y", "z"])
    heights = [float(point.split(",")[1]) for point in picture.lines[0].points.split()]
    assert heights == sorted(heights, reverse=True)
    assert heights[0] - heights[2] == pytest.approx(4 * (heights[0] - heights[1]), abs=0.5)
    assert [mark.text for mark in picture.along] == ["x", "y", "z"]


@pytest.mark.parametrize("values", [[0.0, 0.0], [math.nan, 1.0], [math.inf, math.inf], [1e-30, 1.0], [5.0]])
@pytest.mark.parametrize("logarithmic", [False, True])
def test_odd_values_are_drawn_somehow(values, logarithmic):
    picture = plot("t", "n", {"a": values}, ["x"] * len(values), logarithmic=logarithmic)
    for point in picture.lines[0].points.split():
        assert all(math.isfinite(float(number)) for number in point.split(","))
