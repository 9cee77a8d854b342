"""`swift infer`: which of its three ways of answering is meant, and the engine for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from swift.config.engine import TransformersConfig
from swift.config.runs import InferConfig
from swift.data.plugins import load_plugins
from swift.engines.base import BASE, Engine
from swift.engines.folders import Plan
from swift.engines.open import opened, plan_of
from swift.errors import ConfigError
from swift.inference.answerers import Answerer, sampling_of
from swift.inference.found import drawing_folder
from swift.inference.metrics import check_metrics, report_metrics

if TYPE_CHECKING:
    from swift.engines.encoding.load import Found
    from swift.inference.batch import Stretch


def infer(config: InferConfig) -> int:
    """Answer one prompt, chat in the terminal, or answer a data set; or give vectors, labels or scores.

    With `prompt`: that, once. With `data.validation`: every row of it, into `result_path`. Else a chat, whose
    turns come from the terminal, or line by line from standard input where that is not a terminal.

    Returns:
        The exit code: 0, or 1 where a single prompt could not be answered.

    Raises:
        SwiftError: A model, adapter, data set or option cannot be used.
    """
    _check(config)
    load_plugins(config.plugins)
    if config.data.validation:
        if config.num_processes > 1:
            from swift.inference.spread import spread

            spread(config)
        else:
            answer_rows(config, None)
        if config.metric:
            report_metrics(Path(config.result_path or ""), config.metric)
        return 0
    folder = drawing_folder(config.draw_dir)
    plan = plan_of(config)
    found = _giving_numbers(config, plan)
    if found is not None:
        from swift.inference.encode import encode_prompt

        return encode_prompt(config, plan, found)
    from swift.inference.chat import Chat, named_media

    # the chat keeps the system message itself, so that /system can change it
    system = plan.chat.system
    with _ready(config, replace(plan, chat=plan.chat.model_copy(update={"system": None}))) as (_, answerers):
        sampling = sampling_of(config.generation, config.seed)
        chat = Chat(answerers, sampling, system=system, stream=config.generation.stream, draw_folder=folder)
        if config.prompt is None:
            return chat.run()
        return chat.once(config.prompt, named_media(config.images, config.videos, config.audios))


def answer_rows(config: InferConfig, stretch: Stretch | None) -> None:
    """Answer or encode the rows of a data set, all or a stretch of them.

    Raises:
        SwiftError: A model, adapter, data set or option cannot be used.
    """
    load_plugins(config.plugins)
    folder = drawing_folder(config.draw_dir)
    plan = plan_of(config)
    found = _giving_numbers(config, plan)
    if found is not None:
        from swift.inference.encode import encode_data

        encode_data(config, plan, found, stretch)
        return
    from swift.inference.batch import answer_data

    answer_data(config, plan, lambda: _ready(config, plan), draw_folder=folder, stretch=stretch)


def _giving_numbers(config: InferConfig, plan: Plan) -> Found | None:
    """What is known of a model that gives vectors, labels or scores; None for one that answers."""
    task = config.encoding.task
    if task == "generate" or (task == "auto" and not isinstance(config.engine, TransformersConfig)):
        return None
    from swift.engines.encoding.load import find

    found = find(plan, config.encoding)
    return None if found.task == "generate" else found


def _check(config: InferConfig) -> None:
    if config.prompt is not None and config.data.validation:
        raise ConfigError("both a prompt and a data set are to be answered", hint="give --prompt or --val_dataset")
    if config.data.validation and config.result_path is None:
        raise ConfigError("the answers of a data set have no place to go", hint="give --result_path FILE.jsonl")
    if config.prompt is None and (config.images or config.videos or config.audios):
        raise ConfigError(
            "media are named without a prompt", hint="give --prompt too; in the chat: /image, /video and /audio"
        )
    if config.metric and not config.data.validation:
        raise ConfigError("--metric is for the answers of a data set", hint="give --val_dataset FILE too")
    check_metrics(config.metric)
    if config.result_path is not None and not config.data.validation:
        raise ConfigError("result_path is for the answers of a data set", hint="give --val_dataset FILE too")
    if config.merge_lora and (config.compare_base or len(config.adapters) > 1):
        raise ConfigError("a merged adapter cannot be taken out again to compare", hint="leave out --merge_lora")


@contextmanager
def _ready(config: InferConfig, plan: Plan) -> Iterator[tuple[Engine, tuple[Answerer, ...]]]:
    """The engine, announced on standard error, and who answers."""
    with opened(config, plan) as engine:
        yield engine, _announced(config, plan, engine)


def _announced(config: InferConfig, plan: Plan, engine: Engine) -> tuple[Answerer, ...]:
    names = [*engine.adapters, *([BASE] if config.compare_base and engine.adapters else [])] or [BASE]
    merged = f" + {', '.join(plan.adapters)} (merged)" if config.merge_lora and plan.adapters else ""
    beside = f" + {', '.join(engine.adapters)}" if engine.adapters else ""
    sys.stderr.write(f"{plan.model.id or 'a model'}{merged or beside}: {engine.description}\n")
    sys.stderr.write(f"chat template: {engine.codec.template_source}\n")
    return tuple(Answerer(name, engine) for name in names)
