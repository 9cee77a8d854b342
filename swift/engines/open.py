"""Which engine is meant, ready to answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from swift.config.chat import ChatConfig
from swift.config.engine import EngineConfig, ServedConfig, StartedConfig, TransformersConfig
from swift.config.media import MediaConfig
from swift.config.model import ModelConfig
from swift.config.runs import EvalConfig, InferConfig
from swift.config.serve import ServeConfig
from swift.engines.base import Engine
from swift.engines.folders import Plan, plan_model
from swift.engines.openai import OpenAIEngine
from swift.errors import ConfigError


def plan_of(config: InferConfig | EvalConfig | ServeConfig) -> Plan:
    """What to load; nothing, where a server alone knows its model.

    Raises:
        ConfigError, CheckpointError: See `plan_model`.
    """
    if config.adapters or (config.model is not None and config.model.id):
        return plan_model(config.model, config.adapters, config.chat, config.media)
    if isinstance(config.engine, ServedConfig) and config.engine.url is not None:
        return no_model(config.chat, config.media)
    return plan_model(config.model, config.adapters, config.chat, config.media)


def no_model(chat: ChatConfig, media: MediaConfig) -> Plan:
    """The plan of who knows an address and nothing else."""
    return Plan(ModelConfig(), {}, chat, None, media)


def open_remote(
    engine: ServedConfig, plan: Plan, *, merge_lora: bool = False, max_length: int | None = None
) -> OpenAIEngine:
    """An engine behind HTTP: at the address that is named, or started here. To be closed by the caller.

    Args:
        engine: Which one.
        plan: What it shall serve.
        merge_lora: Merge the adapter into the weights.
        max_length: Longest sequence, prompt and answer, of one that is started here; the engine's own option without.

    Raises:
        SwiftError: It is not installed, does not start, or does not have what is wanted.
    """
    from swift.engines.remote import connect

    if engine.url is not None:
        return connect(engine, plan)
    if not isinstance(engine, StartedConfig):
        raise ConfigError("--engine openai needs an address", hint="add --base_url http://HOST:PORT/v1")
    from swift.engines.started import start_engine

    if max_length is not None:
        engine = engine.model_copy(update={"max_length": max_length})
    return start_engine(engine, plan, merge_lora=merge_lora)


def open_engine(
    engine: EngineConfig, plan: Plan, *, max_tokens: int, max_rows: int, merge_lora: bool = False
) -> Engine:
    """The engine that a configuration asks for. One that is behind HTTP is to be closed by the caller.

    Args:
        max_tokens: Token slots of a batch, in this process.
        max_rows: Sequences of a batch, in this process.
        merge_lora: Merge the adapter into the weights.

    Raises:
        SwiftError: It cannot be had.
    """
    if isinstance(engine, TransformersConfig):
        from swift.engines.lanes import Limits
        from swift.engines.load import load_engine

        return load_engine(plan, limits=Limits(tokens=max_tokens, rows=max_rows), merge_lora=merge_lora)
    return open_remote(engine, plan, merge_lora=merge_lora)


@contextmanager
def opened(config: InferConfig | EvalConfig, plan: Plan) -> Iterator[Engine]:
    """The engine of a command, closed at the end."""
    engine = open_engine(
        config.engine,
        plan,
        max_tokens=config.max_batch_tokens,
        max_rows=config.max_batch_size,
        merge_lora=config.merge_lora,
    )
    try:
        yield engine
    finally:
        if isinstance(engine, OpenAIEngine):
            engine.close()
