"""What a user gets wrong about tuners, optimizers, quantization and adapters: refused before any weights are read.

The model's weights file is garbage: whatever reads it says so, and not what these tests expect.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from swift.cli.main import main
from swift.config.tuner import (
    BottleneckConfig,
    Ia3Config,
    LoraConfig,
    PeftConfig,
    PrefixConfig,
    PromptConfig,
    PTuningConfig,
    ReftConfig,
    TunerConfig,
)
from swift.models.tiny import save_tiny, save_tiny_multimodal, tiny_model
from swift.tuners.build import Start, tune
from tests.train.runs import write_rows

# Further words on a good command line -> what the error says (value and rule) and what the hint says (the way out).
Case = tuple[str, str, str]

TUNERS: dict[str, Case] = {
    "unknown tuner": ("--tuner_type lore", r"--tuner_type.*'lore'", r"lora"),
    "option of another tuner": ("--tuner_type full --lora_rank 8", r"lora_rank.*full", r"."),
    "option of lora for ia3": ("--tuner_type ia3 --lora_alpha 8", r"lora_alpha.*ia3", r"."),
    "rank 0": ("--lora_rank 0", r"--lora_rank.*0.*1", r"."),
    "rank of a half": ("--lora_rank 0.5", r"--lora_rank.*0\.5", r"."),
    "dropout of everything": ("--lora_dropout 1", r"--lora_dropout.*1", r"."),
    "a target that is misspelt": ("--target_modules q_prj", r"q_prj", r"did you mean q_proj"),
    "a target that is nowhere": ("--target_modules zzz", r"zzz", r"linear layers: .*q_proj"),
    "an expression that matches nothing": ("--target_regex .*zzz", r"'\.\*zzz' matches no layer", r"layers look like"),
    "an expression that is none": ("--target_regex (", r"--target_regex.*'\('", r"."),
    "names and an expression": ("--target_modules q_proj --target_regex .*k_proj", r"--target_regex", r"one of them"),
    "a parameter that is nowhere": ("--target_parameters experts.zzz", r"experts\.zzz", r"."),
    "unknown initialisation": ("--init_weights pizza", r"pizza", r"."),
    "rows to look at that are streamed": ("--init_weights eva --streaming", r"eva.*stream", r"streaming"),
    "pissa without rounds": ("--init_weights pissa_niter_-3", r"--init_weights.*number above 0", r"pissa_niter_4"),
    "no rounds of pissa": ("--init_weights pissa_niter_", r"--init_weights.*number above 0", r"pissa_niter_4"),
    "dora from pissa": ("--use_dora --init_weights pissa", r"--use_dora.*pissa", r"one of them"),
    "a module to save that is nowhere": ("--modules_to_save zzz", r"zzz", r"."),
    "a head to save that is tied": ("--modules_to_save lm_head", r"modules_to_save.*lm_head.*ties", r"freeze"),
    "a part that the model lacks": ("--full_parts vit", r"vit.*has none", r"leave it out"),
    "the language model in full": ("--full_parts llm", r"full_parts.*llm", r"--tuner_type full"),
    "every part is frozen": ("--freeze_llm true", r"every part.*frozen", r"--freeze_llm false"),
    "adalora that ends above its start": (
        "--tuner_type adalora --adalora_init_r 4 --adalora_target_r 8",
        r"--adalora_target_r.*8.*4",
        r"lower",
    ),
    "adalora in 16 bits": ("--tuner_type adalora --lora_dtype bfloat16", r"--lora_dtype.*bfloat16.*float32", r"out"),
    "adalora without steps": ("--tuner_type adalora --adalora_tinit 9", r"adalora_tinit|tinit 9", r"lower"),
    "boft with both sizes": ("--tuner_type boft --boft_block_num 2", r"--boft_block_size", r"0"),
    "boft blocks that do not divide": ("--tuner_type boft --boft_block_size 7", r"boft.*7", r"."),
    "oft with both sizes": ("--tuner_type oft --oft_rank 2", r"--oft_block_size", r"0"),
    "no tokens": ("--tuner_type tokens", r"--trainable_token_ids", r"5 17"),
    "tokens out of the vocabulary": ("--tuner_type tokens --trainable_token_ids 99999", r"99999", r"0 to \d+"),
    "a token twice": ("--tuner_type tokens --trainable_token_ids 5 5", r"--trainable_token_ids.*5.*twice", r"once"),
    "a prompt that fills the model": (
        "--tuner_type prefix --num_virtual_tokens 99999",
        r"num_virtual_tokens 99999.*none of the model's \d+ positions",
        r"--num_virtual_tokens",
    ),
    "a prompt that leaves too little": (
        "--tuner_type prompt --max_length 1020",
        r"--max_length 1020 behind 20 learned ones.*1024 positions",
        r"1004",
    ),
    "a group of layers": ("--target_modules self_attn", r"self_attn", r"linear layers: .*q_proj"),
    "a layer of another kind": ("--target_modules norm", r"lora cannot be added.*not supported", r"docs/reference\.md"),
    "miss blocks that do not divide": ("--tuner_type miss --miss_rank 5 --init_weights bat", r"miss.*divisible", r"."),
    "more frequencies than a layer has": (
        "--tuner_type fourierft --fourier_n_frequency 999999",
        r"n_frequency.*999999.*4096",
        r".",
    ),
    "rank 0 of vera": ("--tuner_type vera --vera_rank 0", r"--vera_rank.*0", r"shared matrices\. Default: 256"),
    "reft beyond the width": ("--tuner_type reft --reft_rank 999", r"rank 999.*64 dimensions", r"--reft_rank"),
    "a reft layer twice": ("--tuner_type reft --reft_layers 1 1", r"--reft_layers.*1.*twice", r"once"),
    "nothing trained in full": ("--tuner_type full --freeze_llm true", r"no parameter is left", r"freeze less"),
    "prompt in packed rows": ("--tuner_type prompt --packing", r"--packing.*prompt", r"leave it out"),
    "prompt of no tokens": ("--tuner_type prompt --num_virtual_tokens 0", r"num_virtual_tokens.*0", r"."),
    "longlora with padding": ("--tuner_type longlora --padding_free false", r"longlora.*padding", r"--tuner_type lora"),
    "longlora in another attention": ("--tuner_type longlora --attn_impl eager", r"longlora.*eager", r"attn_impl"),
    "llamapro that does not divide": ("--tuner_type llamapro --llamapro_num_new_blocks 3", r"3.*4 layers", r"1, 2, 4"),
    "more lisa layers than there are": ("--tuner_type lisa --lisa_activated_layers 9", r"9.*4", r"lisa_activated"),
    "reft beyond the model": ("--tuner_type reft --reft_layers 1 7", r"7.*4", r"count from 0"),
    "reft with modules to save": ("--tuner_type reft --modules_to_save norm", r"--modules_to_save.*reft", r"out"),
    "an adapter of width 0": ("--tuner_type adapter --adapter_length 0", r"adapter_length.*0", r"."),
    "an adapter in the middle": ("--tuner_type adapter --target_modules q_proj", r"targets.*no end", r"leave it out"),
    "freeze nothing": ("--tuner_type freeze", r"--tuner_type.*freeze", r"freeze_parameters_ratio"),
    "freeze more than all": ("--tuner_type freeze --freeze_parameters_ratio 1.5", r"ratio.*1\.5", r"."),
    "freeze what is nowhere": ("--tuner_type freeze --freeze_parameters zzz", r"zzz", r"parameters look like"),
    "freeze everything": ("--tuner_type freeze --freeze_parameters_regex .", r"no parameter is left", r"freeze less"),
    "no method of PEFT": ("--tuner_type peft", r"--peft_method", r"randlora"),
    "unknown method of PEFT": ("--tuner_type peft --peft_method randlor", r"randlor", r"did you mean randlora"),
    "a method of PEFT that has a type": ("--tuner_type peft --peft_method vera", r"vera", r"--tuner_type vera"),
    "a method of PEFT for several": ("--tuner_type peft --peft_method xlora", r"xlora.*several", r"choose another"),
    "a method of PEFT that loads wrong": ("--tuner_type peft --peft_method lily", r"lily.*computes", r"choose another"),
    "unknown option of PEFT": ('--tuner_type peft --peft_method road --peft_options {"size":1}', r"road.*size", r"."),
    "a value that PEFT refuses": (
        '--tuner_type peft --peft_method road --peft_options {"group_size":7}',
        r"road.*group_size|group_size.*7",
        r"PEFT",
    ),
    "a rank that PEFT breaks on": (
        '--tuner_type peft --peft_method randlora --peft_options {"r":-1}',
        r"randlora cannot be added.*-1",
        r".",
    ),
    "another task of PEFT": (
        '--tuner_type peft --peft_method road --peft_options {"task_type":"SEQ_CLS"}',
        r"option of road: 'task_type'",
        r".",
    ),
    "LoRA+ without LoRA": ("--tuner_type full --lorap_lr_ratio 4", r"--lorap_lr_ratio.*full", r"lora"),
}

QUANTIZED: dict[str, Case] = {
    "unknown method": ("--quant_method gptqq", r"--quant_method.*gptqq", r"."),
    "bits that bnb lacks": ("--quant_method bnb --quant_bits 3", r"quant_bits.*3.*4, 8", r"."),
    "bits that hqq lacks": ("--quant_method hqq --quant_bits 5", r"quant_bits.*5.*1, 2, 3, 4, 8", r"."),
    "bits that torchao lacks": ("--quant_method torchao --quant_bits 9", r"quant_bits.*9", r"."),
    "all weights": ("--quant_method bnb --tuner_type full", r"--tuner_type.*full.*bnb", r"--tuner_type lora"),
    "an adapter that is not proved": ("--quant_method bnb --tuner_type ia3", r"ia3.*bnb", r"--tuner_type lora"),
    "pissa": ("--quant_method hqq --init_weights pissa", r"--init_weights.*pissa.*hqq", r"gaussian"),
    "loftq of plain weights": ("--init_weights loftq", r"--init_weights.*loftq.*plain", r"--quant_method bnb"),
    "qera of plain weights": ("--init_weights qera", r"--init_weights.*qera.*plain", r"--quant_method bnb"),
    "a group of no power": ("--quant_method hqq --group_size 48", r"--group_size.*48.*power", r"64"),
    "a group that does not divide": ("--quant_method hqq --group_size 128", r"128.*proj", r"."),
    "layers that are nowhere": ("--quant_method bnb --modules_to_not_convert zzz", r"zzz", r"."),
    "no layer left": ("--quant_method bnb --modules_to_not_convert model", r"no layer to quantize", r"less"),
    "a module in full that is in bits": (
        "--quant_method bnb --modules_to_save q_proj",
        r"q_proj.*trained in full.*quantized",
        r"--modules_to_not_convert q_proj",
    ),
    "half precision on a CPU": ("--torch_dtype float16", r"float16.*CPU", r"bfloat16"),
    "a threshold of 4 bits": ("--quant_method bnb --llm_int8_threshold 6", r"--llm_int8_threshold.*4", r"8"),
    "bits of float8": ("--quant_method torchao --torchao_scheme float8 --quant_bits 4", r"--quant_bits.*float8", r"."),
    "packed on a CPU": (
        "--quant_method torchao --torchao_scheme int4-packed --quant_bits 4",
        r"int4-packed",
        r".",
    ),
    "qat of an adapter": ("--qat int4-weight", r"--qat.*lora", r"--tuner_type full"),
    "qat of quantized weights": (
        "--qat int4-weight --quant_method bnb",
        r"--qat.*int4-weight.*quantized",
        r"--quant_method",
    ),
    "qat of groups that do not divide": (
        "--qat int4-weight --tuner_type full --qat_group_size 48",
        r"--qat_group_size 48.*inputs of",
        r"smaller",
    ),
    "unknown qat": ("--qat int3", r"--qat.*int3", r"."),
}

OPTIMIZERS: dict[str, Case] = {
    "unknown": ("--optim adamx", r"unknown optimizer 'adamx'", r"did you mean"),
    "unknown option": ("--optim galore --optim_args rnk=4", r"galore.*rnk", r"rank"),
    "a value that it refuses": ("--optim lion --optim_args betas=[2,3]", r"lion", r"."),
    "the rate as an option": ("--optim sgd --optim_args lr=1", r"lr", r"--learning_rate"),
    "moments that it lacks": ("--optim sgd --adam_beta1 0.5", r"sgd.*beta1", r"--adam_beta1"),
    "a moment beyond 1": ("--adam_beta1 1.5", r"adam_beta1.*1\.5", r"."),
    "clipping in the backward pass": (
        "--optim lomo --gradient_accumulation_steps 1",
        r"--optim.*lomo.*clip",
        r"--max_grad_norm 0",
    ),
    "a step of several in the backward pass": (
        "--optim_in_backward --max_grad_norm 0 --gradient_accumulation_steps 4",
        r"--optim_in_backward.*several",
        r"--gradient_accumulation_steps 1",
    ),
    "adalora in the backward pass": (
        "--optim_in_backward --max_grad_norm 0 --gradient_accumulation_steps 1 --tuner_type adalora",
        r"--optim_in_backward.*adalora",
        r"one of them",
    ),
    "all at once in the backward pass": (
        "--optim prodigy --optim_in_backward --max_grad_norm 0 --gradient_accumulation_steps 1",
        r"prodigy",
        r"--optim_in_backward",
    ),
    "paging on a CPU": ("--optim paged_ademamix", r"paged_ademamix.*CPU", r"without paged_"),
    "offloading on a CPU": ("--optim_offload", r"offload.*CPU", r"--optim_offload"),
    "projection of what is narrow": ("--optim galore --optim_args rank=512", r"galore.*matrix", r"rank"),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of 4 layers with tied embeddings whose weights cannot be read."""
    folder = save_tiny(tmp_path_factory.mktemp("bad") / "model", num_hidden_layers=4, tie_word_embeddings=True)
    (folder / "model.safetensors").write_bytes(b"nothing of the kind")
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWIFT_CACHE", str(tmp_path / "cache"))
    write_rows(tmp_path / "rows.jsonl", 12)
    return tmp_path


