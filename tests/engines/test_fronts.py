"""Adapters that stand in front of rows: what PEFT's own generation gives, row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig, get_peft_model
from transformers import AutoModelForCausalLM

from swift.cli.main import main
from swift.config.chat import ChatConfig
from swift.config.model import ModelConfig
from swift.engines.folders import plan_model
from swift.engines.lanes import Limits
from swift.engines.load import load_engine
from swift.engines.scoring import answer_tokens
from swift.engines.transformers import TransformersEngine
from swift.errors import CheckpointError, ConfigError, RowError
from swift.models.tiny import save_tiny, save_tiny_multimodal
from swift.types import Conversation, Message, Origin, Scored
from tests.engines.support import answers, go_on, reference, save_adapter, texts

KINDS: dict[str, Any] = {
    "prompt": PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5),
    "ptuning": PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=6, encoder_hidden_size=16),
    "prefix": PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=7),
    "projected prefix": PrefixTuningConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=4, prefix_projection=True, encoder_hidden_size=16
    ),
}
LENGTHS, NEW = (3, 90, 15, 15, 40, 7), (3, 20, 40, 5, 1, 30)


def save_front(folder: Path, model: Path, kind: str, *, seed: int = 0) -> Path:
    """A random adapter of a kind, strong enough to change the model's answers."""
    torch.manual_seed(seed)
    tuned = get_peft_model(AutoModelForCausalLM.from_pretrained(model), KINDS[kind])
    for parameter in tuned.parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn_like(parameter)
    tuned.save_pretrained(str(folder))
    return folder


def engine_of(model: Path, adapters: list[str], *, tokens: int = 900, rows: int = 3) -> TransformersEngine:
    plan = plan_model(ModelConfig(id=str(model), dtype="float32", device="cpu"), adapters, ChatConfig())
    return load_engine(plan, limits=Limits(tokens, rows), pack=False)


@torch.no_grad()
def by_peft(model: Path, folder: Path, engine: TransformersEngine, text: str, new: int) -> list[int]:
    """The greedy answer by PEFT's forward pass over the whole text for every token.

    Its `generate` does not find the cache under the name that transformers 5.24 gave it, and puts the prompt in front
    of every new token.
    """
    tuned = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model), str(folder)).eval()
    ids, found = engine.codec.encode_text(text), list[int]()
    while len(found) < new and not engine.codec.eos_ids & set(found):
        given = torch.tensor([ids + found])
        found.append(int(tuned(input_ids=given, attention_mask=torch.ones_like(given)).logits[0, -1].argmax()))
    return found


@pytest.mark.parametrize("kind", ["prompt", "ptuning"])
def test_that_is_what_peft_generates(kind: str, tmp_path: Path) -> None:
    model = save_tiny(tmp_path / "model")
    folder = save_front(tmp_path / "front", model, kind)
    engine = engine_of(model, [str(folder)])
    tuned = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model), str(folder)).eval()
    ids = torch.tensor([engine.codec.encode_text("the capital")])
    rules = {"do_sample": False, "max_new_tokens": 9, "eos_token_id": sorted(engine.codec.eos_ids), "pad_token_id": 0}
    given = tuned.generate(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False, **rules)[0].tolist()
    assert given[ids.shape[1] :] == by_peft(model, folder, engine, "the capital", 9)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("architecture", ["llama", "qwen3", "gemma2", "gpt2", "opt"])
def test_batches_give_what_peft_gives_alone(architecture: str, kind: str, tmp_path: Path) -> None:
    heads = {"num_key_value_heads": 4} if architecture in ("gpt2", "opt") else {}  # PEFT asks them, too
    model = save_tiny(tmp_path / "model", architecture, **heads)
    engine = engine_of(model, [str(save_front(tmp_path / "front", model, kind))])
    prompts = texts(*LENGTHS)
    found = answers(engine.generate([go_on(t, max_new_tokens=n) for t, n in zip(prompts, NEW, strict=True)]))
    for text, new, answer in zip(prompts, NEW, found, strict=True):
        assert list(answer.token_ids) == by_peft(model, tmp_path / "front", engine, text, new)
        assert answer.prompt_tokens == len(engine.codec.encode_text(text))
    assert "".join(engine.stream(go_on(prompts[0], max_new_tokens=8))).startswith(found[0].text)


