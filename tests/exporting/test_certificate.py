"""The certificate sees what is wrong with a folder, and lets pass what is right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from swift.errors import ModelError
from swift.exporting.certificate.certificate import failed, is_about_others
from swift.exporting.certificate.layers import compare_layers, trace
from swift.exporting.export import export
from swift.exporting.publish.files import outgoing, require_certified
from swift.models.tiny import tiny_model
from tests.engines.support import save_adapter
from tests.exporting.support import config, trained, write_rows


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("trained") / "model")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows.jsonl")


def read(folder: Path) -> dict:
    return json.loads((folder / "certificate.json").read_text())


def broken(folder: Path, model: Path, rows: Path, **values) -> str:
    """What is said of a folder that was made of `model`."""
    with pytest.raises(ModelError) as error:
        export(config(model, rows, certify=str(folder), **values))
    assert "\n" not in error.value.message
    assert failed(folder)
    return error.value.message


def test_a_right_export_passes_with_numbers(model, rows, tmp_path, capsys):
    adapter = save_adapter(tmp_path / "adapter", model, seed=1, scale=0.02)
    folder = export(config(model, rows, adapters=[str(adapter)], merge_lora=True, output_dir=str(tmp_path / "out")))
    found = read(folder)
    assert found["passed"]
    assert not failed(folder)
    assert found["distance"]["mean_kl"] < 1e-6
    assert found["distance"]["greedy_match"] == 1.0
    assert found["distance"]["same_answers"] == [2, 2]
    assert found["after"]["stop_probability"] > 0.5
    assert found["after"]["stopped"] == [2, 2]
    assert found["after"]["tokens_per_second"] > 0
    assert found["after"]["perplexity"] == pytest.approx(found["before"]["perplexity"], rel=1e-4)
    assert found["after"]["size_bytes"] == (folder / "model.safetensors").stat().st_size
    page = (folder / "certificate.md").read_text()
    assert page.startswith("# Certificate: passed")
    assert "KL divergence" in capsys.readouterr().err


def test_a_merge_with_the_wrong_scale_is_caught(model, rows, tmp_path):
    adapter = save_adapter(tmp_path / "adapter", model, seed=1, scale=0.1)
    options = {"adapters": [str(adapter)], "merge_lora": True, "output_dir": str(tmp_path / "out")}
    folder = export(config(model, rows, **options, certificate={"min_stop": 0}))
    weights, plain = load_file(folder / "model.safetensors"), load_file(model / "model.safetensors")
    for name in weights:
        weights[name] = plain[name] + 2 * (weights[name] - plain[name])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    said = broken(folder, model, rows, adapters=[str(adapter)])
    assert "divergence" in said
    assert "what rounding explains" in said


def test_an_adapter_that_was_not_merged_at_all_is_caught(model, rows, tmp_path):
    adapter = save_adapter(tmp_path / "adapter", model, seed=1, scale=0.1)
    folder = export(config(model, rows, output_dir=str(tmp_path / "out")))
    assert "divergence" in broken(folder, model, rows, adapters=[str(adapter)])


def test_a_dropped_chat_template_is_caught(model, rows, tmp_path):
    folder = export(config(model, rows, output_dir=str(tmp_path / "out")))
    (folder / "chat_template.jinja").unlink()
    said = broken(folder, model, rows)
    assert "template: row 1 cannot be rendered any more" in said
    assert "divergence" not in said, "the weights are what they were"


def test_a_changed_chat_template_is_caught(model, rows, tmp_path):
    folder = export(config(model, rows, output_dir=str(tmp_path / "out")))
    path = folder / "chat_template.jinja"
    path.write_text(path.read_text().replace("assistant\\n", "assistant\\n\\n"))
    assert "becomes other tokens" in broken(folder, model, rows)


def test_a_stop_token_that_was_never_trained_is_caught(rows, tmp_path):
    silent = trained(tmp_path / "silent", stops=False)
    with pytest.raises(ModelError, match=r"stops: probability .* where answers end") as error:
        export(config(silent, rows, output_dir=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()
    assert failed(tmp_path / "out-failed")
    assert "out-failed" in error.value.hint
    allowed = config(silent, rows, output_dir=str(tmp_path / "out"), certificate={"min_stop": 0})
    assert read(export(allowed))["passed"]


def test_a_lost_stop_token_is_caught(model, rows, tmp_path):
    folder = export(config(model, rows, output_dir=str(tmp_path / "out")))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["eos_token"] = "<|endoftext|>"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    for name in ("config.json", "generation_config.json"):
        values = json.loads((folder / name).read_text())
        values["eos_token_id"] = 0
        (folder / name).write_text(json.dumps(values))
    assert "stop tokens: <|endoftext|> instead of" in broken(folder, model, rows)


def test_numbers_that_are_none_are_caught(model, rows, tmp_path):
    folder = export(config(model, rows, output_dir=str(tmp_path / "out")))
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert "finite: predictions are not numbers" in broken(folder, model, rows)


def test_a_failed_result_is_never_published(rows, tmp_path):
    silent = trained(tmp_path / "silent", stops=False, steps=5)
    with pytest.raises(ModelError):
        export(config(silent, rows, output_dir=str(tmp_path / "out")))
    again = config(tmp_path / "out-failed", rows, push_to_hub=True, push_to="me/mine", output_dir=str(tmp_path / "b"))
    with pytest.raises(ModelError, match="did not pass its certificate"):
        export(again)


def test_a_bound_of_the_users_own(model, rows, tmp_path):
    values = {"model": {"id": str(model), "device": "cpu", "dtype": "bfloat16"}, "output_dir": str(tmp_path / "out")}
    with pytest.raises(ModelError, match=r"bound 1e-09 \(--max_kl\)"):
        export(config(model, rows, **values, certificate={"max_kl": 1e-9}))
    assert read(export(config(model, rows, **values)))["passed"]


def test_layers_are_compared_with_what_they_were():
    model, other = tiny_model(), tiny_model()
    rows = [list(range(3, 40)), list(range(50, 90))]
    name = "model.layers.1.mlp.down_proj"
    with torch.no_grad():
        other.get_submodule(name).weight.mul_(1.1)
    known = trace(model, rows, [name, "model.layers.0.mlp.down_proj"])
    blocks, layers = compare_layers(other, known)
    assert {layer.name: round(layer.output, 3) for layer in layers} == {name: 0.1, "model.layers.0.mlp.down_proj": 0.0}
    assert blocks[0].own == blocks[0].so_far == 0.0
    assert blocks[1].own > 1e-4
    assert blocks[1].own == pytest.approx(blocks[1].so_far)


def test_what_is_no_model_cannot_be_certified(model, rows, tmp_path):
    with pytest.raises(ModelError, match="neither a model's folder nor a GGUF file"):
        export(config(model, rows, certify=str(tmp_path)))


def test_a_certificate_of_other_files_is_left_alone(model, rows, tmp_path):
    folder = export(config(model, rows, output_dir=str(tmp_path / "out")))
    before = (folder / "certificate.json").read_bytes()
    (folder / "other.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match=r"about other files than other\.gguf"):
        export(config(model, rows, certify=str(folder / "other.gguf")))
    assert (folder / "certificate.json").read_bytes() == before


def test_a_certificate_of_a_folder_vouches_for_no_gguf_file_in_it(model, rows, tmp_path):
    folder = export(config(model, rows, output_dir=str(tmp_path / "out")))
    (folder / "other.gguf").write_bytes(b"GGUF")
    export(config(model, rows, certify=str(folder)))
    with pytest.raises(ModelError, match=r"other\.gguf was not there"):
        require_certified(folder, outgoing(folder))
    # Older ones say that they are about it.
    values = json.loads((folder / "certificate.json").read_text())
    values["files"]["other.gguf"] = "0" * 64
    (folder / "certificate.json").write_text(json.dumps(values))
    assert is_about_others(folder, "other.gguf")


@pytest.mark.parametrize("text", ['{"passed": true}', "{", "[]"])
def test_a_certificate_that_names_no_files_may_be_replaced(text, tmp_path):
    (tmp_path / "certificate.json").write_text(text)
    assert not is_about_others(tmp_path, "model.gguf")
