"""Rules about what answers: which engine can do what is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from swift.config.engine import LlamacppConfig, OpenaiConfig, ServedConfig, TransformersConfig, VllmConfig, engine_name
from swift.config.looks import CheckConfig
from swift.config.problems import Problem
from swift.config.quantization import NoQuantization
from swift.config.runs import EvalConfig, InferConfig
from swift.config.serve import ServeConfig


def answers(config: InferConfig | EvalConfig | CheckConfig | ServeConfig) -> Iterator[Problem]:
    """Rules of infer, eval and deploy, and of check where it compares engines."""
    engine = config.engine
    if isinstance(engine, TransformersConfig):
        return
    yield from _server(engine)
    model = config.model
    if model is not None and not isinstance(model.quantization, NoQuantization):
        why = f"--engine {engine.type} does not load weights of --quant_method {model.quantization.type}"
        yield Problem("--quant_method", why, "take one of them out")
    if isinstance(config, CheckConfig):
        return
    merge = config.merge_lora
    if isinstance(config, InferConfig) and config.num_processes > 1:
        why = f"--engine {engine.type} answers many requests at once by itself"
        yield Problem("--num_processes", why, "take it out")
    if isinstance(config, InferConfig | ServeConfig) and config.encoding.task not in ("auto", "generate"):
        named = bool(config.adapters) or (model is not None and bool(model.id))
        yield from _numbers(engine, config.encoding.task, named=named)
    if engine.url is not None and merge:
        yield Problem("--merge_lora", "the model of a server that runs already stays as it is", "take it out")
    base_too = isinstance(config, InferConfig) and config.compare_base
    if isinstance(engine, LlamacppConfig | OpenaiConfig) and (len(config.adapters) > 1 or base_too):
        where = "--compare_base" if base_too else "--adapters"
        yield Problem(where, f"--engine {engine.type} answers with one model", "run it once for each")


def _numbers(engine: ServedConfig, task: str, *, named: bool) -> Iterator[Problem]:
    if not isinstance(engine, OpenaiConfig | VllmConfig) or engine.url is None:
        why = f"--engine {engine_name(engine)} gives no numbers for the task {task} here"
        yield Problem(
            "--task",
            why,
            "take --engine transformers, or --engine openai or vllm with --base_url of a server that does",
        )
    elif not named:
        yield Problem("--model", "is needed, since token ids are sent", "name the model that the server has")


def needs_no_model(config: InferConfig | EvalConfig | ServeConfig) -> bool:
    """Whether a server on its own says all: its address is known, and it renders the messages itself."""
    engine = config.engine
    return isinstance(engine, OpenaiConfig) and engine.url is not None and engine.send in ("auto", "messages")


def _server(engine: ServedConfig) -> Iterator[Problem]:
    if isinstance(engine, OpenaiConfig) and engine.url is None:
        yield Problem("--engine", "openai needs an address", "add --base_url http://HOST:PORT/v1")
    if engine.url is not None:
        parts = urlsplit(engine.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            yield Problem("--base_url", f"{engine.url!r} is no address", "such as http://127.0.0.1:8000/v1")
        elif parts.username or parts.password:
            yield Problem("--base_url", "holds a name or a password", "give the key with --api_key_env VARIABLE")
    if engine.api_key is not None and engine.api_key_variable is not None:
        yield Problem("--api_key", "there is --api_key_env too", "give one of them")
