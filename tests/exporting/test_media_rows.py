"""Rows with pictures calibrate a multimodal model, whose towers stay as they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from swift.chat.codec import Codec
from swift.config.chat import ChatConfig
from swift.config.data import DataConfig
from swift.config.model import ModelConfig
from swift.engines.folders import plan_model
from swift.engines.merged import text_side
from swift.environments.store import home, require
from swift.errors import EngineError
from swift.exporting.export import export
from swift.exporting.rows import export_rows
from swift.models.tiny import save_tiny_multimodal
from tests.exporting.support import config


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return save_tiny_multimodal(tmp_path_factory.mktemp("tiny") / "model", "qwen2_vl")


def codec_of(model: Path) -> Codec:
    return text_side(plan_model(ModelConfig(id=str(model), device="cpu"), [], ChatConfig())).codec


def rows(folder: Path, *, pictures: int, texts: int, seed: int = 0) -> Path:
    """Rows with a picture of noise each, and rows of text."""
    folder.mkdir()
    generator = np.random.default_rng(seed)
    found = []
    for number in range(pictures):
        picture = folder / f"{number}.png"
        Image.fromarray(generator.integers(0, 255, (56, 64, 3), dtype=np.uint8)).save(picture)
        found.append({"images": [str(picture)], **talk(f"<image>What is this, {number}?")})
    found += [talk(f"Hello {number}") for number in range(texts)]
    (folder / "rows.json").write_text(json.dumps(found))
    return folder / "rows.json"


def talk(question: str) -> dict[str, list[dict[str, str]]]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": "It is noise."}]}


@pytest.mark.parametrize(("pictures", "texts"), [(3, 1), (1, 3), (2, 0)])
def test_most_rows_decide_and_the_others_are_told(pictures, texts, model, tmp_path, capsys):
    file = rows(tmp_path / "rows", pictures=pictures, texts=texts)
    found = export_rows(DataConfig(train=(str(file),)), ChatConfig(), codec_of(model), calibrate=8, measure=2)
    assert len(found.calibration) == max(pictures, texts)
    assert all((row.shown is not None) == (pictures > texts) for row in found.calibration)
    assert ("1 rows do not calibrate" in capsys.readouterr().err) == (texts > 0)


@pytest.mark.slow
def test_a_model_is_calibrated_by_what_it_is_shown(model, tmp_path):
    try:
        require("llmcompressor", home())
    except EngineError as error:
        pytest.skip(error.message)
    made = []
    for seed in (0, 1):
        file = rows(tmp_path / f"rows{seed}", pictures=4, texts=0, seed=seed)
        values = {"data": {"train": [str(file)]}, "quantize": {"type": "gptq", "group_size": 16, "samples": 4}}
        limits = {"min_stop": 0, "answers": 1, "new_tokens": 4}
        made.append(export(config(model, None, output_dir=str(tmp_path / f"{seed}"), certificate=limits, **values)))
    AutoModelForImageTextToText.from_pretrained(made[0])
    names = [name for name in load_file(made[0] / "model.safetensors") if name.endswith("_packed")]
    assert names
    assert not any("visual" in name for name in names), "towers stay as they are"
    assert json.loads((made[0] / "certificate.json").read_text())["passed"]
    first, second = ((folder / "model.safetensors").read_bytes() for folder in made)
    assert first != second, "other pictures, the same tokens"
