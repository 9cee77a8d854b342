"""SGLang: how its server is started, and what it takes. By its documentation; not run by us."""

from __future__ import annotations

from swift.config.engine import SglangConfig
from swift.engines.server import Launch, Setting
from swift.engines.wires import Takes

BASE_NAME = "base"
ENVIRONMENT = "sglang"

TAKES = Takes(
    server="SGLang",
    extras=frozenset(("top_k", "min_p", "repetition_penalty", "min_tokens", "ignore_eos", "stop_token_ids")),
    always={"skip_special_tokens": False},
    tells_ids=True,
    guides={
        "json": lambda guide: {"json_schema": guide.text},
        "regex": lambda guide: {"regex": guide.text},
    },
    scores="echo",
)


def launch(config: SglangConfig, setting: Setting) -> Launch:
    """The command line; see `swift.engines.vllm.launch`."""
    command = [str(setting.python), "-m", "sglang.launch_server", "--host", "127.0.0.1", "--port", str(setting.port)]
    command += ["--model-path", str(setting.model), "--served-model-name", BASE_NAME, "--dtype", setting.dtype]
    command += ["--api-key", setting.key]
    command += ["--mem-fraction-static", str(config.memory), "--tp-size", str(config.tensor_parallel)]
    command += ["--sampling-defaults", "openai"]
    if setting.tokenizer is not None:
        command += ["--tokenizer-path", str(setting.tokenizer)]
    if setting.length is not None:
        command += ["--context-length", str(setting.length)]
    if setting.adapters:
        command += ["--enable-lora", "--lora-paths", *(f"{name}={folder}" for name, folder in setting.adapters.items())]
    return Launch(
        engine=ENVIRONMENT,
        command=(*command, *config.arguments),
        url=setting.url,
        health=setting.health,
        key=setting.key,
    )


def adapter_name(name: str) -> str:
    """What a request calls an adapter."""
    return f"{BASE_NAME}:{name}"
