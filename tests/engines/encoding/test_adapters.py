"""Adapters beside encoders: by name, with heads of their own, merged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from peft import AutoPeftModelForSequenceClassification, LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from swift.config.chat import ChatConfig
from swift.config.encoding import EncodingConfig
from swift.config.model import ModelConfig
from swift.engines.encoding.load import load_encoder
from swift.engines.folders import plan_model
from swift.engines.lanes import Limits
from swift.errors import CheckpointError, ModelError
from swift.types import EncodeRequest
from tests.engines.encoding.checkpoints import save
from tests.engines.encoding.test_oracles import TEXTS, load, numbers, plain
from tests.engines.support import save_adapter


@torch.no_grad()
def test_vectors_of_each_adapter_and_of_the_bare_model(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", "llama", "tokens")
    adapters = {name: save_adapter(tmp_path / name, folder, seed=seed) for seed, name in enumerate(("one", "two"))}
    engine = load(folder, adapters=tuple(f"{n}={p}" for n, p in adapters.items()), task="embed", pooling="mean")
    assert engine.adapters == ("one", "two")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for name in ("base", "two", "one"):
        model = AutoModelForCausalLM.from_pretrained(folder)
        if name != "base":
            model = PeftModel.from_pretrained(model, str(adapters[name]))
        expected = []
        for text in TEXTS:
            output = model(
                **tokenizer(text, return_tensors="pt", return_token_type_ids=False), output_hidden_states=True
            )
            expected.append(torch.nn.functional.normalize(output.hidden_states[-1][0].mean(0), dim=-1))
        found = numbers(engine, plain(TEXTS), adapter=name)
        np.testing.assert_allclose(found, torch.stack(expected).numpy(), atol=2e-6)
    # Requests for different adapters may come mixed.
    asked = [EncodeRequest(prompt, name) for prompt in plain(TEXTS) for name in ("one", "base", "two")]
    mixed = np.stack([item.values for item in engine.encode(asked)])  # type: ignore[union-attr]
    np.testing.assert_allclose(mixed[1::3], numbers(engine, plain(TEXTS), adapter="base"), atol=2e-6)
    np.testing.assert_allclose(mixed[2::3], numbers(engine, plain(TEXTS), adapter="two"), atol=2e-6)


@torch.no_grad()
@pytest.mark.parametrize("labels", [1, 3])
def test_a_head_that_an_adapter_brings_along(tmp_path: Path, labels: int) -> None:
    folder = save(tmp_path / "m", "llama", "tokens")
    base = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=labels)
    tuned = get_peft_model(base, LoraConfig(task_type="SEQ_CLS", r=4, target_modules=["q_proj", "v_proj"]))
    for name, weight in tuned.named_parameters():
        if "lora_" in name or "score" in name:
            torch.nn.init.normal_(weight, std=0.5)
    tuned.save_pretrained(str(tmp_path / "a"))
    engine = load(folder, adapters=(f"judge={tmp_path / 'a'}",), task="reward" if labels == 1 else "classify")
    oracle = AutoPeftModelForSequenceClassification.from_pretrained(str(tmp_path / "a"), num_labels=labels).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [tokenizer(text, return_tensors="pt", return_token_type_ids=False) for text in TEXTS]
    theirs = torch.cat([oracle(**row).logits for row in rows]).numpy()
    exact = torch.cat([oracle.double()(**row).logits for row in rows]).numpy()
    # Weights this large make float32 itself inexact, for the peer as for us: the numbers of float64 are the measure.
    inexact = np.abs(theirs - exact).max()
    np.testing.assert_allclose(numbers(engine, plain(TEXTS), raw=True), exact, rtol=0, atol=2 * inexact + 1e-5)
    with pytest.raises(ModelError, match=r"score\.weight"):
        load(folder, task="classify")


def test_an_adapter_of_another_class_is_refused(tmp_path: Path) -> None:
    """Its weights have other names, so that it would do nothing."""
    whole = save(tmp_path / "m", "llama", "tokens")
    bare = save(tmp_path / "bare", "llama", "states")
    adapter = save_adapter(tmp_path / "a", whole, seed=1)
    plan = plan_model(ModelConfig(id=str(bare), dtype="float32"), [str(adapter)], ChatConfig())
    with pytest.raises(CheckpointError, match="does not fit"):
        load_encoder(plan, EncodingConfig(task="embed"), limits=Limits())


def test_merged(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", "qwen3", "tokens")
    adapter = save_adapter(tmp_path / "a", folder, seed=1)
    beside = load(folder, adapters=(str(adapter),), task="embed")
    plan = plan_model(ModelConfig(id=str(folder), dtype="float32"), [str(adapter)], ChatConfig())
    merged = load_encoder(plan, EncodingConfig(task="embed"), limits=Limits(), merge_lora=True)
    np.testing.assert_allclose(numbers(merged, plain(TEXTS)), numbers(beside, plain(TEXTS)), atol=1e-5)