@pytest.mark.parametrize("kind", list(KINDS))
def test_answers_are_scored_behind_it(kind: str, tmp_path: Path) -> None:
    model = save_tiny(tmp_path / "model")
    engine = engine_of(model, [str(save_front(tmp_path / "front", model, kind))])
    said = [("hi", "hello to you"), ("the capital of France", "is Paris and there are seven days"), ("a", "b")]
    samples = [Conversation((Message("user", a), Message("assistant", b)), Origin("t", 1)) for a, b in said]
    tuned = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model), str(tmp_path / "front")).eval()
    for sample, found in zip(samples, engine.score(samples), strict=True):
        tokens = answer_tokens(sample, engine.codec, ChatConfig(), None)
        ids = torch.from_numpy(tokens.ids.astype("int64"))[None]
        with torch.no_grad():
            logits = tuned(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -ids.shape[1] :]
        places = torch.from_numpy(tokens.weights > 0).nonzero()[:, 0]
        expected = logits.log_softmax(-1)[places - 1, ids[0, places]].sum()
        assert isinstance(found, Scored)
        assert found.logprob == pytest.approx(float(expected), rel=1e-4)
    assert engine.score(samples) != engine.score(samples, adapter="base")


def test_all_kinds_and_the_bare_model_side_by_side(tmp_path: Path) -> None:
    model = save_tiny(tmp_path / "model")
    folders = {kind: save_front(tmp_path / kind.replace(" ", "_"), model, kind, seed=n) for n, kind in enumerate(KINDS)}
    folders["lora"] = save_adapter(tmp_path / "lora", model, seed=9)
    engine = engine_of(model, [f"{name.replace(' ', '_')}={folder}" for name, folder in folders.items()])
    assert engine.adapters == ("prompt", "ptuning", "prefix", "projected_prefix", "lora")
    text = "the capital of France"
    asked = [go_on(text, adapter=name, max_new_tokens=8) for name in (*engine.adapters, "base", "prefix", "lora")]
    found = [list(answer.token_ids) for answer in answers(engine.generate(asked))]
    for place, folder in enumerate(folders.values()):
        assert found[place] == by_peft(model, folder, engine, text, 8)
    bare = AutoModelForCausalLM.from_pretrained(model)
    assert found[5] == reference(bare, engine.codec, text, 8)
    assert (found[6], found[7]) == (found[2], found[4])
    assert len({tuple(ids) for ids in found[:6]}) == 6


def test_what_is_learned_takes_a_part_of_the_context(tmp_path: Path) -> None:
    model = save_tiny(tmp_path / "model", max_position_embeddings=32)
    engine = engine_of(model, [str(save_front(tmp_path / "front", model, "prompt"))])
    (answer,) = answers(engine.generate([go_on("a b c", max_new_tokens=100)]))
    assert 5 + answer.prompt_tokens + len(answer.token_ids) <= 32
    (refused,) = engine.generate([go_on("a b c " * 20, max_new_tokens=4)])
    assert isinstance(refused, RowError)
    assert "behind 5 learned ones" in refused.detail


def test_what_stands_in_front_of_nothing_is_refused(tmp_path: Path) -> None:
    text, shown, states = save_tiny(tmp_path / "model"), tmp_path / "shown", save_tiny(tmp_path / "mamba", "mamba")
    save_tiny_multimodal(shown, "qwen2_vl")
    front = save_front(tmp_path / "front", text, "prompt")
    with pytest.raises(ConfigError, match="in front of media"):
        engine_of(shown, [str(front)])
    with pytest.raises(ConfigError, match="other states than keys and values"):
        engine_of(states, [str(save_front(tmp_path / "other", states, "prompt"))])
    wide = save_tiny(tmp_path / "wide", hidden_size=32, num_attention_heads=2, num_key_value_heads=1)
    for folder in (front, save_front(tmp_path / "states", text, "prefix")):
        with pytest.raises(CheckpointError, match="does not fit this model"):
            engine_of(wide, [str(folder)])


def test_a_run_is_talked_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_tiny(tmp_path / "model")
    front = save_front(tmp_path / "front", model, "prefix")
    argv = ["infer", "--model", str(model), "--adapters", str(front), "--prompt", "hi", "--max_new_tokens", "5"]
    assert main([*argv, "--temperature", "0", "--device", "cpu", "--torch_dtype", "float32"]) == 0
    assert capsys.readouterr().out.strip()
