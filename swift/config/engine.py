"""What answers: an inference engine, in this process or behind HTTP. A tagged union, one class an engine."""

from typing import Annotated, Any, Literal

from pydantic import Field

from swift.config.option import Config, option


class TransformersConfig(Config):
    """In this process, by transformers. Runs everything that can be trained."""

    type: Literal["transformers"] = "transformers"


class ServedConfig(Config):
    """What all engines have that are reached over HTTP."""

    url: str | None = option(
        None,
        "Address of a server that runs already, such as http://127.0.0.1:8000/v1; default: one is started from the "
        "engine's own environment (`swift env add`), and stopped at the end.",
        "base_url",
        "engine_url",
    )
    model_name: str | None = option(
        None, "What the server calls the model; default: the one that it has.", "served_model_name"
    )
    api_key: str | None = option(None, "Key of the server; never written anywhere.", "api_key", repr=False)
    api_key_variable: str | None = option(None, "Environment variable that holds the key.", "api_key_env")
    at_once: int = option(
        32, "Requests that the server gets at a time; more wait here.", "engine_concurrency", ge=1, le=4096
    )
    timeout: float = option(600.0, "Seconds without any sign of the server after which it counts as dead.", gt=0)
    retries: int = option(
        5, "Tries after a connection that fails, or a server that is busy (429, 503).", "engine_retries", ge=0
    )


class StartedConfig(ServedConfig):
    """What all engines have that can be started from an environment of their own."""

    environment_dir: str | None = option(
        None, "Folder of environments, as in `swift env add --dir`; default: in the cache.", "env_dir"
    )
    start_seconds: float = option(1800.0, "Longest time that starting may take.", "engine_start_seconds", gt=0)
    arguments: tuple[str, ...] = option(
        (), """Further words of its command line, as a JSON list: '["--max-num-seqs", "8"]'.""", "engine_args"
    )
    max_length: int | None = option(
        None,
        "Longest sequence, prompt and answer, in tokens; default: what the model's positions allow, on a CPU at most "
        "8192.",
        "max_model_len",
        "vllm_max_model_len",
        ge=2,
    )


class VllmConfig(StartedConfig):
    """vLLM: many requests at once, on GPUs, and on CPUs by its build for those."""

    type: Literal["vllm"] = "vllm"
    memory: float = option(
        0.9,
        "Share of the GPU's memory that it takes.",
        "gpu_memory_utilization",
        "vllm_gpu_memory_utilization",
        gt=0,
        le=1,
    )
    tensor_parallel: int = option(
        1, "GPUs that share a model.", "tensor_parallel_size", "vllm_tensor_parallel_size", ge=1
    )
    cpu_cache_gib: int = option(1, "GiB of keys and values on a CPU.", "vllm_cpu_kvcache_space", ge=1)


class SglangConfig(StartedConfig):
    """SGLang, on GPUs. Written against its documented interface; not run by us."""

    type: Literal["sglang"] = "sglang"
    memory: float = option(0.9, "Share of the GPU's memory that it takes.", "sglang_mem_fraction_static", gt=0, le=1)
    tensor_parallel: int = option(1, "GPUs that share a model.", "sglang_tp_size", ge=1)


class LmdeployConfig(StartedConfig):
    """LMDeploy, on GPUs. Written against its documented interface; not run by us."""

    type: Literal["lmdeploy"] = "lmdeploy"
    memory: float = option(
        0.8, "Share of the GPU's free memory for keys and values.", "lmdeploy_cache_max_entry_count", gt=0, le=1
    )
    tensor_parallel: int = option(1, "GPUs that share a model.", "lmdeploy_tp", ge=1)


class LlamacppConfig(StartedConfig):
    """llama.cpp: one request after another, from a GGUF file. The fastest on a CPU for a single user."""

    type: Literal["llamacpp"] = "llamacpp"
    quantize: Literal["none", "q8_0", "q6_k", "q5_k_m", "q4_k_m"] = option(
        "none", "In how few bits the weights are written into the GGUF file.", "gguf_quantize"
    )


class OpenaiConfig(ServedConfig):
    """Any server that speaks OpenAI's language: TGI, vLLM, SGLang, Ollama, LM Studio, hosted ones."""

    type: Literal["openai"] = "openai"
    send: Literal["auto", "ids", "text", "messages"] = option(
        "auto",
        "How prompts are sent. ids: as the token ids that training saw; text: as their text; messages: as they are, "
        "for the server's own template. auto: ids where --model names the checkpoint, else messages.",
        "engine_send",
    )


EngineConfig = Annotated[
    TransformersConfig | VllmConfig | SglangConfig | LmdeployConfig | LlamacppConfig | OpenaiConfig,
    Field(discriminator="type"),
]
"""Chosen by `engine.type` (flag `--engine`)."""

SECRETS = ("api_key", "api_key_variable")
PROCESS = ("at_once", "timeout", "retries", "environment_dir", "start_seconds")
"""Options that do not change what is answered."""


def engine_name(engine: Config) -> str:
    """The value of `engine.type`."""
    return str(engine.model_dump(include={"type"})["type"])


def default_engine() -> Any:
    """The one that runs everywhere."""
    return TransformersConfig()


def engine_identity(engine: EngineConfig) -> dict[str, Any] | None:
    """What of an engine decides the answers, as JSON values; None for the default one."""
    if isinstance(engine, TransformersConfig):
        return None
    return engine.model_dump(mode="json", exclude={*SECRETS, *PROCESS})
