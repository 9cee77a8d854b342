"""`swift eval --eval_backend lm_eval`: lm-eval's tasks, asked of our engines."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from swift.config.engine import engine_identity
from swift.config.runs import EvalConfig
from swift.data.plugins import load_plugins
from swift.engines.base import Engine
from swift.engines.folders import Plan
from swift.engines.open import opened, plan_of
from swift.engines.openai import OpenAIEngine
from swift.errors import ConfigError, DataError, MissingExtraError, SwiftError, UnknownNameError
from swift.evaluation.harness.kept import Kept, kept
from swift.evaluation.harness.results import lines_of, result_of, task_of
from swift.evaluation.page import write_page
from swift.evaluation.report import show
from swift.evaluation.result import Line, Result, write_result
from swift.inference.batch import answers_identity


def evaluate_tasks(config: EvalConfig) -> tuple[Result, ...]:
    """Judge a model by tasks of lm-eval.

    The output folder gets `responses.jsonl`, a line for each request that was answered, and a folder for each task and
    group with `samples.jsonl` and `summary.json`; and `report.html`.

    Returns:
        The result of each task and group.

    Raises:
        MissingExtraError: lm-eval is not installed.
        SwiftError: A model, adapter, task or option cannot be used.
    """
    if find_spec("lm_eval") is None:
        raise MissingExtraError("lm-eval", extra="eval", why="--eval_backend lm_eval")
    load_plugins(config.plugins)
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    plan = plan_of(config)
    tasks, named, manager = _tasks(config)
    folder = Path(config.output_dir)
    identity = {**answers_identity(config, plan), "generation": None, "backend": "lm_eval"}
    with kept(folder, identity) as answers, opened(config, plan) as engine:
        sys.stderr.write(f"{plan.model.id or 'a model'}: {engine.description}\n")
        _require_scores(tasks, engine)
        begun = time.monotonic()
        found = _asked(config, plan, engine, answers, named, manager)
        seconds = time.monotonic() - begun
    facts = {
        "model": " + ".join([plan.model.id or "a model", *map(str, plan.adapters.values())]),
        "engine": engine_identity(config.engine),
        "lm_eval": version("lm_eval"),
        "chat": config.harness.apply_chat_template,
        "requests": answers.asked,
        "seconds": seconds,
    }
    return _written(found, facts, folder)


def _tasks(config: EvalConfig) -> tuple[Mapping[str, Any], Sequence[Any], Any]:
    """The tasks by name, with their data; what is named, tasks and groups of them; and what loaded them.

    Raises:
        UnknownNameError: There is no such task.
        DataError: A task's file or data cannot be had.
    """
    from datasets import disable_progress_bars  # type: ignore[import-untyped]
    from lm_eval.tasks import TaskManager

    disable_progress_bars()
    manager = TaskManager(include_path=list(config.harness.include_path) or None)
    for name in config.benchmark.sets:
        if name not in manager.all_tasks:
            raise UnknownNameError("lm-eval task", name, manager.all_tasks, hint="`lm_eval ls tasks` lists them")
    loaded: dict[str, Any] = {}
    named: list[Any] = []
    for name in config.benchmark.sets:
        try:
            found = manager.load([name])
        except Exception as error:  # whatever a task's own code and data raise
            first = (str(error).splitlines() or [""])[0]
            raise DataError(
                f"lm-eval task {name}: {type(error).__name__}: {first}",
                hint="its data comes from the Hugging Face hub, unless the task names data_files of your own",
            ) from error
        loaded |= found["tasks"]
        group = found["groups"].get(name)
        named += found["tasks"].values() if group is None else [group]
    unsafe = [name for name, task in loaded.items() if _is_unsafe(task)]
    if unsafe and not config.benchmark.run_code:
        raise ConfigError(f"lm-eval task {unsafe[0]} runs code that the model writes", hint="add --run_code")
    return loaded, named, manager


def _is_unsafe(task: Any) -> bool:
    return bool(task.config.unsafe_code)


def _require_scores(tasks: Mapping[str, Any], engine: Engine) -> None:
    wanting = [name for name, task in tasks.items() if task.OUTPUT_TYPE != "generate_until"]
    if wanting and not engine.ability.scores:
        raise ConfigError(
            f"lm-eval task {wanting[0]} asks for likelihoods, which {engine.description} does not tell",
            hint="take tasks that generate, or --engine transformers",
        )


def _asked(
    config: EvalConfig, plan: Plan, engine: Engine, answers: Kept, tasks: Sequence[Any], manager: Any
) -> Mapping[str, Any]:
    from lm_eval import simple_evaluate

    from swift.evaluation.harness.model import EngineModel

    messages = isinstance(engine, OpenAIEngine) and engine.takes_chats
    model = EngineModel(engine, answers, plan.chat, config.seed, messages=messages)
    try:
        found: Mapping[str, Any] = simple_evaluate(
            model=model,
            tasks=tasks,
            task_manager=manager,
            num_fewshot=config.benchmark.shots,
            limit=config.benchmark.limit,
            apply_chat_template=config.harness.apply_chat_template,
            fewshot_as_multiturn=config.harness.fewshot_as_multiturn and config.harness.apply_chat_template,
            random_seed=config.seed,
            numpy_random_seed=config.seed,
            torch_random_seed=config.seed,
            fewshot_random_seed=config.seed,
            bootstrap_iters=1000,
            confirm_run_unsafe_code=config.benchmark.run_code,
        )
    except SwiftError:
        raise
    except ValueError as error:  # how lm-eval says that tasks and options do not go together
        raise ConfigError(f"lm-eval: {str(error).splitlines()[0]}", hint="see the task's YAML file") from error
    return found


def _written(found: Mapping[str, Any], facts: Mapping[str, Any], folder: Path) -> tuple[Result, ...]:
    results: list[Result] = []
    samples: list[Sequence[Line]] = []
    for name, values in {**found["results"], **found.get("groups", {})}.items():
        lines = lines_of(found["samples"].get(name, ()))
        count = values.get("sample_len") or len(lines)
        shots = found["n-shot"].get(name)
        result = result_of(
            name, values, lines, int(count), {**facts, "version": found["versions"].get(name), "shots": shots}
        )
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        write_result(result, lines, place)
        results.append(result)
        samples.append(lines)
    tasks = [task_of(result, folder / result.name) for result in results]
    for task, result in zip(tasks, results, strict=True):
        show(task, result)
    write_page(tasks, results, samples, folder)
    return tuple(results)
