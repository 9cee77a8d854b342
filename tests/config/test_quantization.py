"""Weights in few bits on the command line: each method's own options, and what does not go together."""

from __future__ import annotations

from pathlib import Path

import pytest

from swift.config.export import ExportConfig
from swift.config.parse import parse
from swift.config.problems import ProblemsError
from swift.config.quantization import BnbConfig, HqqConfig, NoQuantization, TorchaoConfig
from swift.config.runs import InferConfig
from swift.config.sft import SftConfig

ROWS = "--model m --dataset d"


def problems(root: type[SftConfig] | type[InferConfig] | type[ExportConfig], text: str) -> list[tuple[str, str]]:
    try:
        parse(root, text.split())
    except ProblemsError as error:
        return [(found.where, f"{found.why}; {found.fix}") for found in error.problems]
    return []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", NoQuantization()),
        ("--quant_method none", NoQuantization()),
        ("--quant_method bnb --quant_bits 8", BnbConfig(bits=8)),
        (
            "--quant_method bnb --quant_bits 4 --bnb_4bit_quant_type fp4 --bnb_4bit_use_double_quant false "
            "--bnb_4bit_compute_dtype float32 --bnb_4bit_quant_storage bfloat16 --modules_to_not_convert a b",
            BnbConfig(
                quant_type="fp4",
                double_quant=False,
                compute_dtype="float32",
                storage="bfloat16",
                modules_to_not_convert=("a", "b"),
            ),
        ),
        ("--quant_method hqq --hqq_axis 0 --quant_bits 2 --group_size 32", HqqConfig(bits=2, axis=0, group_size=32)),
        ("--model.quantization.type torchao --torchao_scheme float8", TorchaoConfig(scheme="float8")),
        ("--model.quantization torchao --quant_bits 4", TorchaoConfig(bits=4)),
    ],
)
def test_flags(text: str, expected: object) -> None:
    assert parse(SftConfig, f"{ROWS} {text}".split()).config.model.quantization == expected


def test_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("model:\n  id: m\n  quantization: {type: hqq, bits: 3}\ndataset: d\nqat: none\n")
    assert parse(SftConfig, [str(file)]).config.model.quantization == HqqConfig(bits=3)
    file.write_text("model: {id: m, quantization: bnb}\ndataset: d\n")
    assert parse(SftConfig, [str(file)]).config.model.quantization == BnbConfig()


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ("--quant_method eetq", "--quant_method", "not one of none, bnb, hqq, torchao"),
        ("--quant_bits 4", "--quant_bits", "add --quant_method bnb"),
        ("--quant_method hqq --bnb_4bit_quant_type nf4", "--bnb_4bit_quant_type", "an option of quantization bnb"),
        ("--quant_method bnb --quant_bits 3", "--quant_bits", "3 is not one of 4, 8"),
        ("--quant_method hqq --quant_bits 5", "--quant_bits", "5 is not one of 1, 2, 3, 4, 8"),
        ("--quant_method hqq --hqq_axis 2", "--hqq_axis", "2 is not one of 0, 1"),
        ("--quant_method torchao --quant_bits 9", "--quant_bits", "more than 8"),
        ("--quant_method hqq --group_size 48", "--group_size", "no power of two"),
        ("--quant_method torchao --group_size 256", "--group_size", "add --quant_bits 4"),
        ("--quant_method torchao --torchao_scheme float8 --group_size 64", "--group_size", "has no groups"),
        ("--max_shard_size banana", "--max_shard_size", "'banana' is no size"),
        ("--max_shard_size 0", "--max_shard_size", "a number above 0"),
        ("--quant_method torchao --torchao_scheme float8 --quant_bits 4", "--quant_bits", "its own number of bits"),
        (
            "--quant_method bnb --quant_bits 8 --bnb_4bit_compute_dtype float32",
            "--bnb_4bit_compute_dtype",
            "compute in the model's type",
        ),
        ("--quant_method bnb --llm_int8_threshold 6", "--llm_int8_threshold", "use --quant_bits 8"),
        ("--quant_method bnb --tuner_type full", "--tuner_type", "use --tuner_type lora"),
        (
            "--quant_method hqq --tuner_type freeze --freeze_parameters_ratio 0.5",
            "--tuner_type",
            "freeze trains weights",
        ),
        ("--quant_method bnb --init_weights pissa", "--init_weights", "one of true, false, gaussian"),
        ("--qat int4-weight", "--qat", "and lora trains none of them"),
        ("--qat int2-weight --tuner_type full", "--qat", "not one of none, int4-weight"),
    ],
)
def test_refused(text: str, where: str, said: str) -> None:
    ((found, message),) = problems(SftConfig, f"{ROWS} {text}")
    assert found == where
    assert said in message
    assert "\n" not in message


def test_inference_and_export() -> None:
    assert problems(InferConfig, "--model m --quant_method bnb") == []
    ((where, said),) = problems(InferConfig, "--adapters a --merge_lora --quant_method bnb")
    assert (where, "take one of them out" in said) == ("--merge_lora", True)
    assert problems(ExportConfig, "--adapters a --merge_lora --quant_method hqq") == []
    assert problems(ExportConfig, "--model m --quant_method torchao --quant_bits 4 --group_size 256") == []
    assert problems(ExportConfig, "--model m --max_shard_size 1.5gb") == []
    ((where, said),) = problems(ExportConfig, "--model m --max_shard_size 0.0001KB")
    assert (where, "such as 5GB" in said) == ("--max_shard_size", True)
    assert problems(ExportConfig, "--model m --quant_method bnb") == []
    assert problems(ExportConfig, "--model m --to gguf --gguf_quantize q4_k_m") == []


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ("--quant_method gptq", "--quant_method", "name some with --dataset"),
        ("--quant_method awq --quant_bits 8 --dataset d", "--quant_bits", "8 is not one of 4"),
        ("--quant_method gptq --group_size 96 --dataset d", "--group_size", "no power of two"),
        ("--quant_method bnb --to gguf", "--quant_method", "use --gguf_quantize"),
        ("--gguf_quantize q8_0", "--gguf_quantize", "add --to gguf"),
        ("--quant_method squeeze", "--quant_method", "not one of none, bnb, hqq, torchao, gptq, awq"),
        ("--max_kl -1", "--max_kl", "less than 0"),
    ],
)
def test_exports_that_are_refused(text: str, where: str, said: str) -> None:
    ((found, message),) = problems(ExportConfig, f"--model m {text}")
    assert found == where
    assert said in message
    assert "\n" not in message
