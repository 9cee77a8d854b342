"""What the commands do, as functions of the same configurations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from swift.config.app import AppConfig
from swift.config.bench import BenchConfig
from swift.config.export import ExportConfig
from swift.config.looks import CheckConfig, PlanConfig
from swift.config.runs import EvalConfig, InferConfig
from swift.config.serve import ServeConfig
from swift.config.sft import SftConfig
from swift.errors import MissingExtraError

if TYPE_CHECKING:
    from swift.comparing.result import Result
    from swift.engines.base import Engine
    from swift.engines.encoding.engine import EncoderEngine
    from swift.evaluation.result import Result as EvalResult
    from swift.train.parallel.place import Place


def sft(config: SftConfig, *, place: Place | None = None) -> Path:
    """Fine-tune a model on conversations (or plain text, with `task: pt`).

    Args:
        config: All of it.
        place: Which of several processes this is, that torchrun has started to train together; None for one alone.

    Returns:
        The run folder, whose `last` and `best` point to checkpoints.

    Raises:
        SwiftError: Anything that the user can fix.
        swift.train.stop.Interrupted: A signal came; a checkpoint was saved.
        SystemExit: Something went wrong, and another process tells what.
    """
    from swift.config.rules import require
    from swift.train.assemble import assembled
    from swift.train.loop import train
    from swift.train.parallel.place import Place
    from swift.train.parallel.start import joined

    require(config)
    with joined(place or Place(), config.model) as parallel, assembled(config, parallel) as run:
        train(run)
        return run.folder


def pretrain(config: SftConfig) -> Path:
    """Continue pre-training on plain text; see `sft`."""
    return sft(config.model_copy(update={"task": "pt"}))


def infer(config: InferConfig) -> int:
    """Talk to a model, or answer a data set; returns an exit code."""
    from swift.inference.run import infer as run

    return run(config)


def serve(config: ServeConfig) -> int:
    """Serve a model over HTTP until a signal ends it; returns an exit code.

    Raises:
        SwiftError: Anything that the user can fix.
    """
    try:
        from swift.serving.run import serve as run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("swift"):
            raise
        raise MissingExtraError(error.name, extra="serve", why="`swift deploy`") from error
    return run(config)


def run_app(config: AppConfig) -> int:
    """Show a page in which to talk to a model, until a signal ends it; returns an exit code.

    Raises:
        SwiftError: Anything that the user can fix.
    """
    try:
        from swift.app.run import run_app as run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("swift"):
            raise
        raise MissingExtraError(error.name, extra="app", why="`swift app`") from error
    return run(config)


def load_engine(config: InferConfig) -> Engine:
    """The model and adapters of `config`, ready to answer requests from Python.

    An engine that is started for it (`config.engine`) ends with this process, or with its method `close`.
    """
    from swift.engines.open import open_engine, plan_of

    return open_engine(
        config.engine,
        plan_of(config),
        max_tokens=config.max_batch_tokens,
        max_rows=config.max_batch_size,
        merge_lora=config.merge_lora,
    )


def load_encoder(config: InferConfig) -> EncoderEngine:
    """The model and adapters of `config`, ready to give vectors, labels or scores from Python.

    Raises:
        SwiftError: The model cannot be loaded, or is one that answers.
    """
    from swift.engines.encoding.load import find
    from swift.engines.encoding.load import load_encoder as run
    from swift.engines.lanes import Limits
    from swift.engines.open import plan_of
    from swift.errors import ConfigError

    plan = plan_of(config)
    found = find(plan, config.encoding)
    if found.task == "generate":
        raise ConfigError(f"{plan.model.id} answers", hint="name what it is for: encoding.task embed, rerank, ...")
    limits = Limits(config.max_batch_tokens, config.max_batch_size)
    return run(plan, config.encoding, limits=limits, merge_lora=config.merge_lora, found=found)


def evaluate(config: EvalConfig) -> tuple[EvalResult, ...]:
    """Judge a model by a data set or by benchmarks; returns the result of each set."""
    from swift.evaluation.run import evaluate as run

    return run(config)


def bench(config: BenchConfig) -> tuple[Result, ...]:
    """Run the experiments of a file, each in a process of its own; returns the rows of the table."""
    from swift.comparing.run import bench as run

    return run(config)


def export(config: ExportConfig) -> Path:
    """Merge, quantize or convert a model, and prove that it is still the same; returns the folder."""
    from swift.exporting.export import export as run

    return run(config)


def check(config: CheckConfig) -> int:
    """Show what training would see, without training, or compare engines; returns an exit code."""
    from swift.config.engine import TransformersConfig

    if not isinstance(config.engine, TransformersConfig):
        from swift.checking.compare import compare

        return compare(config)
    from swift.checking.run import check as run

    return run(config)


def plan(config: PlanConfig) -> int:
    """Estimate memory and time of a run; returns an exit code."""
    from swift.planning.run import plan as run

    return run(config)
