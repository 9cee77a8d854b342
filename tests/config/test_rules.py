"""Rules between fields: each is broken once, and says so in one line."""

from __future__ import annotations

import pytest

from swift.config.app import AppConfig
from swift.config.export import ExportConfig
from swift.config.parse import parse
from swift.config.problems import ProblemsError
from swift.config.rules import find, require
from swift.config.runs import EvalConfig, InferConfig
from swift.config.serve import ServeConfig
from swift.config.sft import SftConfig

IN_BACKWARD = "--optim_in_backward --gradient_accumulation_steps 1 --max_grad_norm 0"


def rules(
    root: type[SftConfig]
    | type[InferConfig]
    | type[EvalConfig]
    | type[ExportConfig]
    | type[ServeConfig]
    | type[AppConfig],
    text: str,
) -> list[str]:
    try:
        parse(root, text.split())
    except ProblemsError as error:
        return ["two lines" if "\n" in f"{problem}{problem.fix}" else problem.where for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("", []),
        ("--streaming", ["--streaming"]),
        ("--streaming --max_steps 5", []),
        ("--streaming --max_steps 5 --split_dataset_ratio 0.1", ["--split_dataset_ratio"]),
        ("--interleave_prob 0.5 0.5", ["--interleave_prob"]),
        ("--interleave_prob 0", ["--interleave_prob"]),
        ("--mix concatenate --interleave_prob 1", ["--interleave_prob"]),
        ("--packing --padding_free false", ["--packing"]),
        ("--packing --padding-free true", []),
        ("--packing --max_tokens_per_batch 4096", ["--max_tokens_per_batch"]),
        ("--per_device_train_batch_size 2 --max_tokens_per_batch 4096", ["--max_tokens_per_batch"]),
        ("--max_length 512 --max_tokens_per_batch 256", ["--max_tokens_per_batch"]),
        ("--val_dataset v --split_dataset_ratio 0.1", ["--split_dataset_ratio"]),
        ("--resume_from_checkpoint last --overwrite_output_dir", ["--overwrite_output_dir"]),
        ("--resume_from_checkpoint last --adapters a", ["--adapters"]),
        ("--task pt --system hello", ["--system"]),
        ("--loss_scale last_round+hermes", []),
        ("--loss_scale last_round+all", ["--loss_scale"]),
        ("--loss_scale last_round --train_on last", ["--loss_scale"]),
        ("--task pt --loss_scale react", ["--loss_scale"]),
        ("--task pt --train_on last --thinking keep", ["--train_on", "--thinking"]),
        ("--use_dora --use_rslora", []),
        ("--target_regex x --target_modules q_proj", ["--target_regex"]),
        ("--target_regex (", ["--target_regex"]),
        ("--tuner_type freeze", ["--tuner_type"]),
        ("--tuner_type freeze --trainable_parameters_regex [", ["--trainable_parameters_regex"]),
        ("--tuner_type full --adapters a", ["--adapters"]),
        ("--adapters a b", ["--adapters"]),
        ("--tuner_type prompt --adapters a", ["--adapters"]),
        ("--tuner_type prefix --packing", ["--packing"]),
        ("--tuner_type ptuning --padding_free true", ["--packing"]),
        ("--tuner_type adalora --lora_dtype bfloat16", ["--lora_dtype"]),
        ("--tuner_type adalora --adalora_init_r 8 --adalora_target_r 8", ["--adalora_target_r"]),
        (
            "--tuner_type adalora --optim_in_backward --gradient_accumulation_steps 1 --max_grad_norm 0",
            ["--optim_in_backward"],
        ),
        ("--tuner_type boft --boft_block_num 2", ["--boft_block_size"]),
        ("--tuner_type boft --boft_block_num 2 --boft_block_size 0", []),
        ("--tuner_type oft --oft_rank 2", ["--oft_block_size"]),
        ("--tuner_type tokens", ["--trainable_token_ids"]),
        ("--tuner_type tokens --trainable_token_ids 5 --modules_to_save lm_head", ["--modules_to_save"]),
        ("--tuner_type reft --full_parts aligner", ["--full_parts"]),
        ("--tuner_type adapter --target_regex x", ["--target_regex"]),
        ("--tuner_type peft", ["--peft_method"]),
        ("--use_dora --init_weights pissa", ["--use_dora"]),
        ("--lorap_lr_ratio 16", []),
        ("--tuner_type longlora --lorap_lr_ratio 16", []),
        ("--tuner_type full --lorap_lr_ratio 16", ["--lorap_lr_ratio"]),
        ("--tuner_type vera --lorap_lr_ratio 16", ["--lorap_lr_ratio"]),
        ("--warmup_steps 10 --max_steps 5", ["--warmup_steps"]),
        ("--early_stop_interval 3", ["--early_stop_interval"]),
        ("--early_stop_interval 3 --val_dataset v", []),
        ("--use_hf true --hub ms", ["--use_hf"]),
        ("--use_hf true --hub hf", []),
        ("--model a@b --model_revision c", ["--model_revision"]),
        ("--model ms://a --hub hf", ["--model"]),
        ("--output_dir m", ["--output_dir"]),
        ("--model_name a b c", ["--model_name"]),
        ("--min_pixels 100 --max_pixels 50", ["--min_pixels"]),
        ("--min_pixels 50 --max_pixels 50", []),
        ("--video_min_frames 9 --video_max_frames 8", ["--video_min_frames"]),
        ("--media_hosts example.org *.example.org [::1] 10.0.0.1", []),
        ("--media_hosts *example.org", ["--media_hosts"]),
        ("--media_hosts http://example.org", ["--media_hosts"]),
        ("--media_root no/such/folder", ["--media_root"]),
        ("--media_root /", []),
    ],
)
def test_training(text: str, flags: list[str]) -> None:
    assert rules(SftConfig, f"--model m --dataset d {text}") == flags


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("", ["--model"]),
        ("--adapters a", []),
        ("--model m --compare_base", ["--compare_base"]),
        ("--adapters a b --merge_lora", ["--merge_lora"]),
        ("--adapters a --merge_lora --compare_base", ["--merge_lora"]),
        ("--model m --dataset d", ["--dataset"]),
        ("--model m --prompt hi --val_dataset v", ["--prompt"]),
        ("--model m --result_path r", ["--result_path"]),
    ],
)
def test_inference(text: str, flags: list[str]) -> None:
    assert rules(InferConfig, text) == flags


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("", ["--model"]),
        ("--model m --merge_lora", ["--merge_lora"]),
        ("--model m --push_to_hub", ["--push_to_hub"]),
        ("--adapters a --merge_lora --output_dir a", ["--output_dir"]),
        ("--adapters a --merge_lora", []),
    ],
)
def test_export(text: str, flags: list[str]) -> None:
    assert rules(ExportConfig, text) == flags


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("", ["--model", "--dataset"]),
        ("--model m --dataset d", []),
        ("--adapters a --dataset d --split_dataset_ratio 0.2", []),
        ("--model m --dataset d --val_dataset v", ["--val_dataset"]),
        ("--model m --dataset d --streaming", ["--streaming"]),
        ("--adapters a b --dataset d", ["--adapters"]),
        ("--model m --dataset d --merge_lora", ["--merge_lora"]),
    ],
)
def test_evaluation(text: str, flags: list[str]) -> None:
    assert rules(EvalConfig, text) == flags


