"""Engines that are started here, from environments of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from swift.config.engine import LlamacppConfig, StartedConfig, VllmConfig, engine_name
from swift.engines import llamacpp, lmdeploy, sglang, vllm
from swift.engines.folders import Plan
from swift.engines.link import Address, Link
from swift.engines.merged import TextSide, merged_folder, text_side
from swift.engines.openai import OpenAIEngine
from swift.engines.remote import list_models
from swift.engines.served import Served
from swift.engines.server import Launch, Setting, start
from swift.engines.wires import Takes, Wire
from swift.environments.build import has_nvidia
from swift.environments.store import Environment, home, require
from swift.errors import ConfigError
from swift.models.gguf import as_folder

CPU_LENGTH = 8192
"""Longest sequence on a CPU, unless the user says otherwise: every token of it takes memory from the start."""


@dataclass(frozen=True, slots=True)
class Kind:
    """An engine that reads a model's folder.

    Attributes:
        launch: Its command line.
        takes: What its server takes.
        adapter: What a request calls an adapter.
        wire: How it is given token ids, where not by `/completions`.
    """

    launch: Callable[[Any, Setting], Launch]
    takes: Takes
    adapter: Callable[[str], str] = str
    wire: Wire | None = None


KINDS = {
    "vllm": Kind(vllm.launch, vllm.TAKES),
    "sglang": Kind(sglang.launch, sglang.TAKES, sglang.adapter_name),
    "lmdeploy": Kind(lmdeploy.launch, lmdeploy.TAKES, wire=lmdeploy.Generate()),
}


@dataclass(frozen=True, slots=True)
class _Prepared:
    """All that is decided before the server is started."""

    make: Callable[[int, str], Launch]
    served: Served


def start_engine(config: StartedConfig, plan: Plan, *, merge_lora: bool) -> OpenAIEngine:
    """Start an engine over a model, and connect to it; it ends when the engine is closed, or this process ends.

    Args:
        merge_lora: Adapters are merged into the weights, not loaded beside them.

    Raises:
        EngineError: Its environment is not installed, or it does not start.
        SwiftError: The model or an adapter cannot be used with it.
    """
    name, device = _environment(config, plan)
    environment = require(name, home(config.environment_dir))
    side = text_side(plan)
    if isinstance(config, LlamacppConfig):
        prepared = _from_file(config, plan, side, environment)
    else:
        prepared = _from_folder(config, plan, side, environment, device, merge=merge_lora and bool(plan.adapters))
    server = start(prepared.make, config.start_seconds)
    launch = server.launch
    address = Address(launch.url, launch.key, config.at_once, config.timeout, config.retries)
    link = Link(address, died=server.failure, erred=server.erred)
    try:
        served = replace(prepared.served, context=list_models(link).context or prepared.served.context)
        return OpenAIEngine(link, served, side.codec, plan.chat, plan.media, stop=server.stop)
    except BaseException:
        link.close()
        server.stop()
        raise


def _environment(config: StartedConfig, plan: Plan) -> tuple[str, str]:
    """The environment's name, and the device."""
    wanted = plan.model.device
    device = wanted if wanted != "auto" else "cuda" if has_nvidia() else "cpu"
    if isinstance(config, LlamacppConfig):
        return llamacpp.ENVIRONMENT, "cpu"
    if isinstance(config, VllmConfig):
        return (vllm.CPU if device == "cpu" else vllm.GPU), device
    name = engine_name(config)
    if device == "cpu":
        raise ConfigError(f"--engine {name} runs on GPUs only", hint="on a CPU: --engine vllm or llamacpp")
    return name, device


def _from_folder(
    config: StartedConfig, plan: Plan, side: TextSide, environment: Environment, device: str, *, merge: bool
) -> _Prepared:
    kind = KINDS[engine_name(config)]
    # On CPUs `auto` is float32: rounding in bfloat16 was seen to change answers there.
    dtype = "float32" if plan.model.dtype == "auto" and device == "cpu" else plan.model.dtype
    length = config.max_length
    if length is None and device == "cpu":
        length = min(side.positions or CPU_LENGTH, CPU_LENGTH)
    setting = Setting(
        python=environment.python,
        model=merged_folder(plan, side.located) if merge else as_folder(side.located),
        adapters={} if merge else plan.adapters,
        device=device,
        dtype=dtype,
        length=length,
        tokenizer=None if merge else plan.tokenizer,
    )
    served = Served(
        model=vllm.BASE_NAME,
        takes=kind.takes,
        adapters={name: kind.adapter(name) for name in setting.adapters},
        context=length or side.positions,
        wire=kind.wire,
        about=f"{environment.record.name} {environment.version}, {dtype} on {device}" + (", merged" if merge else ""),
    )
    return _Prepared(lambda port, key: kind.launch(config, replace(setting, port=port, key=key)), served)


def _from_file(config: LlamacppConfig, plan: Plan, side: TextSide, environment: Environment) -> _Prepared:
    """llama.cpp: adapters are always merged, since the converter takes whole models."""
    model = merged_folder(plan, side.located) if plan.adapters else side.located.path
    file = llamacpp.gguf_file(model, environment, dtype=plan.model.dtype, quantize=config.quantize)
    length = config.max_length or min(side.positions or CPU_LENGTH, CPU_LENGTH)
    bits = "" if config.quantize == "none" else f", {config.quantize}"
    about = f"llama.cpp {environment.version}{bits}{', merged' if plan.adapters else ''}"

    def make(port: int, key: str) -> Launch:
        return llamacpp.launch(config, environment.python, file, length=length, port=port, key=key)

    return _Prepared(make, Served(llamacpp.BASE_NAME, llamacpp.TAKES, context=length, about=about))
