"""Parts of multimodal models are found in the module tree, and trained, frozen and paced apart."""

from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedModel

from swift.config.optim import OptimizerConfig
from swift.config.tuner import FullConfig, LoraConfig
from swift.errors import ConfigError
from swift.models.parts import PARTS, Part, part_modules, parts_by_parameter
from swift.models.tiny import tiny_model, tiny_multimodal
from swift.train.optim import build_optimizer
from swift.tuners.freeze import train_all
from swift.tuners.lora import add_lora

# As people who know these models declare them: language model, towers, aligner.
DECLARED: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "qwen2_vl": ("model.language_model", ("model.visual",), ("model.visual.merger",)),
    "qwen3_vl": (
        "model.language_model",
        ("model.visual",),
        ("model.visual.merger", "model.visual.deepstack_merger_list"),
    ),
    "qwen2_5_omni": (
        "thinker.model.language_model",
        ("thinker.model.audio_tower", "thinker.model.visual"),
        ("thinker.model.audio_tower.proj", "thinker.model.visual.merger"),
    ),
    "internvl": ("model.language_model", ("model.vision_tower",), ("model.multi_modal_projector",)),
    "llava": ("model.language_model", ("model.vision_tower",), ("model.multi_modal_projector",)),
    "idefics3": ("model.text_model", ("model.vision_model",), ("model.connector",)),
    "gemma3": ("model.language_model", ("model.vision_tower",), ("model.multi_modal_projector",)),
    "qwen2_audio": ("model.language_model", ("model.audio_tower",), ("model.multi_modal_projector",)),
    "mllama": ("model.language_model", ("model.vision_model",), ("model.multi_modal_projector",)),
    "glm4v": ("model.language_model", ("model.visual",), ("model.visual.merger", "model.visual.downsample")),
    "llama4": ("language_model", ("vision_model",), ("vision_model.vision_adapter", "multi_modal_projector")),
    "deepseek_vl": ("model.language_model", ("model.vision_model",), ("model.aligner",)),
}


def _names(model: PreTrainedModel, part: Part) -> tuple[str, ...]:
    names = {id(module): name for name, module in model.named_modules()}
    return tuple(names[id(module)] for module in part_modules(model)[part])


@pytest.mark.parametrize("name", DECLARED)
def test_parts_are_those_that_people_declare(name: str) -> None:
    model = tiny_multimodal(name).model
    language_model, towers, aligner = DECLARED[name]
    assert _names(model, "llm")[0] == language_model
    assert _names(model, "vit") == towers
    assert _names(model, "aligner") == aligner


def test_a_text_model_is_all_language_model() -> None:
    model = tiny_model("opt")
    assert set(parts_by_parameter(model).values()) == {"llm"}
    assert len(parts_by_parameter(model)) == len(list(model.parameters()))


@pytest.mark.parametrize("frozen", [(), ("vit",), ("llm",), ("vit", "aligner"), ("llm", "vit")])
def test_full_tuning_trains_exactly_the_other_parts(frozen: tuple[Part, ...]) -> None:
    model = tiny_multimodal("qwen2_vl").model
    train_all(model, FullConfig(**{f"freeze_{part}": part in frozen for part in PARTS}))
    parts = parts_by_parameter(model)
    assert {parts[p] for p in model.parameters() if p.requires_grad} == set(PARTS) - set(frozen)
    assert all(p.requires_grad is (parts[p] not in frozen) for p in model.parameters())


@pytest.mark.parametrize("wanted", [("llm",), ("vit",), ("aligner",), ("llm", "vit", "aligner")])
def test_adapters_are_in_the_parts_that_are_not_frozen(wanted: tuple[Part, ...]) -> None:
    model = tiny_multimodal("internvl").model
    tuned = add_lora(model, LoraConfig(**{f"freeze_{part}": part not in wanted for part in PARTS}))
    parts = parts_by_parameter(model)
    assert {parts[p] for p in tuned.parameters() if p.requires_grad} == set(wanted)


def test_parts_in_full_beside_adapters() -> None:
    model = tiny_multimodal("llava").model
    tuned = add_lora(model, LoraConfig(full_parts=("vit", "aligner")))
    trained = [name for name, p in tuned.named_parameters() if p.requires_grad]
    assert any("multi_modal_projector.modules_to_save" in name for name in trained)
    assert any("vision_tower.modules_to_save" in name for name in trained)
    assert all("lora_" in name for name in trained if "language_model" in name)
    assert not any("lora_" in name for name in trained if "vision_tower" in name)


def test_what_cannot_be() -> None:
    with pytest.raises(ConfigError, match="every part"):
        add_lora(tiny_multimodal("llava").model, LoraConfig(freeze_llm=True))
    with pytest.raises(ConfigError, match="names vit, and the model has none"):
        add_lora(tiny_model("llama"), LoraConfig(full_parts=("vit",)))


def test_rates_of_parts() -> None:
    model = tiny_multimodal("qwen2_vl").model
    train_all(model, FullConfig(freeze_vit=False, freeze_aligner=False))
    parts = parts_by_parameter(model)
    config = OptimizerConfig(vit_lr=1e-5, aligner_lr=1e-4, weight_decay=0.0)
    before = {p: p.detach().clone() for p in model.parameters()}
    optimizer = build_optimizer(model, config, 1e-3, parts=parts)
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step(5e-4)  # half way down the schedule
    moved = {part: [] for part in PARTS}
    for p in model.parameters():
        moved[parts[p]].append((p.detach() - before[p]).abs().max().item())
    for part, rate in (("llm", 5e-4), ("vit", 5e-6), ("aligner", 5e-5)):
        assert max(moved[part]) == pytest.approx(rate, rel=0.02)