def test_without_a_command_line() -> None:
    assert [problem.where for problem in find(SftConfig())] == ["--model", "--dataset"]
    with pytest.raises(ProblemsError) as caught:
        require(SftConfig())
    assert caught.value.message == str(caught.value)


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("--model m", []),
        ("", ["--model"]),
        ("--model m --merge_lora", ["--merge_lora"]),
        ("--adapters a b --merge_lora", ["--merge_lora"]),
        ("--model m --ssl_certfile nowhere.pem", ["--ssl_certfile", "--ssl_certfile"]),
        ("--model m --cors_origins https://a.org http://b.org:8080", []),
        ("--model m --cors_origins *", ["--cors_origins"]),
        ("--model m --cors_origins https://a.org/page", ["--cors_origins"]),
        ("--model m --media_root nowhere", ["--media_root"]),
    ],
)
def test_serving(text: str, flags: list[str]) -> None:
    assert rules(ServeConfig, text) == flags


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("", ["--model"]),
        ("--model m", []),
        ("--adapters a b --merge_lora", ["--merge_lora"]),
        ("--model m --api_key_env KEY", ["--api_key_env"]),
        ("--base_url http://127.0.0.1:8000/v1 --api_key_env KEY", []),
        ("--base_url https://[::1]:8000", []),
        ("--base_url http://x/v1 --model m", ["--model"]),
        ("--base_url http://x/v1 --adapters a", ["--adapters"]),
        ("--base_url 127.0.0.1:8000", ["--base_url"]),
        ("--base_url ftp://x", ["--base_url"]),
        ("--base_url http://name:word@x/v1", ["--base_url"]),
        ("--base_url http://x/v1?key=1", ["--base_url"]),
        ("--model m --ssl_keyfile nowhere.pem", ["--ssl_certfile", "--ssl_keyfile"]),
        ("--model m --min_pixels 9 --max_pixels 8", ["--min_pixels"]),
    ],
)
def test_the_app(text: str, flags: list[str]) -> None:
    assert rules(AppConfig, text) == flags
