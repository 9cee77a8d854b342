"""vLLM: how its server is started, and what it takes."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from swift.config.engine import VllmConfig
from swift.engines.server import Launch, Setting
from swift.engines.wires import Takes
from swift.errors import ConfigError, ResourceError
from swift.models.device import cpu_features
from swift.tuners.attach import read_adapter_config
from swift.tuners.extra import extra_config
from swift.types import Guide

BASE_NAME = "base"
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Largest ranks that its option takes."""

GPU, CPU = "vllm", "vllm-cpu"
"""Its environments."""

MOST_LOGPROBS = 20


def _json_guide(guide: Guide) -> dict[str, Any]:
    return {"structured_outputs": {"json": json.loads(guide.text)}}


TAKES = Takes(
    server="vLLM",
    extras=frozenset(("top_k", "min_p", "repetition_penalty", "min_tokens", "ignore_eos", "stop_token_ids")),
    always={
        "skip_special_tokens": False,
        "spaces_between_special_tokens": False,
        "return_tokens_as_token_ids": True,
    },
    tells_ids=True,
    guides={
        "json": _json_guide,
        "regex": lambda guide: {"structured_outputs": {"regex": guide.text}},
        "grammar": lambda guide: {"structured_outputs": {"grammar": guide.text}},
    },
    scores="prompt_logprobs",
)


def launch(config: VllmConfig, setting: Setting) -> Launch:
    """The command line.

    Raises:
        ConfigError: An adapter is of a kind that it does not have.
        ResourceError: The weights are in a format that it does not have on this CPU.
    """
    command = [str(setting.python), "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--host", "127.0.0.1", "--port", str(setting.port)]
    command += ["--model", str(setting.model), "--served-model-name", BASE_NAME, "--dtype", setting.dtype]
    # Its defaults must not come from the checkpoint: what we do not ask for is not wanted.
    command += ["--generation-config", "vllm", "--max-logprobs", str(MOST_LOGPROBS)]
    if setting.tokenizer is not None:
        command += ["--tokenizer", str(setting.tokenizer)]
    if setting.length is not None:
        command += ["--max-model-len", str(setting.length)]
    variables = {"VLLM_API_KEY": setting.key, "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "INFO"}
    if setting.device == "cpu":
        require_kernels(setting.model, cpu_features())
        variables["VLLM_CPU_KVCACHE_SPACE"] = str(config.cpu_cache_gib)
        # Compiling a model takes minutes on a CPU, and saves little there.
        command += ["--enforce-eager"]
    else:
        command += ["--gpu-memory-utilization", str(config.memory)]
        command += ["--tensor-parallel-size", str(config.tensor_parallel)]
    if setting.adapters:
        rank = max(lora_rank(name, folder) for name, folder in setting.adapters.items())
        largest = next((size for size in _RANKS if size >= rank), rank)
        # On a CPU, vLLM computes rows without an adapter with the last place for one, which must therefore stay empty.
        places = len(setting.adapters) + (setting.device == "cpu")
        command += ["--enable-lora", "--max-lora-rank", str(largest), "--max-loras", str(places)]
        command += ["--lora-modules", *(f"{name}={folder}" for name, folder in setting.adapters.items())]
    return Launch(
        engine=CPU if setting.device == "cpu" else GPU,
        command=(*command, *config.arguments),
        url=setting.url,
        health=setting.health,
        variables=variables,
        key=setting.key,
    )


def require_kernels(model: Path, features: Collection[str]) -> None:
    """Make sure that vLLM for CPUs computes with a folder's weights: packed ones of 4 bits need AVX-512 on x86.

    Without this it loads them, and ends at the first request.

    Args:
        features: The CPU's instruction sets.

    Raises:
        ResourceError: It does not.
    """
    file = model / "config.json"
    held = json.loads(file.read_text(encoding="utf-8")).get("quantization_config") if file.is_file() else None
    if held is None or "avx512f" in features or "sse2" not in features:
        return
    groups = [held, *held.get("config_groups", {}).values()]
    if any(group.get("format") == "pack-quantized" for group in groups):
        raise ResourceError(
            f"the weights of {model} are packed in few bits, for which vLLM has no kernels on a CPU without AVX-512",
            hint="--engine transformers, or --quant_method int8",
        )


def lora_rank(name: str, folder: Path) -> int:
    """The rank of an adapter that vLLM can load beside the model.

    Raises:
        ConfigError: It cannot.
    """
    why = None
    if extra_config(folder) is not None:
        why = "is no adapter of PEFT"
    else:
        saved = read_adapter_config(folder).to_dict()
        ranks = [saved.get("r") or 0, *(saved.get("rank_pattern") or {}).values()]
        if str(getattr(saved.get("peft_type"), "value", saved.get("peft_type"))) != "LORA":
            why = "is no LoRA"
        elif saved.get("use_dora"):
            why = "is a DoRA"
        elif saved.get("modules_to_save") or saved.get("trainable_token_indices"):
            why = "has whole modules or tokens of its own"
        elif saved.get("bias", "none") != "none":
            why = "has biases"
        elif saved.get("alpha_pattern") or saved.get("rank_pattern"):
            why = "has ranks or factors of their own for some layers"
        else:
            return max(int(rank) for rank in ranks)
    raise ConfigError(
        f"the adapter {name} {why}, which vLLM does not take beside a model", hint="add --merge_lora true"
    )
