"""What techniques do with models and options that are not the usual ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from swift.config.tuner import BottleneckConfig, Ia3Config, LoraConfig, PromptConfig, ReftConfig
from swift.errors import CheckpointError, ConfigError
from swift.models.tiny import tiny_model, tiny_multimodal
from swift.tuners.build import Start, tune
from swift.tuners.extra import extra_config


def scaled(config: Ia3Config) -> tuple[set[str], set[str]]:
    """Endings of the layers that IA3 scales: their outputs, and their inputs."""
    technique = tune(tiny_model("llama"), config, Start())
    outputs, inputs = set(), set()
    for name, module in technique.model.named_modules():
        if hasattr(module, "ia3_l"):
            (inputs if module.is_feedforward else outputs).add(name.rsplit(".", 1)[-1])
    return outputs, inputs


@pytest.mark.parametrize(
    ("options", "outputs", "inputs"),
    [
        ({}, {"k_proj", "v_proj"}, {"down_proj"}),
        ({"targets": ("q_proj",)}, {"q_proj"}, set()),
        ({"targets": ("v_proj", "down_proj")}, {"v_proj"}, {"down_proj"}),
        ({"target_regex": r".*layers\.0\..*\.(k_proj|down_proj)"}, {"k_proj"}, {"down_proj"}),
    ],
)
def test_ia3_scales_the_inputs_of_what_ends_a_feed_forward_network(
    options: dict[str, object], outputs: set[str], inputs: set[str]
) -> None:
    assert scaled(Ia3Config.model_validate(options)) == (outputs, inputs)


def test_a_prompt_does_not_stand_in_front_of_media() -> None:
    model = tiny_multimodal("qwen2_vl").model
    with pytest.raises(ConfigError, match="in front of media"):
        tune(model, PromptConfig(num_virtual_tokens=2), Start())


def test_an_extra_adapter_that_goes_on_keeps_its_own_options(tmp_path: Path) -> None:
    first = tune(tiny_model("llama"), BottleneckConfig(width=4), Start())
    assert first.write is not None
    (tmp_path / "a").mkdir()
    first.write(tmp_path / "a")
    again = tune(tiny_model("llama"), BottleneckConfig(width=32), Start(adapter=tmp_path / "a"))
    assert again.write is not None
    (tmp_path / "b").mkdir()
    again.write(tmp_path / "b")
    saved = extra_config(tmp_path / "b")
    assert isinstance(saved, BottleneckConfig)
    assert saved.width == 4


def test_an_extra_adapter_of_another_kind_is_refused(tmp_path: Path) -> None:
    first = tune(tiny_model("llama"), ReftConfig(rank=2), Start())
    assert first.write is not None
    first.write(tmp_path)
    for config in (BottleneckConfig(), LoraConfig()):
        with pytest.raises(CheckpointError, match="of the type reft, not"):
            tune(tiny_model("llama"), config, Start(adapter=tmp_path))


def test_the_type_of_an_extra_adapter() -> None:
    technique = tune(tiny_model("llama"), ReftConfig(rank=2, dtype="bfloat16"), Start())
    trained = [p for p in technique.model.parameters() if p.requires_grad]
    assert trained
    assert {p.dtype for p in trained} == {torch.bfloat16}
