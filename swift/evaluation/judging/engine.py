"""The judge: a model behind any of our engines, and its judgements in a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from swift.config.benchmark import JudgeConfig
from swift.config.chat import ChatConfig
from swift.config.engine import EngineConfig
from swift.config.media import MediaConfig
from swift.config.model import ModelConfig
from swift.config.runs import EvalConfig
from swift.data.progress import row_progress
from swift.engines.base import Engine
from swift.engines.folders import Plan, plan_model
from swift.engines.open import no_model, open_engine
from swift.engines.openai import OpenAIEngine
from swift.engines.states import weights_key
from swift.errors import RowError
from swift.evaluation.judging.prompts import VERSION
from swift.evaluation.result import read_lines
from swift.inference.results import open_results
from swift.types import Conversation, Request, Sampling

_WINDOW = 2


def judgements(config: EvalConfig, path: Path, prompts: Sequence[tuple[str, Conversation]]) -> dict[str, str]:
    """What the judge says to prompts; what stands in the file already is not asked again.

    Args:
        config: Who judges, and the size of batches.
        path: A file of judgements, of this judge only.
        prompts: Prompts with the keys under which they are kept.

    Returns:
        Judgements by key; a prompt that cannot be judged, such as one that is too long, has none.

    Raises:
        SwiftError: The judge cannot be had, or the file is another judge's.
    """
    judge = config.judge
    place = None if judge.url is not None or judge.model is None else Path(judge.model).expanduser()
    identity = {
        "judge": judge.model_dump(mode="json", exclude={"key_variable"}),
        "wording": VERSION,
        "weights of the judge": None if place is None else weights_key([place.resolve()]),
    }
    with open_results(path, identity, "output_dir") as results:
        known = {line["key"]: line.get("judgement") for line in read_lines(path)}
        missing = [(key, prompt) for key, prompt in prompts if key not in known]
        if missing:
            with _opened(config) as engine, row_progress("judging", total=len(missing), shown=True) as on_done:
                left = iter(missing)
                while window := list(islice(left, _WINDOW * config.max_batch_size)):
                    for line in _judged(engine, window, judge):
                        known[line["key"]] = line.get("judgement")
                        results.write(line)
                    on_done(len(window))
    return {key: text for key, text in known.items() if text is not None}


def _judged(engine: Engine, window: Sequence[tuple[str, Conversation]], judge: JudgeConfig) -> Iterator[dict[str, Any]]:
    rules = Sampling(max_new_tokens=judge.max_new_tokens)
    answers = engine.generate([Request(prompt, rules) for _, prompt in window])
    for (key, _), answer in zip(window, answers, strict=True):
        yield {"key": key, **({"error": str(answer)} if isinstance(answer, RowError) else {"judgement": answer.text})}


@contextmanager
def _opened(config: EvalConfig) -> Iterator[Engine]:
    engine_config, plan = engine_of(config.judge), _plan(config.judge)
    engine = open_engine(engine_config, plan, max_tokens=config.max_batch_tokens, max_rows=config.max_batch_size)
    sys.stderr.write(f"judge: {plan.model.id or config.judge.url}: {engine.description}\n")
    try:
        yield engine
    finally:
        if isinstance(engine, OpenAIEngine):
            engine.close()


def engine_of(judge: JudgeConfig) -> EngineConfig:
    """The engine that runs the judge."""
    if judge.url is None:
        values: dict[str, Any] = {"type": judge.engine}
    else:
        values = {"type": "openai", "url": judge.url, "api_key_variable": judge.key_variable, "send": "messages"}
        values["model_name"] = judge.model
    found: EngineConfig = TypeAdapter(EngineConfig).validate_python(values)
    return found


def _plan(judge: JudgeConfig) -> Plan:
    if judge.url is not None or judge.model is None:
        return no_model(ChatConfig(), MediaConfig())
    return plan_model(ModelConfig(id=judge.model), (), ChatConfig())
