"""Adapters by themselves: what plain PEFT makes of them, and what is not one of its."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from swift.config.chat import ChatConfig
from swift.config.model import ModelConfig
from swift.engines.folders import plan_model
from swift.errors import ConfigError
from swift.exporting.export import export
from swift.exporting.peft import adapter_checks
from tests.engines.support import save_adapter
from tests.exporting.support import config, trained, write_rows


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("trained") / "model")


def exported(model: Path, tmp_path: Path, adapter: Path, **values) -> tuple[Path, dict]:
    rows = write_rows(tmp_path / "rows.jsonl")
    given = {"adapters": [str(adapter)], "to": "peft", "output_dir": str(tmp_path / "out"), **values}
    folder = export(config(model, rows, **given))
    return folder, json.loads((folder / "certificate.json").read_text())


@pytest.mark.parametrize(
    ("options", "vllm"),
    [({}, "--max-lora-rank 4"), ({"use_dora": True}, "is a DoRA"), ({"modules_to_save": ["lm_head"]}, "whole modules")],
)
def test_plain_peft_loads_it(options, vllm, model, tmp_path):
    adapter = save_adapter(tmp_path / "adapter", model, seed=1, scale=0.02, **options)
    (adapter / "state").mkdir()
    (adapter / "manifest.json").write_text("{}")
    folder, certificate = exported(model, tmp_path, adapter)
    assert not (folder / "state").exists()
    assert not (folder / "manifest.json").exists()
    checks = {check["name"]: check for check in certificate["checks"]}
    assert checks["PEFT"]["passed"]
    assert vllm in checks["vLLM"]["detail"]
    assert certificate["distance"]["mean_kl"] < 1e-6
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    ids = torch.tensor([AutoTokenizer.from_pretrained(folder)("What is the capital of France?").input_ids])
    with torch.no_grad():
        before = base(input_ids=ids).logits
        theirs = PeftModel.from_pretrained(base, folder)(input_ids=ids).logits
        again = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        first = PeftModel.from_pretrained(again, adapter)(input_ids=ids).logits
    assert torch.equal(theirs, first)
    assert not torch.allclose(theirs, before, atol=1e-3)
    card = (folder / "README.md").read_text()
    assert "library_name: peft" in card
    assert "AutoPeftModelForCausalLM" in card


def test_tensors_of_other_names_are_caught(model, tmp_path):
    adapter = save_adapter(tmp_path / "adapter", model, seed=1, scale=0.02)
    path = adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    name = next(iter(tensors))
    tensors[name.replace("layers.0", "layers.7")] = tensors.pop(name)
    save_file(tensors, path)
    checks = adapter_checks(plan_model(ModelConfig(id=str(model)), [str(adapter)], ChatConfig()), adapter)
    assert not checks[0].passed
    assert "has shape None" in checks[0].detail
    save_file({name.replace("layers.7", "layers.0"): value for name, value in load_file(path).items()}, path)
    checks = adapter_checks(plan_model(ModelConfig(id=str(model)), [str(adapter)], ChatConfig()), adapter)
    assert checks[0].passed


def test_what_peft_does_not_have(model, tmp_path):
    adapter = save_adapter(tmp_path / "adapter", model, seed=1)
    values = json.loads((adapter / "adapter_config.json").read_text())
    values = {"peft_type": "SWIFT_REFT", "base_model_name_or_path": values["base_model_name_or_path"]}
    (adapter / "adapter_config.json").write_text(json.dumps(values))
    with pytest.raises(Exception, match=r"SWIFT_REFT|unknown type") as error:
        exported(model, tmp_path, adapter)
    assert not (tmp_path / "out").exists(), error


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"adapters": []}, "there is no adapter"),
    ],
)
def test_what_makes_no_adapter(values, words, model, tmp_path):
    adapter = save_adapter(tmp_path / "adapter", model, seed=1)
    with pytest.raises(ConfigError, match=words):
        exported(model, tmp_path, adapter, **values)


def test_one_adapter_only(model, tmp_path):
    one, two = (save_adapter(tmp_path / name, model, seed=1) for name in ("one", "two"))
    with pytest.raises(ConfigError, match="2 adapters are named"):
        exported(model, tmp_path, one, adapters=[str(one), str(two)])