def refused(argv: list[str], said: str, way_out: str, capfd: pytest.CaptureFixture[str]) -> None:
    """One problem, told in one line with its way out in another, and nothing left behind."""
    before = sorted(Path().glob("**/*"))
    code = main(argv)
    captured = capfd.readouterr()
    errors, hints = (
        [line.partition(" ")[2] for line in captured.err.splitlines() if line.startswith(start)]
        for start in ("error:", "hint:")
    )
    assert code == 2, captured.err
    assert len(errors) == 1, captured.err
    assert "Traceback" not in captured.err
    assert re.search(said, errors[0]), errors[0]
    assert len(errors[0]) < 400
    assert len(hints) == 1, captured.err
    assert re.search(way_out, hints[0]), hints[0]
    new = [path for path in Path().glob("**/*") if path not in before and path.parts[0] != "cache"]
    assert not new, new


def _sft(model: Path, words: str) -> list[str]:
    base = ["sft", "--model", str(model), "--output_dir", "out", "--max_steps", "8", "--device", "cpu"]
    return [*base, "--torch_dtype", "float32", "--dataset_num_proc", "0", "--dataset", "rows.jsonl", *words.split()]


@pytest.mark.parametrize("name", list(TUNERS))
def test_tuners(name: str, model: Path, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words, said, way_out = TUNERS[name]
    refused(_sft(model, words), said, way_out, capfd)


@pytest.mark.parametrize("name", list(QUANTIZED))
def test_quantization(name: str, model: Path, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words, said, way_out = QUANTIZED[name]
    refused(_sft(model, words), said, way_out, capfd)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_optimizers(name: str, model: Path, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words, said, way_out = OPTIMIZERS[name]
    refused(_sft(model, words), said, way_out, capfd)


@pytest.mark.parametrize("method", ["bnb", "hqq", "torchao"])
def test_a_library_that_is_missing(
    method: str, model: Path, folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swift.models.quantize.method.find_spec", lambda name: None)
    said = rf"--quant_method {method}.*not installed"
    refused(_sft(model, f"--quant_method {method}"), said, r"pip install 'swift-finetune\[quant\]'", capfd)


ADAPTERS: dict[str, TunerConfig] = {
    "lora": LoraConfig(rank=2),
    "ia3": Ia3Config(),
    "road": PeftConfig(method="road", options={"group_size": 16}),
    "prompt": PromptConfig(num_virtual_tokens=2),
    "ptuning": PTuningConfig(num_virtual_tokens=2),
    "prefix": PrefixConfig(num_virtual_tokens=2),
    "adapter": BottleneckConfig(width=2),
    "reft": ReftConfig(rank=2),
}


@pytest.fixture(scope="module")
def adapters(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Adapters of the tiny model, a folder each, and one of another model."""
    place = tmp_path_factory.mktemp("adapters")
    other = {"other": (LoraConfig(rank=2), {"hidden_size": 32})}
    for name, (config, sizes) in {**{name: (config, {}) for name, config in ADAPTERS.items()}, **other}.items():
        technique = tune(tiny_model("llama", num_hidden_layers=4, **sizes), config, Start(base=str(model)))
        assert technique.write is not None
        (place / name).mkdir()
        technique.write(place / name)
    return place


CONTINUED: dict[str, Case] = {
    "from nowhere": ("--adapters nowhere", r"nowhere", r"."),
    "by all weights": ("--tuner_type full --adapters lora", r"--adapters.*full", r"--tuner_type lora"),
    "by a prompt": ("--tuner_type prompt --adapters prompt", r"--adapters.*prompt", r"--tuner_type lora"),
    "ia3 by lora": ("--adapters ia3", r"of the type ia3, not lora", r"--tuner_type ia3"),
    "lora by ia3": ("--tuner_type ia3 --adapters lora", r"of the type lora, not ia3", r"--tuner_type lora"),
    "road by lora": ("--adapters road", r"of the type road, not lora", r"--tuner_type peft --peft_method road"),
    "reft by lora": ("--adapters reft", r"of the type reft, not lora", r"--tuner_type reft"),
    "adapter by reft": ("--tuner_type reft --adapters adapter", r"type adapter, not reft", r"--tuner_type adapter"),
    "lora by reft": ("--tuner_type reft --adapters lora", r"type lora, not reft", r"--tuner_type lora"),
    "of another model": ("--adapters other", r"does not fit this model.*32", r"--model"),
    "of two": ("--adapters lora ia3", r"--adapters.*2 adapters", r"one"),
}


@pytest.mark.parametrize("name", list(CONTINUED))
def test_adapters_that_are_continued(
    name: str, model: Path, adapters: Path, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words, said, way_out = CONTINUED[name]
    flags, _, names = words.partition("--adapters ")
    folders = [str(adapters / name) if (adapters / name).is_dir() else name for name in names.split()]
    refused([*_sft(model, f"{flags} --adapters"), *folders], said, way_out, capfd)


@pytest.mark.parametrize("kind", ["prompt", "ptuning", "prefix", "adapter", "reft"])
@pytest.mark.parametrize("command", ["export", "infer"])
def test_adapters_that_cannot_be_merged(
    command: str, kind: str, model: Path, adapters: Path, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    further = {"infer": ["--prompt", "hi"], "export": ["--output_dir", "out"]}
    argv = [command, "--model", str(model), "--adapters", str(adapters / kind), "--merge_lora", "true"]
    refused([*argv, *further[command]], rf"of the type \w*{kind[1:]}.*cannot be merged", r"without --merge_lora", capfd)


@pytest.mark.parametrize(
    ("names", "said", "way_out"),
    [
        (["lora", "ia3"], r"together: lora \(lora\) and ia3 \(ia3\)", r"one after another"),
        (["reft", "lora"], r"together: reft \(adapter or reft\) and lora", r"one after another"),
        (["base=lora"], r"cannot be called 'base'", r"name it"),
        (["nowhere"], r"nowhere", r"adapter folder"),
    ],
)
def test_adapters_that_cannot_answer(
    names: list[str],
    said: str,
    way_out: str,
    model: Path,
    adapters: Path,
    folder: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folders = [name.replace("=", f"={adapters}/") if "=" in name else str(adapters / name) for name in names]
    argv = ["infer", "--model", str(model), "--prompt", "hi", "--adapters", *folders]
    refused(argv, said, way_out, capfd)


def test_an_adapter_whose_configuration_is_damaged(
    model: Path, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for number, text in enumerate(("{", json.dumps({"peft_type": "NONESUCH"}), json.dumps({"r": 1}))):
        (folder / f"damaged{number}").mkdir()
        (folder / f"damaged{number}" / "adapter_config.json").write_text(text)
        words = f"--adapters damaged{number}"
        refused(_sft(model, words), r"damaged\d", r".", capfd)
        refused(["export", "--model", str(model), *words.split(), "--merge_lora", "true"], r"damaged\d", r".", capfd)


def test_a_quantized_checkpoint(model: Path, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    copy = _copied(model, folder / "quantized", quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": 1})
    refused(_sft(copy, "--quant_method hqq"), r"quantized already", r"16-bit", capfd)
    refused(_sft(copy, "--tuner_type full"), r"quantized.*cannot be trained", r"--tuner_type lora", capfd)


def test_a_prompt_in_front_of_media(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shown = save_tiny_multimodal(tmp_path / "shown", "qwen2_vl")
    (shown / "model.safetensors").write_bytes(b"nothing of the kind")
    refused(_sft(shown, "--tuner_type prefix"), r"prefix.*in front of media", r"--tuner_type lora", capfd)


def _copied(model: Path, folder: Path, **changes: Any) -> Path:
    folder.mkdir()
    for path in model.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, **changes}))
    return folder


def test_weights_would_be_told_of(model: Path, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With a good configuration the garbage is met: the tests above would see it."""
    assert main(_sft(model, "")) == 2
    assert "model.safetensors" in capfd.readouterr().err


def test_the_cases_are_many() -> None:
    assert len(TUNERS) + len(QUANTIZED) + len(OPTIMIZERS) + len(CONTINUED) >= 60
