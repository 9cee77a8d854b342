"""Flags of other systems: real where they mean something, a note where they do not, refused where they would matter."""

from __future__ import annotations

import pytest

from swift.config import familiar
from swift.config.engine import OpenaiConfig
from swift.config.parse import parse
from swift.config.problems import ProblemsError
from swift.config.reference import ROOTS
from swift.config.runs import EvalConfig, InferConfig
from swift.config.schema import table
from swift.config.sft import SftConfig

BASE = ["--model", "m", "--dataset", "d"]


def test_spellings_of_values() -> None:
    argv = "--truncation_strategy delete --attn_impl flash_attn --optim adamw_torch_fused --torch_dtype bf16"
    config = parse(SftConfig, [*BASE, *argv.split()]).config
    assert config.chat.truncation == "drop"
    assert config.model.attention == "flash_attention_2"
    assert config.optimizer.name == "adamw"
    assert config.model.dtype == "bfloat16"
    infer = parse(InferConfig, "--adapters a --infer_backend pt --top_k -1".split()).config
    assert (infer.engine.type, infer.generation.top_k) == ("transformers", 0)


def test_flags_with_another_name() -> None:
    argv = "--bf16 true --strict false --train_type full"
    parsed = parse(SftConfig, [*BASE, *argv.split()])
    config = parsed.config
    assert parsed.notes == ()
    assert (config.model.dtype, config.data.on_error) == ("bfloat16", "drop")
    assert config.tuner.type == "full"
    assert parse(SftConfig, [*BASE, "--fp16"]).config.model.dtype == "float16"


def test_flags_that_mean_nothing_leave_a_note() -> None:
    argv = "--add_version false --lazy_tokenize --save_strategy steps --bf16 false --ddp_backend nccl"
    parsed = parse(SftConfig, [*BASE, *argv.split()])
    assert parsed.config == parse(SftConfig, BASE).config
    assert len(parsed.notes) == 5
    assert parsed.notes[0].startswith("--add_version changes nothing: ")


def test_flags_that_would_matter_are_refused() -> None:
    for argv in (["--save_strategy", "epoch"], ["--load_data_args", "true"], ["--sequence_parallel_size", "2"]):
        with pytest.raises(ProblemsError, match="not something that this command does") as caught:
            parse(SftConfig, [*BASE, *argv])
        assert caught.value.problems[0].fix


def test_table_is_sound() -> None:
    tables = [table(root) for root in ROOTS.values()]
    for name, entry in familiar.FLAGS.items():
        assert all(name not in options.by_name for options in tables[:1]), f"--{name} is a flag of ours"
        assert entry.sentence, name
        for target, value in entry.becomes.values():
            owners = [options for options in tables if target in options.by_name]
            assert owners, f"{name} becomes {target}, which does not exist"
            choices = owners[0].by_name[target][0].choices
            assert value == familiar.ANY or not choices or value in choices
    for key, values in familiar.VALUES.items():
        options_ = next(options.by_name[key] for options in tables if key in options.by_name)
        assert all(not options_[0].choices or ours in options_[0].choices for ours in values.values())


def test_an_address_to_evaluate() -> None:
    config = parse(EvalConfig, "--eval_url http://127.0.0.1:8000/v1 --dataset d --api_key_env KEY".split()).config
    assert isinstance(config.engine, OpenaiConfig)
    assert (config.engine.url, config.engine.api_key_variable) == ("http://127.0.0.1:8000/v1", "KEY")
    own = parse(EvalConfig, "--engine vllm --eval_url http://h/v1 --model m --dataset d".split()).config
    assert (own.engine.type, own.engine.url) == ("vllm", "http://h/v1")
