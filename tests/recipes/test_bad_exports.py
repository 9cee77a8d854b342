"""What a user gets wrong about exports, through the command line: exit 2, one clear line, and no folder left behind.

The model's weights file is garbage: whatever reads it says so, and not what these tests expect.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from swift.cli.main import main
from swift.models.tiny import save_tiny
from tests.engines.support import save_adapter
from tests.exporting.support import write_rows

# Further words on `swift export --model model --device cpu` -> what the error says.
WORDS: dict[str, tuple[list[str], str]] = {
    "unknown method": (["--quant_method", "gptqq"], r"quant_method.*gptqq"),
    "bits that bnb lacks": (["--quant_method", "bnb", "--quant_bits", "3"], r"quant_bits.*3"),
    "bits that awq lacks": (["--quant_method", "awq", "--quant_bits", "8"], r"quant_bits.*8"),
    "bits without a method": (["--quant_bits", "4"], r"quant_bits"),
    "groups of another method": (["--quant_method", "bnb", "--group_size", "64"], r"group_size"),
    "groups that are too small": (["--quant_method", "gptq", "--group_size", "1"], r"group_size.*1"),
    "damping of nothing": (["--quant_method", "gptq", "--quant_dampening", "0"], r"quant_dampening.*0"),
    "no rows to calibrate by": (["--quant_method", "gptq", "--quant_n_samples", "0"], r"quant_n_samples.*0"),
    "smoothing of more than all": (["--quant_method", "int8", "--quant_smoothing", "2"], r"quant_smoothing.*2"),
    "scales by nothing known": (["--quant_method", "gptq", "--quant_scales", "best"], r"quant_scales.*best"),
    "no environment": (
        ["--quant_method", "gptq", "--dataset", "rows.jsonl", "--env_dir", "none"],
        r"llmcompressor is not installed",
    ),
    "no environment of llama.cpp": (["--to", "gguf", "--env_dir", "none"], r"llamacpp is not installed"),
    "unknown layer to keep": (["--quant_method", "bnb", "--modules_to_not_convert", "down_prj"], r"down_prj"),
    "groups that do not fit": (["--quant_method", "hqq", "--group_size", "1024"], r"1024.*does not divide"),
    "unknown target": (["--to", "onnx"], r"to.*onnx"),
    "unknown kind of GGUF": (["--to", "gguf", "--gguf_quantize", "q9"], r"gguf_quantize.*q9"),
    "merge of nothing": (["--merge_lora", "true"], r"no adapter to merge"),
    "adapter that nothing is done with": (["--adapters", "adapter"], r"nothing is to be done"),
    "no such adapter": (["--adapters", "nowhere", "--merge_lora", "true"], r"nowhere"),
    "adapter that is a model": (["--adapters", "model", "--merge_lora", "true"], r"whole model"),
    "the adapter alone, of none": (["--to", "peft"], r"there is no adapter"),
    "the adapter alone, and merged": (
        ["--to", "peft", "--adapters", "adapter", "--merge_lora", "true"],
        r"peft keeps the adapter apart",
    ),
    "the adapter alone, in few bits": (
        ["--to", "peft", "--adapters", "adapter", "--quant_method", "bnb"],
        r"adapter, which is not quantized",
    ),
    "a folder that exists": (["--output_dir", "taken"], r"taken exists"),
    "onto itself": (["--output_dir", "model", "--exist_ok", "true"], r"is what is exported"),
    "a target that is a file": (["--output_dir", "rows.jsonl", "--exist_ok", "true"], r"rows\.jsonl is a file"),
    "no such rows": (["--val_dataset", "rowz.jsonl"], r"rowz\.jsonl"),
    "rows that are none": (["--val_dataset", "bad.jsonl"], r"no held-out row"),
    "all rows too long": (["--val_dataset", "rows.jsonl", "--max_length", "2"], r"no held-out row"),
    "no such type": (["--torch_dtype", "int4"], r"torch_dtype.*int4"),
    "bound below zero": (["--max_kl", "-1"], r"max_kl.*-1"),
    "probability of more than one": (["--min_stop_probability", "2"], r"min_stop_probability.*2"),
    "certify what is no model": (["--certify", "adapter"], r"neither a model's folder nor a GGUF file"),
    "certify nothing": (["--certify", "nowhere"], r"nowhere"),
    "upload without a target": (["--push_to_hub", "true"], r"push_to_hub.*where to is not said"),
    "upload that is not asked for": (["--hub_model_id", "me/x"], r"hub_model_id.*nothing is to be uploaded"),
    "upload to no id": (["--push_to_hub", "true", "--hub_model_id", "a/b/c"], r"a/b/c.*OWNER/NAME"),
    "try out no upload": (["--dry_run", "true"], r"nothing is to be uploaded"),
    "publish nothing": (["--publish", "nowhere", "--hub_model_id", "me/x", "--dry_run", "true"], r"no such folder"),
    "publish a run": (["--publish", "run", "--hub_model_id", "me/x", "--dry_run", "true"], r"a run or a training"),
    "publish what failed": (
        ["--publish", "failed", "--hub_model_id", "me/x", "--dry_run", "true"],
        r"did not pass its certificate",
    ),
    "publish a damaged certificate": (
        ["--publish", "damaged", "--hub_model_id", "me/x", "--dry_run", "true"],
        r"certificate\.json is damaged",
    ),
    "publish without a card": (["--publish", "taken", "--hub_model_id", "me/x"], r"no model card"),
    "publish without a hub": (["--publish", "whole", "--hub_model_id", "me/x"], r"cannot be reached"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    model = save_tiny(folder / "model")
    save_adapter(folder / "adapter", model, seed=1)
    (model / "model.safetensors").write_bytes(b"nothing of the kind")
    write_rows(folder / "rows.jsonl")
    (folder / "bad.jsonl").write_text('{"foo": 1}\n')
    for name, certificate in (("taken", None), ("failed", '{"passed": false}'), ("damaged", '{"passed": 7}')):
        (folder / name).mkdir()
        (folder / name / "model.safetensors").write_bytes(b"x")
        if certificate is not None:
            (folder / name / "certificate.json").write_text(certificate)
    (folder / "whole").mkdir()
    (folder / "whole" / "model.safetensors").write_bytes(b"x")
    (folder / "whole" / "README.md").write_text("# A card")
    (folder / "run").mkdir()
    (folder / "run" / "run.json").write_text("{}")
    return folder


@pytest.mark.parametrize("name", list(WORDS))
def test_bad_exports(name: str, place: Path, monkeypatch, capfd: pytest.CaptureFixture[str]) -> None:
    words, pattern = WORDS[name]
    monkeypatch.chdir(place)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    before = {path.relative_to(place): path.stat().st_mtime_ns for path in place.rglob("*")}
    code = main(["export", "--model", "model", "--device", "cpu", *words])
    shown = capfd.readouterr().err
    errors = [line for line in shown.splitlines() if line.startswith("error:")]
    assert code == 2, shown
    assert "Traceback" not in shown
    assert len(errors) == 1, shown
    assert re.search(pattern, errors[0]), errors[0]
    assert len(errors[0]) < 600
    assert {path.relative_to(place): path.stat().st_mtime_ns for path in place.rglob("*")} == before


def test_rules_of_bits_are_read_before_weights(place: Path, monkeypatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Where the environment is there, a rule that matches nothing is told without it having been started."""
    from swift.environments.store import home, require
    from swift.errors import EngineError

    try:
        require("llmcompressor", home())
    except EngineError as error:
        pytest.skip(error.message)
    monkeypatch.chdir(place)
    words = ["--quant_method", "gptq", "--dataset", "rows.jsonl", "--group_size", "32", "--bits_rule", "down_prj=8"]
    assert main(["export", "--model", "model", "--device", "cpu", *words]) == 2
    assert "down_prj" in capfd.readouterr().err


def test_the_garbage_is_found_in_the_end(place: Path, monkeypatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(place)
    assert main(["export", "--model", "model", "--device", "cpu", "--output_dir", "new"]) == 2
    assert "safetensors" in capfd.readouterr().err
    assert not (place / "new").exists()
    assert json.loads((place / "model" / "config.json").read_text())["model_type"] == "llama"
