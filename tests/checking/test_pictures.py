"""Rows that show pictures: proved with their media expanded, and drawn into the report with their boxes."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from swift.checking.run import check
from swift.checking.thumbnails import LONGEST_SIDE, MOST
from swift.config.looks import CheckConfig
from swift.models.tiny import save_tiny_multimodal
from tests.checking.conftest import chat, write

Configured = Callable[..., CheckConfig]
GRAY = (120, 120, 120)
URI = re.compile(r'<img alt="[^"]*" src="data:image/jpeg;base64,([^"]*)">')


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_multimodal(tmp_path_factory.mktemp("models") / "qwen3_vl", "qwen3_vl"))


def row(pictures: int = 1, box: Any = (0, 0, 400, 100), **columns: Any) -> dict[str, Any]:
    images = ["gray.png"] * pictures
    objects = {"ref": ["cat"], "bbox": [box], **columns}
    return chat("<image>" * pictures + "Where is <ref-object>?", "At <bbox>.", images=images, objects=objects)


@pytest.fixture
def report(model: str, configured: Configured, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Exit code and HTML of a check of some rows."""

    def make(*rows: dict[str, Any], **options: Any) -> tuple[int, str]:
        Image.new("RGB", (800, 200), GRAY).save(tmp_path / "gray.png")
        target = tmp_path / "report.html"
        code = check(configured(write(tmp_path / "rows.jsonl", *rows), model=model, report=str(target), **options))
        return code, target.read_text(encoding="utf-8")

    return make


def pictures(html: str) -> list[Image.Image]:
    return [Image.open(io.BytesIO(base64.b64decode(text))) for text in URI.findall(html)]


def test_the_picture_with_its_box(report: Callable[..., tuple[int, str]], capsys: pytest.CaptureFixture[str]) -> None:
    code, html = report(row())
    out = " ".join(capsys.readouterr().out.split())
    assert code == 0, out
    assert "rows: inference_agreement the prompts of 1 rows have the ids" in out
    assert "⟦At [0, 0, 500, 500].<|im_end|>⟧" in out
    (shown,) = pictures(html)
    assert shown.size == (LONGEST_SIDE, 90)
    red = [shown.getpixel(at) for at in ((1, 43), (178, 43), (90, 44))]
    assert all(abs(pixel[0] - pixel[1]) > 60 for pixel in red), red
    assert max(abs(value - 120) for value in shown.getpixel((300, 70))) < 12
    assert "img-src data:" in html


def test_the_box_is_in_the_picture_that_the_row_names(report: Callable[..., tuple[int, str]]) -> None:
    _, html = report(row(2, image_id=[1]))
    first, second = pictures(html)
    assert first.getpixel((178, 30)) == pytest.approx(GRAY, abs=6)
    assert second.getpixel((178, 30)) != pytest.approx(GRAY, abs=6)


def test_only_some_rows_and_pictures_are_shown(report: Callable[..., tuple[int, str]]) -> None:
    _, html = report(row(MOST + 2), row(), row(), show=2)
    assert len(pictures(html)) == MOST + 1


def test_rows_without_pictures_have_none(report: Callable[..., tuple[int, str]]) -> None:
    _, html = report(chat("Hello", "Hi."))
    assert "<img" not in html


def test_a_box_outside_its_picture_is_told(
    report: Callable[..., tuple[int, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = report(row(), row(box=[0, 0, 900, 100]))
    assert code == 2
    told = capsys.readouterr().out
    assert "bad objects: box 1, [0, 0, 900, 100], lies outside its picture of 800 x 200 pixels" in told
