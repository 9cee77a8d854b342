"""Flags and files to configurations; every way to get them wrong."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from swift.config.export import ExportConfig
from swift.config.parse import Parsed, parse
from swift.config.problems import ProblemsError
from swift.config.runs import FROM_ADAPTER, InferConfig
from swift.config.sft import SftConfig
from swift.config.tuner import FreezeConfig, FullConfig, LoraConfig

QUICK_START = """
    --model Qwen/Qwen3-4B-Instruct-2507 --tuner_type lora
    --dataset 'AI-ModelScope/alpaca-gpt4-data-zh#500' 'AI-ModelScope/alpaca-gpt4-data-en#500' 'swift/self-cognition#500'
    --torch_dtype bfloat16 --num_train_epochs 1 --per_device_train_batch_size 1 --per_device_eval_batch_size 1
    --learning_rate 1e-4 --lora_rank 8 --lora_alpha 32 --target_modules all-linear --gradient_accumulation_steps 16
    --eval_steps 50 --save_steps 50 --save_total_limit 2 --logging_steps 5 --max_length 2048 --output_dir output
    --system 'You are a helpful assistant.' --warmup_ratio 0.05 --dataset_num_proc 4 --dataloader_num_workers 4
    --model_author swift --model_name swift-robot
"""


def sft(text: str) -> Parsed[SftConfig]:
    return parse(SftConfig, shlex.split(f"--model m --dataset d {text}"))


def problems(text: str) -> list[tuple[str, str, str]]:
    with pytest.raises(ProblemsError) as caught:
        parse(SftConfig, shlex.split(text))
    return [(problem.where, problem.why, problem.fix) for problem in caught.value.problems]


def problem(text: str) -> tuple[str, str, str]:
    found = problems(f"--model m --dataset d {text}")
    assert len(found) == 1, found
    return found[0]


def test_quick_start_command() -> None:
    parsed = parse(SftConfig, shlex.split(QUICK_START))
    config = parsed.config
    assert parsed.notes == ()
    assert config.model.id == "Qwen/Qwen3-4B-Instruct-2507"
    assert config.model.dtype == "bfloat16"
    assert config.data.train[2] == "swift/self-cognition#500"
    assert len(config.data.train) == 3
    assert config.tuner == LoraConfig(rank=8, alpha=32.0, targets=("all-linear",))
    assert (config.batch.size, config.batch.eval_size, config.batch.accumulation) == (1, 1, 16)
    assert (config.checkpoint.every, config.checkpoint.limit, config.evaluation.every) == (50, 2, 50)
    assert (config.chat.max_length, config.chat.system) == (2048, "You are a helpful assistant.")
    assert (config.data.workers, config.data.model_name, config.data.model_author) == (4, ("swift-robot",), ("swift",))
    assert config.optimizer.learning_rate == 1e-4


def test_infer_and_export_commands() -> None:
    argv = "--adapters output/x/checkpoint-1 --stream true --temperature 0 --max_new_tokens 2048"
    infer = parse(InferConfig, argv.split()).config
    assert (infer.adapters, infer.generation.stream, infer.generation.max_new_tokens) == (
        ("output/x/checkpoint-1",),
        True,
        2048,
    )
    assert infer.model is None
    unnamed = parse(InferConfig, "--adapters x --torch_dtype float32".split()).config.model
    assert unnamed is not None
    assert (unnamed.id, unnamed.dtype) == (FROM_ADAPTER, "float32")
    export = parse(ExportConfig, "--adapters X --merge_lora true".split()).config
    assert export.merge_lora
    assert export.adapters == ("X",)


def test_flat_nested_and_json_are_the_same() -> None:
    flat = sft("--lora_rank 4 --max_length 64").config
    assert sft("--tuner.rank 4 --chat.max_length 64").config == flat
    assert sft("--tuner.rank=4 --chat.max-length=64").config == flat
    assert sft("""--tuner '{"rank": 4}' --chat '{"max_length": 64}'""").config == flat


def test_booleans_lists_and_mappings() -> None:
    config = sft("""--packing --streaming TRUE --max_steps 3 --plots false --columns '{"q": "query"}'""").config
    assert (config.batch.packing, config.data.streaming, config.logging.plots) == (True, True, False)
    assert config.data.columns == {"q": "query"}
    assert sft("--target_modules q_proj v_proj").config.tuner == LoraConfig(targets=("q_proj", "v_proj"))
    assert sft("""--target_modules '["--odd", "v"]'""").config.tuner == LoraConfig(targets=("--odd", "v"))
    assert sft("--val_dataset '[ab].jsonl'").config.data.validation == ("[ab].jsonl",)


def test_null_unsets() -> None:
    assert sft("--save_total_limit null").config.checkpoint.limit is None
    assert sft("--save_total_limit none").config.checkpoint.limit is None
    assert sft("--system none").config.chat.system == "none"


def test_last_one_wins_and_says_so_when_names_differ() -> None:
    assert sft("--lora_rank 4 --lora_rank 2").config.tuner == LoraConfig(rank=2)
    parsed = sft("--dataset_num_proc 4 --dataloader_num_workers 2")
    assert parsed.config.data.workers == 2
    assert parsed.notes == (
        "--dataset_num_proc and --dataloader_num_workers both set data.workers; "
        "the last one, --dataloader_num_workers, counts",
    )


def test_tuner_type_selects_the_class() -> None:
    assert sft("--tuner_type full").config.tuner == FullConfig()
    assert sft("--tuner full").config.tuner == FullConfig()
    assert sft("--freeze_parameters_ratio 0.5 --tuner.type freeze").config.tuner == FreezeConfig(ratio=0.5)
    assert problem("--tuner_type full --lora_rank 8") == (
        "--lora_rank",
        "an option of tuner lora or vera or oft or loha or lokr or miss or longlora or reft, but the tuner is full",
        "add --tuner_type lora, or take it out",
    )
    assert problem("--freeze_parameters_ratio 0.5")[2] == "add --tuner_type freeze, or take it out"
    assert problem("--tuner_type lorra --lora_rank 4") == (
        "--tuner_type",
        "'lorra' is not one of lora, full, freeze, adalora, ia3, vera, boft, oft, fourierft, loha, lokr, miss, ln, "
        "tokens, prompt, ptuning, prefix, longlora, llamapro, lisa, adapter, reft, peft",
        "did you mean lora?",
    )


def test_weights_mean_interleaving() -> None:
    assert sft("--dataset a b --interleave_prob 0.3 0.7").config.data.mix == "interleave"


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        ("--lora_ran 8", "--lora_ran", "unknown option 'lora_ran'"),
        ("--tuner.lora_rank 8", "--tuner.lora_rank", "unknown option 'tuner.lora_rank'"),
        ("--chat x", "--chat", "chat is a group of options, not a value"),
        ("--lora_rank eight", "--lora_rank", "'eight' is not a whole number"),
        ("--lora_rank 1.5", "--lora_rank", "'1.5' is not a whole number"),
        ("--lora_rank 0", "--lora_rank", "'0' is less than 1"),
        ("--lora_rank", "--lora_rank", "needs a value (INT)"),
        ("--lora_rank 1 2", "--lora_rank", "takes one value, but 2 follow: 1 2"),
        ("--learning-rate fast", "--learning-rate", "'fast' is not a number"),
        ("--learning_rate nan", "--learning_rate", "'nan' is not a finite number"),
        ("--learning_rate 0", "--learning_rate", "'0' is not more than 0.0"),
        ("--warmup_ratio 1", "--warmup_ratio", "'1' is not less than 1.0"),
        ("--min_lr_ratio 2", "--min_lr_ratio", "'2' is more than 1.0"),
        ("--packing perhaps", "--packing", "'perhaps' is neither true nor false"),
        ("--torch_dtype bfloat17", "--torch_dtype", "'bfloat17' is not one of auto, bfloat16, float16, float32"),
        ("--columns '[1]'", "--columns", '\'[1]\' is not a JSON object, such as {"key": "value"}'),
        ("--columns '{\"a\": 1}'", "--columns", "1 is not text"),
        ("--dataset", "--dataset", "needs a value (TEXT ...)"),
        ("--deepspeed zero2", "--deepspeed zero2", "not something that this command does"),
    ],
)
def test_one_line_names_flag_value_and_rule(text: str, where: str, why: str) -> None:
    found = problem(text)
    assert found[0] == where
    assert found[1].startswith(why)
    assert "\n" not in "".join(found)


def test_unknown_names_come_with_the_nearest() -> None:
    assert problem("--learnig_rate 1")[2] == "did you mean learning_rate?"
    assert problem("--tuner.lora_rank 8")[2] == "lora_rank is tuner.rank"
    assert problem("--zzzzzz 1")[2] == "--help lists all options"


def test_everything_wrong_is_said_at_once() -> None:
    found = [where for where, _, _ in problems("--lora_ran 8 --seed x --save_steps 0 --columns y")]
    assert found == ["--lora_ran", "--columns", "--seed", "--save_steps"]
    assert [where for where, _, _ in problems("--packing --padding_free false")] == [
        "--model",
        "--dataset",
        "--packing",
    ]


def test_preset_may_be_repeated_not_changed() -> None:
    argv = ["--model", "m", "--dataset", "d", "--task"]
    assert parse(SftConfig, [*argv, "pt"], preset={"task": "pt"}).config.task == "pt"
    with pytest.raises(ProblemsError, match="sft is not what this command does"):
        parse(SftConfig, [*argv, "sft"], preset={"task": "pt"})
    assert parse(ExportConfig, ["--adapters", "a", "--merge_lora"], preset={"merge_lora": True}).config.merge_lora


def test_places_name_what_the_user_wrote(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("model: m\ndataset: d\n")
    places = parse(SftConfig, [str(file), "--lora-rank", "4"]).places
    assert places == {
        "model.id": f"{file} line 1, model",
        "data.train": f"{file} line 2, dataset",
        "tuner.rank": "--lora-rank",
    }
