from __future__ import annotations

import json
from pathlib import Path

import pytest

from swift.errors import HubError
from swift.hub.files import INDEX, choose_model_files, missing_file, weight_files

SMALL = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]
PAPERS = ["README.md", "LICENSE"]
CLUTTER = ["onnx/model.onnx", "original/consolidated.00.pth", "consolidated.safetensors", "model.pth",
           "flax_model.msgpack", "modeling_own.py", "onnx/config.json", ".gitattributes"]  # fmt: skip


def choose(files: list[str], *, weights: bool = True, code: bool = False) -> set[str]:
    return set(choose_model_files(files, weights=weights, code=code, where="the model"))


def test_the_terms_come_along() -> None:
    assert choose([*SMALL, *PAPERS, "docs/README.md"], weights=False) == {*SMALL, *PAPERS}


def test_only_what_loading_needs() -> None:
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", INDEX]
    assert choose([*SMALL, *CLUTTER, *shards, "pytorch_model.bin"]) == {*SMALL, *shards}


def test_no_weights_for_looking_only() -> None:
    assert choose([*SMALL, *CLUTTER, "model.safetensors", INDEX], weights=False) == set(SMALL)


def test_code_only_where_it_is_trusted() -> None:
    assert "modeling_own.py" in choose([*SMALL, *CLUTTER, "model.safetensors"], code=True)


def test_bin_only_without_safetensors() -> None:
    assert choose([*SMALL, "pytorch_model.bin"]) == {*SMALL, "pytorch_model.bin"}
    assert choose([*SMALL, "pytorch_model.bin", "model.safetensors"]) == {*SMALL, "model.safetensors"}


def test_a_single_gguf_is_a_model() -> None:
    assert choose(["README.md", "model.Q8_0.gguf"]) == {"model.Q8_0.gguf"}


@pytest.mark.parametrize(
    ("files", "says"),
    [(["README.md"], "no config.json"), (["a.gguf", "b.gguf"], "no config.json"), (SMALL, "no safetensors")],
)
def test_nothing_to_load(files: list[str], says: str) -> None:
    with pytest.raises(HubError, match=says):
        choose(files)


def test_foreign_formats_are_no_weights() -> None:
    names = ["consolidated.safetensors", "adapter_model.safetensors", "optimizer.bin", "training_args.bin"]
    assert weight_files(names) == []


def test_missing_file(tmp_path: Path) -> None:
    assert missing_file(tmp_path, weights=False) == "config.json"
    (tmp_path / "config.json").write_text("{}")
    assert missing_file(tmp_path, weights=False) is None
    assert missing_file(tmp_path, weights=True) == "model.safetensors"
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}))
    (tmp_path / "model-1.safetensors").touch()
    assert missing_file(tmp_path, weights=True) == "model-2.safetensors"
    (tmp_path / "model-2.safetensors").touch()
    assert missing_file(tmp_path, weights=True) is None


def test_steps_of_sentence_transformers_come_along() -> None:
    steps = ["1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors"]
    files = ["config.json", "modules.json", "model.safetensors", "onnx/config.json", *steps]
    assert choose(files) == {"config.json", "modules.json", "model.safetensors", *steps}
    assert choose(files, weights=False) == {"config.json", "modules.json", *steps[:2]}
