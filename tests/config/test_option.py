"""The base of all configuration classes."""

from __future__ import annotations

import pickle

import pytest
from pydantic import ValidationError

from swift.config.model import ModelConfig
from swift.config.reference import ROOTS
from swift.config.sft import SftConfig


def test_frozen_and_strict_about_names() -> None:
    config = SftConfig()
    with pytest.raises(ValidationError):
        config.output_dir = "elsewhere"
    with pytest.raises(ValidationError):
        SftConfig.model_validate({"output_directory": "x"})


def test_short_form_of_the_model() -> None:
    assert SftConfig.model_validate({"model": "m"}).model == ModelConfig(id="m")


def test_worker_processes_get_the_same_configuration() -> None:
    config = SftConfig.model_validate({"model": "m", "data": {"train": ["d"]}, "tuner": {"type": "full"}})
    assert pickle.loads(pickle.dumps(config)) == config
    assert SftConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize("root", ROOTS.values(), ids=lambda root: root.__name__)
def test_json_schema_forbids_unknown_keys(root: type[SftConfig]) -> None:
    schema = root.model_json_schema()
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == set(root.model_fields)
