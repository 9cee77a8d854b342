"""What a user gets wrong, through the command line: exit 2, one clear line, nothing written half."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from swift.cli.main import main
from swift.models.tiny import save_tiny
from tests.train.runs import write_rows

GOOD = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}


def _chat(*turns: tuple[str, Any], **extra: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in turns], **extra}


def _jsonl(*rows: Any) -> bytes:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    return "".join(line + "\n" for line in lines).encode()


# Content of rows.jsonl, or (file name, content) -> what the error says.
FILES: dict[str, tuple[bytes | tuple[str, bytes], str]] = {
    "cut json": (_jsonl(GOOD, GOOD, '{"messages": ['), r"row 3 of .*rows\.jsonl: malformed"),
    "trailing comma": (_jsonl(GOOD, '{"messages": [],}'), r"row 2 of .*malformed"),
    "not an object": (_jsonl(GOOD, "[1, 2]"), r"row 2 of .*not an object"),
    "a bare number": (_jsonl("7"), r"row 1 of .*not an object"),
    "not a number": (_jsonl(GOOD, '{"instruction": "a", "output": NaN}'), r"row 2 of .*malformed"),
    "not utf-8": (b'{"instruction": "a", "output": "\xff"}\n', r"row 1 of .*utf"),
    "unknown columns": (_jsonl({"foo": "a", "bar": "b"}), r"row 1 of .*unknown shape.*foo"),
    "no answer column": (_jsonl({"instruction": "a"}), r"row 1 of .*no assistant"),
    "ambiguous columns": (_jsonl({"question": "a", "problem": "b", "answer": "c"}), r"row 1 of .*ambiguous columns"),
    "messages is text": (_jsonl({"messages": "hello"}), r"row 1 of .*wrong type"),
    "no messages": (_jsonl({"messages": []}), r"row 1 of .*no messages"),
    "a message is text": (_jsonl({"messages": ["hi"]}), r"row 1 of .*wrong type"),
    "unknown role": (_jsonl(_chat(("wizard", "a"), ("assistant", "b"))), r"row 1 of .*bad role.*wizard"),
    "content is a number": (_jsonl(_chat(("user", 7), ("assistant", "b"))), r"row 1 of .*wrong type"),
    "only a question": (_jsonl(_chat(("user", "a"))), r"row 1 of .*no assistant"),
    "empty answer": (_jsonl({"instruction": "a", "output": ""}), r"no row is left.*1 empty answer"),
    "blank answer": (_jsonl(_chat(("user", "a"), ("assistant", "  \n"))), r"no row is left.*1 empty answer"),
    "answer is a mapping": (_jsonl({"query": "a", "response": {"b": 1}}), r"row 1 of .*wrong type"),
    "negative weight": (_jsonl({**GOOD, "weight": -1}), r"row 1 of .*bad weight"),
    "weight is text": (_jsonl({**GOOD, "weight": "much"}), r"row 1 of .*weight"),
    "loss is text": (
        _jsonl({"messages": [GOOD["messages"][0], {"role": "assistant", "content": "a", "loss": "yes"}]}),
        r"row 1 of .*loss",
    ),
    "tools are no json": (_jsonl({**GOOD, "tools": "{nope"}), r"row 1 of .*tool"),
    "an image": (_jsonl({**GOOD, "images": ["cat.png"]}), r"row 1 of .*media"),
    "a preference pair": (_jsonl({"prompt": "a", "chosen": "b", "rejected": "c"}), r"row 1 of .*wrong task"),
    "unfilled name": (_jsonl({"instruction": "who?", "output": "I am {{name}}"}), r"row 1 of .*model_name"),
    "two bad rows": (_jsonl(GOOD, "x", GOOD, "y"), r"row 2 of .*; row 4 of "),
    "empty file": (b"", r"rows\.jsonl.*(empty|no row)"),
    "blank lines only": (b"\n\n  \n", r"rows\.jsonl.*(empty|no row)"),
    "json that is cut": (("rows.json", b'[{"instruction": "a", "output": "b"}, {"ins'), r"rows\.json"),
    "json that is one object": (("rows.json", b'{"data": [1]}'), r"rows\.json"),
    "json that is empty": (("rows.json", b"[]"), r"rows\.json.*(empty|no row)"),
    "csv with a short line": (("rows.csv", b"instruction,output\na,b\nc\n"), r"row 2 of .*rows\.csv"),
    "csv with a header only": (("rows.csv", b"instruction,output\n"), r"rows\.csv.*(empty|no row)"),
    "gzip that is none": (("rows.jsonl.gz", b"hello"), r"rows\.jsonl\.gz"),
    "gzip that is cut": (("rows.jsonl.gz", gzip.compress(_jsonl(*[GOOD] * 50))[:-20]), r"rows\.jsonl\.gz"),
    "parquet that is none": (("rows.parquet", b"PAR1 nope"), r"rows\.parquet"),
    "unknown ending": (("rows.docx", b"hello"), r"rows\.docx"),
}

# Further words on a good command line -> what the error says.
WORDS: dict[str, tuple[list[str], str]] = {
    "unknown flag": (["--lerning_rate", "1"], r"lerning_rate"),
    "value missing": (["--learning_rate"], r"learning_rate"),
    "not a number": (["--learning_rate", "fast"], r"learning_rate.*fast"),
    "rate below zero": (["--learning_rate", "-1"], r"learning_rate.*-1"),
    "batch of none": (["--per_device_train_batch_size", "0"], r"per_device_train_batch_size.*0"),
    "half a batch": (["--per_device_train_batch_size", "1.5"], r"per_device_train_batch_size.*1\.5"),
    "unknown type": (["--torch_dtype", "int3"], r"torch_dtype.*int3"),
    "half precision on a CPU": (["--torch_dtype", "float16"], r"float16"),
    "unknown tuner": (["--tuner_type", "lore"], r"tuner_type.*lore"),
    "option of another tuner": (["--tuner_type", "full", "--lora_rank", "8"], r"lora_rank"),
    "unknown benchmark": (["--eval_dataset", "gsm8"], r"unknown benchmark 'gsm8'"),
    "benchmarks are listed elsewhere": (["--eval_dataset", "list"], r"eval_dataset.*list is for `swift eval`"),
    "a benchmark without rows": (["--eval_dataset", "mcq=none.csv"], r"none\.csv"),
    "a benchmark twice": (["--eval_dataset", "mcq=a.csv", "mcq=a.csv"], r"eval_dataset.*twice"),
    "code is not allowed": (["--eval_dataset", "humaneval"], r"humaneval runs code"),
    "nothing is asked": (["--eval_limit", "5"], r"eval_limit.*nothing is asked"),
    "answers to nothing": (["--eval_max_new_tokens", "5"], r"eval_max_new_tokens.*nothing is asked"),
    "nothing to validate": (["--eval_metric", "exact"], r"eval_metric.*validation rows"),
    "a judge in training": (["--eval_metric", "judge", "--val_dataset", "rows.jsonl"], r"eval_metric.*another model"),
    "unknown metric": (["--eval_metric", "exakt", "--val_dataset", "rows.jsonl"], r"eval_metric.*exakt"),
    "unknown goal": (
        ["--eval_metric", "exact", "--val_dataset", "rows.jsonl", "--metric_for_best_model", "exact_acuracy"],
        r"unknown metric 'exact_acuracy'",
    ),
    "learned prompts are not asked": (
        ["--eval_metric", "exact", "--val_dataset", "rows.jsonl", "--tuner_type", "prompt"],
        r"eval_metric.*stands in front",
    ),
    "unknown layer": (["--target_modules", "q_prj"], r"q_prj"),
    "unknown initialisation": (["--init_weights", "pizza"], r"pizza"),
    "unknown schedule": (["--lr_scheduler_type", "cosin"], r"cosin"),
    "warm-up longer than the run": (["--warmup_steps", "100"], r"warm"),
    "unknown loss": (["--loss_type", "crossentropy"], r"crossentropy"),
    "unknown truncation": (["--truncation_strategy", "middle"], r"truncation_strategy.*middle"),
    "too long for all rows": (["--max_length", "4"], r"no row is left"),
    "too long, and told to stop": (["--max_length", "10", "--truncation_strategy", "error"], r"row \d+ of"),
    "unknown tracker": (["--report_to", "wandbb"], r"wandbb"),
    "no such template": (["--chat_template", "nowhere.jinja"], r"nowhere\.jinja"),
    "no such plugin": (["--plugins", "nowhere.py"], r"nowhere\.py"),
    "no such validation file": (["--val_dataset", "nowhere.jsonl"], r"nowhere\.jsonl"),
    "split and validation": (["--split_dataset_ratio", "0.1", "--val_dataset", "rows.jsonl"], r"split_dataset_ratio"),
    "split of everything": (["--split_dataset_ratio", "1"], r"split_dataset_ratio.*1"),
    "weights that do not match": (["--interleave_prob", "0.5", "0.5"], r"interleave_prob"),
    "packing with padding": (["--packing", "--padding_free", "false"], r"packing|padding_free"),
    "no such device": (["--device", "cuda:9"], r"cuda"),
    "no such attention": (["--attn_impl", "flush"], r"flush"),
    "resume from nowhere": (["--resume_from_checkpoint", "nowhere"], r"nowhere"),
    "resume without a checkpoint": (["--resume_from_checkpoint", "last"], r"checkpoint"),
    "columns that are no mapping": (["--columns", "question"], r"columns"),
    "adapter from nowhere": (["--adapters", "nowhere"], r"nowhere"),
    "negative sample": (["--dataset", "rows.jsonl#-3"], r"rows\.jsonl#-3|-3"),
    "no such rows": (["--dataset", "rowz.jsonl"], r"rowz\.jsonl"),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("bad") / "model")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWIFT_CACHE", str(tmp_path / "cache"))
    write_rows(tmp_path / "rows.jsonl", 12)
    return tmp_path


def _fails(argv: list[str], pattern: str, capfd: pytest.CaptureFixture[str], *, output: Path = Path("out")) -> None:
    code = main(argv)
    captured = capfd.readouterr()
    errors = [line for line in captured.err.splitlines() if line.startswith("error:")]
    assert code == 2, captured.err
    assert len(errors) == 1, captured.err
    assert "Traceback" not in captured.err
    import re

    assert re.search(pattern, errors[0]), errors[0]
    assert len(errors[0]) < 600
    left = [path.name for path in output.glob("**/*") if path.is_file()] if output.is_dir() else []
    assert not [name for name in left if name.endswith(".safetensors") or name.startswith(".tmp")], left


def _sft(model: Path, *words: str) -> list[str]:
    base = ["sft", "--model", str(model), "--output_dir", "out", "--max_steps", "2", "--device", "cpu"]
    return [*base, "--torch_dtype", "float32", "--dataset_num_proc", "0", *words]


@pytest.mark.parametrize("name", list(FILES))
def test_bad_files(name: str, model: Path, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content, pattern = FILES[name]
    file, data = content if isinstance(content, tuple) else ("rows.jsonl", content)
    (folder / file).write_bytes(data)
    _fails(_sft(model, "--dataset", file), pattern, capfd)


@pytest.mark.parametrize("name", list(WORDS))
def test_bad_words(name: str, model: Path, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words, pattern = WORDS[name]
    rows = [] if "--dataset" in words else ["--dataset", "rows.jsonl"]
    _fails(_sft(model, *rows, *words), pattern, capfd)


def _truncate(copy: Path) -> None:
    weights = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(weights[: len(weights) // 2])


def _garbage(copy: Path) -> None:
    (copy / "model.safetensors").write_bytes(b"nothing of the kind")


def _without_layer(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    del weights["model.layers.0.mlp.up_proj.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})


def _other_shape(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    weights["model.norm.weight"] = torch.ones(3)
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})


def _config(**changes: Any) -> Callable[[Path], None]:
    def change(copy: Path) -> None:
        values = json.loads((copy / "config.json").read_text())
        (copy / "config.json").write_text(json.dumps({**values, **changes}))

    return change


def _without(name: str) -> Callable[[Path], None]:
    return lambda copy: (copy / name).unlink()


def _template(text: str) -> Callable[[Path], None]:
    return lambda copy: (copy / "chat_template.jinja").write_text(text) and None


def _no_template(copy: Path) -> None:
    (copy / "chat_template.jinja").unlink()


MODELS: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated weights": (_truncate, r"model\.safetensors"),
    "weights that are none": (_garbage, r"model\.safetensors"),
    "a weight is missing": (_without_layer, r"up_proj"),
    "a weight has another shape": (_other_shape, r"norm"),
    "no weights": (_without("model.safetensors"), r"weights"),
    "no configuration": (_without("config.json"), r"config\.json"),
    "configuration is no json": (lambda copy: (copy / "config.json").write_text("{") and None, r"config\.json"),
    "unknown architecture": (_config(model_type="nonesuch"), r"nonesuch"),
    "an encoder": (_config(model_type="bert", architectures=["BertModel"]), r"causal|weights|bert|position"),
    "no tokenizer": (_without("tokenizer.json"), r"tokenizer"),
    "no chat template": (_no_template, r"template"),
    "template that does not parse": (_template("{% for %}"), r"template"),
    "template that hides answers": (
        _template("{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}<|im_end|>"),
        r"template|answer|predicate",
    ),
    "template that never stops": (
        _template("{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}"),
        r"stop|template",
    ),
}


@pytest.mark.parametrize("name", list(MODELS))
def test_bad_models(name: str, model: Path, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    damage, pattern = MODELS[name]
    copy = folder / "model"
    shutil.copytree(model, copy)
    damage(copy)
    _fails(_sft(copy, "--dataset", "rows.jsonl"), pattern, capfd)


OTHERS: dict[str, tuple[list[str], str]] = {
    "streaming without an end": (["sft", "--model", "MODEL", "--dataset", "rows.jsonl", "--streaming"], r"no end"),
    "no model": (["sft", "--dataset", "rows.jsonl"], r"model"),
    "no rows": (["sft", "--model", "MODEL"], r"data"),
    "a model that does not exist": (["sft", "--model", "./nowhere", "--dataset", "rows.jsonl"], r"nowhere"),
    "unknown command": (["stf"], r"stf"),
    "no such yaml": (["sft", "run.yaml"], r"run\.yaml"),
    "infer without a model": (["infer", "--prompt", "hi"], r"model|adapters"),
    "infer with a missing adapter": (["infer", "--adapters", "nowhere", "--prompt", "hi"], r"nowhere"),
    "export without anything": (["export"], r"model|adapters"),
    "merging nothing": (["export", "--model", "MODEL", "--merge_lora", "true"], r"adapter"),
    "check with missing rows": (["check", "--model", "MODEL", "--dataset", "nowhere.jsonl"], r"nowhere"),
    "plan with a missing model": (["plan", "--model", "./nowhere", "--dataset", "rows.jsonl"], r"nowhere"),
    "schema of nothing": (["schema", "stf"], r"stf"),
}


@pytest.mark.parametrize("name", list(OTHERS))
def test_other_commands(name: str, model: Path, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words, pattern = OTHERS[name]
    _fails([str(model) if word == "MODEL" else word for word in words], pattern, capfd)


def test_a_folder_that_holds_another_run(model: Path, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(_sft(model, "--dataset", "rows.jsonl")) == 0
    before = sorted(str(path) for path in Path("out").glob("**/*"))
    capfd.readouterr()
    code = main(_sft(model, "--dataset", "rows.jsonl"))
    captured = capfd.readouterr()
    assert code == 2
    assert "already holds a run" in captured.err
    assert sorted(str(path) for path in Path("out").glob("**/*")) == before


def test_a_yaml_with_a_mistake_names_the_line(model: Path, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("run.yaml").write_text("model: x\ndata:\n  train: [a\nloop: {}\n")
    _fails(["sft", "run.yaml"], r"run\.yaml.*line \d", capfd)


def test_the_cases_are_many() -> None:
    assert len(FILES) + len(WORDS) + len(MODELS) + len(OTHERS) >= 60
