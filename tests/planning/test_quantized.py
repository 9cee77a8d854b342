"""Plans of runs over quantized weights: what is there before the weights are agrees with what is there after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from swift.config.model import ModelConfig
from swift.config.sft import SftConfig
from swift.config.tuner import LoraConfig
from swift.errors import ConfigError, ResourceError
from swift.hub import Located
from swift.models.load import load_model
from swift.models.tiny import save_tiny
from swift.planning.estimate import memory_plan
from swift.planning.shape import shape_of, training_of
from swift.planning.skeleton import require_trainable, skeleton, stored_bytes
from swift.tuners.lora import add_lora

CPU = torch.device("cpu")
LOAD = {"slots": 512, "targets": 256, "longest": 512, "padding_free": True}


def configured(folder: Path, quantization: dict[str, Any], **sections: Any) -> SftConfig:
    model = {"id": str(folder), "dtype": "float32", "device": "cpu", "quantization": quantization}
    return SftConfig.model_validate({"model": model, **sections})


@pytest.fixture(scope="module")
def located(tmp_path_factory: pytest.TempPathFactory) -> Located:
    sizes = {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 8}
    return Located(save_tiny(tmp_path_factory.mktemp("model"), **sizes), "folder", "tiny", None)


@pytest.mark.parametrize(
    "quantization", [{"type": "bnb"}, {"type": "bnb", "bits": 8}, {"type": "hqq"}, {"type": "torchao"}]
)
def test_the_plan_is_that_of_the_loaded_model(quantization: dict[str, Any], located: Located) -> None:
    config = configured(located.path, quantization)
    assert isinstance(config.tuner, LoraConfig)
    planned = skeleton(config, located, CPU)
    stored = stored_bytes(config, located, CPU)
    assert stored is not None
    tuned = add_lora(load_model(located, config.model, device=CPU, dtype=torch.float32), config.tuner)
    before, after = shape_of(planned, stored), shape_of(tuned)
    assert before.parameters == after.parameters
    assert after.stored == pytest.approx(before.stored, rel=0.05)
    assert (before.hidden, before.intermediate, before.gated) == (after.hidden, after.intermediate, after.gated)
    how = [training_of(model, config, gradient_checkpointing=False) for model in (planned, tuned)]
    assert how[0] == how[1]
    assert how[1].weight_bytes == 4
    assert how[1].adapter_layers == 7
    plain = memory_plan(configured(located.path, {"type": "none"}), planned, **LOAD)
    assert memory_plan(config, planned, stored=stored, **LOAD).weights < plain.weights
    assert stored_bytes(configured(located.path, {"type": "none"}), located, CPU) is None


def test_what_cannot_run_is_refused_by_the_configuration_alone(located: Located) -> None:
    from swift.models.load import load_config

    hf_config = load_config(located)
    packed = configured(located.path, {"type": "torchao", "scheme": "int4-packed"})
    with pytest.raises(ResourceError, match="CUDA"):
        require_trainable(packed, "tiny", hf_config, CPU)
    hf_config.quantization_config = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    full = SftConfig(model=ModelConfig(id="x")).model_copy(update={"tuner": _full()})
    with pytest.raises(ConfigError, match="cannot be trained themselves"):
        require_trainable(full, "tiny", hf_config, CPU)


def _full() -> Any:
    from swift.config.tuner import FullConfig

    return FullConfig()
