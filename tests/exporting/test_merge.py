"""Exported folders: equal to base and adapter, loadable by plain transformers, whole or absent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from swift.config.export import ExportConfig
from swift.errors import CheckpointError, ConfigError, HubError, ModelError, ResourceError
from swift.exporting import verify
from swift.exporting.certificate.subject import weight_files
from swift.exporting.export import export
from swift.models.tiny import save_tiny, tiny_tokenizer
from tests.engines.support import save_adapter

IDS = torch.arange(3, 60).unsqueeze(0)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "model")


def _config(**values):
    given = dict(values)
    model = {"device": "cpu", **given.pop("model", {})}
    # The models are random: none was ever taught to stop.
    certificate = {"min_stop": 0.0, "rows": 4, "answers": 2, "new_tokens": 4}
    return ExportConfig.model_validate({"certificate": certificate, **given, "model": model})


@torch.no_grad()
def _logits(folder, adapters=(), dtype=torch.float32):
    from peft import PeftModel

    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    for adapter in adapters:
        loaded = PeftModel.from_pretrained(loaded, str(adapter)).merge_and_unload()
    return loaded(input_ids=IDS).logits.float()


@torch.no_grad()
def _unmerged(folder, adapter):
    from peft import PeftModel

    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder), str(adapter))(input_ids=IDS).logits


@pytest.mark.parametrize("options", [{}, {"use_dora": True}, {"use_rslora": True}, {"modules_to_save": ["lm_head"]}])
def test_merged_weights_are_base_and_adapter(options, model, tmp_path, capsys):
    adapter = save_adapter(tmp_path / "adapter", model, seed=1, **options)
    folder = export(_config(adapters=[str(adapter)], merge_lora=True))
    assert folder == tmp_path / "adapter-merged"
    found = _logits(folder)
    assert torch.allclose(found, _unmerged(model, adapter), atol=2e-5)
    assert not torch.allclose(found, _logits(model), atol=1e-2)
    assert not list(tmp_path.glob(".*"))
    shown = capsys.readouterr().err
    assert "KL divergence" in shown
    assert str(folder) in shown


def test_the_folder_has_all_that_plain_transformers_needs(model, tmp_path):
    adapter = save_adapter(tmp_path / "adapter", model, seed=1)
    tiny_tokenizer(chat_template="{# trained #}" + tiny_tokenizer().chat_template).save_pretrained(adapter)
    GenerationConfig(eos_token_id=[2, 77], pad_token_id=0).save_pretrained(adapter)
    folder = export(_config(adapters=[str(adapter)], merge_lora=True, output_dir=str(tmp_path / "out")))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.chat_template.startswith("{# trained #}")
    loaded = AutoModelForCausalLM.from_pretrained(folder)
    assert loaded.generation_config.eos_token_id == [2, 77]
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "hi"}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    assert loaded.generate(**prompt, max_new_tokens=4).shape[1] > prompt["input_ids"].shape[1]
    assert not (folder / "adapter_config.json").exists()


@pytest.mark.parametrize("to", ["hf", "peft"])
def test_an_adapter_that_is_cut_short(to, model, tmp_path):
    adapter = save_adapter(tmp_path / "adapter", model, seed=1)
    file = adapter / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ModelError, match="cut short"):
        export(_config(adapters=[str(adapter)], merge_lora=to == "hf", to=to, output_dir=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()


def test_an_adapter_of_another_base_is_told_by_its_shapes(model, tmp_path):
    adapter = save_adapter(tmp_path / "adapter", model, seed=1)
    other = save_tiny(tmp_path / "other", hidden_size=32, intermediate_size=64)
    with pytest.raises(CheckpointError, match=r"lora_A.* has the shape \[4, \d+\]") as caught:
        export(_config(model={"id": str(other)}, adapters=[str(adapter)], merge_lora=True))
    assert "--model" in caught.value.hint


@pytest.mark.parametrize("safe", [True, False])
def test_the_type_of_weights_whose_configuration_names_none(safe, tmp_path):
    from swift.models.tiny import tiny_model

    model = tmp_path / "half"
    half = tiny_model().bfloat16()
    half.save_pretrained(model)
    tiny_tokenizer().save_pretrained(model)
    values = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(
        json.dumps({name: value for name, value in values.items() if name not in ("dtype", "torch_dtype")})
    )
    if not safe:
        (model / "model.safetensors").unlink()
        torch.save(half.state_dict(), model / "pytorch_model.bin")
    folder = export(_config(model={"id": str(model)}, certificate={"enabled": False}))
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.bfloat16}  # noqa: SIM118


def test_a_quantized_source_is_told_as_one(model, tmp_path):
    values = json.loads((model / "config.json").read_text())
    values["quantization_config"] = {"quant_method": "gptq", "bits": 4, "group_size": 32}
    (model / "config.json").write_text(json.dumps(values))
    with pytest.raises(ModelError, match="holds quantized weights") as caught:
        export(_config(model={"id": str(model)}, quantize={"type": "hqq"}))
    assert "adapter" not in caught.value.message


def test_weights_in_two_formats_count_once(tmp_path):
    for name, size in (("model.safetensors", 10), ("pytorch_model.bin", 20)):
        (tmp_path / name).write_bytes(bytes(size))
    assert weight_files(tmp_path) == 10
    (tmp_path / "model.safetensors").unlink()
    assert weight_files(tmp_path) == 20


def test_folders_among_the_papers_and_foreign_records_stop_nothing(model, tmp_path):
    (model / "LICENSES").mkdir()
    (model / "LICENSE").write_text("mine")
    (tmp_path / "run.json").write_text('{"config": {}}')
    folder = export(_config(model={"id": str(model)}, certificate={"enabled": False}))
    assert (folder / "LICENSE").read_text() == "mine"
    assert (folder / "README.md").is_file()


def test_several_adapters_are_merged_in_order(model, tmp_path):
    one = save_adapter(tmp_path / "one", model, seed=1, scale=0.2)
    two = save_adapter(tmp_path / "two", model, seed=2, scale=0.2)
    folder = export(_config(adapters=[str(one), str(two)], merge_lora=True))
    assert folder.name == "two-merged"
    assert torch.allclose(_logits(folder), _logits(model, [one, two]), atol=5e-5)


def test_head_and_embeddings_that_were_tied_part_when_only_one_is_tuned(tmp_path):
    model = save_tiny(tmp_path / "tied", tie_word_embeddings=True)
    adapter = save_adapter(tmp_path / "adapter", model, seed=1, target_modules=["lm_head", "q_proj"])
    folder = export(_config(adapters=[str(adapter)], merge_lora=True))
    assert json.loads((folder / "config.json").read_text())["tie_word_embeddings"] is False
    assert torch.allclose(_logits(folder), _unmerged(model, adapter), atol=2e-5)
    embeddings = AutoModelForCausalLM.from_pretrained(folder).get_input_embeddings().weight
    assert torch.equal(embeddings, AutoModelForCausalLM.from_pretrained(model).get_input_embeddings().weight)


def test_type_and_shard_size(model, tmp_path):
    config = _config(model={"id": str(model), "dtype": "bfloat16"}, max_shard_size="100KB")
    folder = export(config)
    assert folder == tmp_path / "model-exported"
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 1
    for shard in shards:
        with safe_open(shard, "pt") as file:
            assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.bfloat16}  # noqa: SIM118
    assert AutoModelForCausalLM.from_pretrained(folder).dtype == torch.bfloat16
    assert torch.equal(_logits(folder), _logits(model, dtype=torch.bfloat16).float()) or torch.allclose(
        _logits(folder, dtype=torch.bfloat16), _logits(model, dtype=torch.bfloat16)
    )


def test_the_type_of_the_checkpoint_is_kept(tmp_path):
    from swift.models.tiny import tiny_model

    model = tmp_path / "half"
    tiny_model().bfloat16().save_pretrained(model)
    tiny_tokenizer().save_pretrained(model)
    adapter = save_adapter(tmp_path / "adapter", model, seed=1, scale=0.05)
    kept = export(_config(adapters=[str(adapter)], merge_lora=True, output_dir=str(tmp_path / "kept")))
    assert AutoModelForCausalLM.from_pretrained(kept).dtype == torch.bfloat16
    wide = export(
        _config(model={"dtype": "float32"}, adapters=[str(adapter)], merge_lora=True, output_dir=str(tmp_path / "wide"))
    )
    loaded = AutoModelForCausalLM.from_pretrained(wide)
    assert loaded.dtype == torch.float32
    layer, kept_layer = (AutoModelForCausalLM.from_pretrained(f).model.layers[0].self_attn.q_proj for f in (wide, kept))
    assert torch.equal(layer.weight.bfloat16(), kept_layer.weight), "rounded once, from the float32 sum"


def test_a_result_that_computes_something_else_is_refused(model, tmp_path, monkeypatch):
    adapter = save_adapter(tmp_path / "adapter", model, seed=1)
    monkeypatch.setattr(verify, "BOUNDS", dict.fromkeys((torch.float32, torch.bfloat16), -1.0))
    with pytest.raises(ModelError, match="is not the model that was to be exported"):
        export(_config(adapters=[str(adapter)], merge_lora=True))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "model"]


def test_the_comparison_sees_a_wrong_weight():
    expected = torch.randn(8, 100, generator=torch.Generator().manual_seed(0))
    same = verify.compare(expected, expected)
    assert (same.largest, same.divergence) == (0.0, pytest.approx(0.0, abs=1e-12))
    assert verify.require_equal(expected, expected + 1e-6, torch.float32, "x").largest < 1e-5
    with pytest.raises(ModelError):
        verify.require_equal(expected, expected.flip(0), torch.bfloat16, "x")
    with pytest.raises(ModelError):
        verify.require_equal(expected, expected * float("nan"), torch.bfloat16, "x")


def test_an_adapter_that_is_not_finite_is_refused(model, tmp_path):
    adapter = save_adapter(tmp_path / "adapter", model, seed=1, scale=float("inf"))
    with pytest.raises((CheckpointError, ModelError)):
        export(_config(adapters=[str(adapter)], merge_lora=True))
    assert not (tmp_path / "adapter-merged").exists()


def test_an_existing_folder_is_replaced_only_on_request(model, tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "mine.txt").write_text("keep")
    config = _config(model={"id": str(model)}, output_dir=str(target))
    with pytest.raises(ConfigError, match="exists"):
        export(config)
    assert (target / "mine.txt").read_text() == "keep"
    export(config.model_copy(update={"overwrite": True}))
    assert not (target / "mine.txt").exists()
    assert torch.equal(_logits(target), _logits(model))


@pytest.mark.parametrize("inside", [".", "sub"])
def test_what_is_read_from_is_never_replaced(inside, model):
    source = model / inside
    if inside == "sub":
        save_tiny(source)
    with pytest.raises(ConfigError, match="holds what is exported"):
        export(_config(model={"id": str(source)}, output_dir=str(model), overwrite=True))
    assert (source / "config.json").exists()


def test_a_full_disk_is_told_before_writing(model, tmp_path, monkeypatch):
    import shutil
    from types import SimpleNamespace

    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(ResourceError, match="GiB free"):
        export(_config(model={"id": str(model)}, output_dir=str(tmp_path / "out")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"adapters": ["adapter"]}, "nothing is to be done"),
        ({"model": {"id": "model"}, "merge_lora": True}, "no adapter to merge"),
        ({"model": {"id": "model"}, "push_to_hub": True}, "no target"),
        ({"merge_lora": True}, "no model is named"),
    ],
)
def test_options_that_do_not_go_together(values, words, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_adapter(tmp_path / "adapter", model, seed=1)
    with pytest.raises(ConfigError, match=words):
        export(_config(**values))


def test_an_upload_without_a_network_fails_before_the_work(model, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(HubError) as caught:
        export(_config(model={"id": str(model)}, push_to_hub=True, push_to="me/mine", output_dir=str(tmp_path / "o")))
    assert "\n" not in caught.value.message
    assert not (tmp_path / "o").exists()
