"""Rules of eval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from swift.config import engine_rules
from swift.config.benchmark import BenchmarkConfig
from swift.config.engine import OpenaiConfig
from swift.config.generation import GenerationConfig
from swift.config.harness import HarnessConfig
from swift.config.model_rules import model_problems
from swift.config.problems import Problem
from swift.config.runs import EvalConfig
from swift.config.scope import OURS, ScopeConfig

LIST = ("list",)
"""The word in place of a set that asks which there are."""


def _what(config: EvalConfig) -> Iterator[Problem]:
    data, sets = config.data, config.benchmark.sets
    rows = data.train or data.validation
    if not rows and not sets and not config.compare and config.eval_backend == "native":
        yield Problem("--dataset", "is required", "such as --dataset rows.jsonl, or --eval_dataset humaneval")
    if data.train and data.validation:
        yield Problem("--val_dataset", "there is --dataset too", "give one of them")
    if rows and sets and config.eval_backend == "native":
        yield Problem("--eval_dataset", "there is --dataset too", "run it once for each")
    if config.compare and (rows or sets):
        yield Problem("--compare", "asks nothing, but there are rows to ask", "take --dataset and --eval_dataset out")
    if data.streaming:
        yield Problem("--streaming", "rows are counted before they are judged", "take it out")


def _asks(config: EvalConfig) -> Iterator[Problem]:
    if config.compare or config.benchmark.sets == LIST:
        return
    yield from model_problems(config.model, config.adapters, required=not engine_rules.needs_no_model(config))
    if len(config.adapters) > 1:
        yield Problem("--adapters", f"{len(config.adapters)} adapters", "judge one at a time")
    if config.merge_lora and not config.adapters:
        yield Problem("--merge_lora", "there is no adapter", "add --adapters")


def _sets(config: EvalConfig) -> Iterator[Problem]:
    if config.benchmark.sets and config.metric != EvalConfig.model_fields["metric"].default:
        yield Problem("--metric", "benchmarks bring their own", "take it out")
    yield from set_problems(config.benchmark, config.generation.temperature)


def set_problems(options: BenchmarkConfig, temperature: float) -> Iterator[Problem]:
    """What is wrong with the choice of benchmarks, whoever asks them."""
    twice = [name for name, count in Counter(options.sets).items() if count > 1]
    if twice:
        yield Problem("--eval_dataset", f"{twice[0]} stands there twice", "name it once")
    if options.shots is not None and not options.sets:
        yield Problem("--few_shot", "solved examples stand in front of benchmarks only", "add --eval_dataset")
    if options.run_code and not options.sets:
        yield Problem("--run_code", "only benchmarks run code", "add --eval_dataset humaneval")
    yield from _code(options, temperature)


def _code(options: BenchmarkConfig, temperature: float) -> Iterator[Problem]:
    wrong = [k for k in options.pass_at if k < 1]
    if wrong or not options.pass_at:
        yield Problem("--pass_at", f"{wrong[0] if wrong else 'nothing'} is no number of answers", "such as 1 10")
    elif max(options.pass_at) > options.samples:
        most = max(options.pass_at)
        why = f"{most} needs as many answers, but --eval_samples is {options.samples}"
        yield Problem("--pass_at", why, f"add --eval_samples {most}")
    if options.samples > 1 and temperature == 0:
        yield Problem("--eval_samples", "answers at --temperature 0 are all the same", "add --temperature 0.8")


def _schema(config: EvalConfig) -> Iterator[Problem]:
    if config.json_schema is None:
        return
    if config.metric != "json":
        yield Problem("--json_schema", f"has no meaning with --metric {config.metric}", "add --metric json")
    if not Path(config.json_schema).is_file():
        yield Problem("--json_schema", f"no such file: {config.json_schema}", "name a file of JSON Schema")


def _compared(config: EvalConfig) -> Iterator[Problem]:
    if len(config.compare) == 1:
        yield Problem("--compare", "one run has nothing to be compared with", "name two or more output folders")
    twice = [name for name, count in Counter(config.compare).items() if count > 1]
    if twice:
        yield Problem("--compare", f"{twice[0]} stands there twice", "name it once")


def _judge(config: EvalConfig) -> Iterator[Problem]:
    judge = config.judge
    named = judge.model is not None or judge.url is not None
    if config.metric == "judge" and not config.compare and not named:
        yield Problem(
            "--judge", "is required by --metric judge", "such as --judge MODEL, or --judge_url http://HOST/v1"
        )
    if named and config.metric != "judge" and not config.compare:
        yield Problem("--judge", "there is nothing to judge", "add --metric judge, or --compare")
    if judge.url is not None and judge.engine not in ("transformers", "openai"):
        yield Problem("--judge_url", f"there is --judge_engine {judge.engine} too", "give one of them")
    if judge.url is not None and not judge.url.startswith(("http://", "https://")):
        yield Problem("--judge_url", f"{judge.url!r} is no address", "such as http://127.0.0.1:8000/v1")
    if judge.engine == "openai" and judge.url is None:
        yield Problem("--judge_engine", "openai needs an address", "add --judge_url http://HOST:PORT/v1")


def _others(config: EvalConfig) -> Iterator[Problem]:
    """lm-eval and evalscope bring their own questions and metrics."""
    backend = config.eval_backend
    if backend != "lm_eval" and config.harness != HarnessConfig():
        yield Problem("--include_path", "lm-eval's options need --eval_backend lm_eval", "add it")
    if backend != "evalscope" and config.scope != ScopeConfig():
        yield Problem("--eval_dataset_args", "evalscope's options need --eval_backend evalscope", "add it")
    if backend == "native":
        return
    rows, sets = config.data.train or config.data.validation, config.benchmark.sets
    name, what, such = _BACKENDS[backend]
    if rows or config.compare or config.judge.model or config.judge.url:
        flag = "--dataset" if rows else "--compare" if config.compare else "--judge"
        yield Problem(flag, f"{name} judges by its own {what}s", f"take it out, and name {what}s with --eval_dataset")
    elif not sets or sets == LIST:
        yield Problem("--eval_dataset", f"names no {what} of {name}", f"such as --eval_dataset {such}")


_BACKENDS = {
    "lm_eval": ("lm-eval", "task", "arc_easy hellaswag"),
    "evalscope": ("evalscope", "set", "general_mcq=FOLDER"),
}


def _harness(config: EvalConfig) -> Iterator[Problem]:
    if config.eval_backend != "lm_eval":
        return
    given = config.harness
    for folder in given.include_path:
        if not Path(folder).is_dir():
            yield Problem("--include_path", f"there is no folder {folder}", "name a folder of task files")
    if config.chat.system is not None and not given.apply_chat_template:
        yield Problem("--system", "bare text has no system message", "add --apply_chat_template")
    for flag in _changed(config.generation, GenerationConfig.model_fields):
        yield Problem(flag, "a task of lm-eval says itself how answers are made", "set its generation_kwargs")
    for flag in _changed(config.benchmark, _NATIVE_ONLY):
        yield Problem(flag, "lm-eval's tasks do not use it", "take it out")


_NATIVE_ONLY = ("samples", "pass_at", "choice_by", "code_seconds", "code_megabytes")
"""Options of our own benchmarks."""


def _changed(options: GenerationConfig | BenchmarkConfig, names: Iterable[str]) -> Iterator[str]:
    """The flags of options that are not as they are by default."""
    fields = type(options).model_fields
    for name in names:
        extra = fields[name].json_schema_extra
        if getattr(options, name) != fields[name].default and isinstance(extra, dict):
            flags = extra["flags"]
            assert isinstance(flags, list)
            yield f"--{flags[0]}"


_REFUSED = {
    "OpenCompass": (
        "its sets read an archive of data that only its own servers have, and nothing of it was ever run here",
        "take evalscope's own sets, or --eval_backend lm_eval",
    ),
    "VLMEvalKit": (
        "ms-vlmeval wants antlr4-python3-runtime 4.11.1, and evalscope 4.13.2: they cannot be in one environment",
        "take evalscope's own sets, or swift's own metrics for pictures (vqa, anls, iou)",
    ),
}
"""Other backends of evalscope: why there is none here, and the way out."""


def _scope(config: EvalConfig) -> Iterator[Problem]:
    if config.eval_backend != "evalscope":
        return
    given, options = config.scope, config.benchmark
    if given.backend in _REFUSED:
        yield Problem(f"--evalscope_backend {given.backend}", *_REFUSED[given.backend])
    for name in set(given.options) & set(OURS):
        yield Problem("--extra_eval_args", f"{name} is set by an option of swift", "take it out; see swift eval --help")
    named = {text.partition("=")[0].partition(":")[0] for text in options.sets}
    for name, values in given.dataset_args.items():
        if name not in named:
            yield Problem("--eval_dataset_args", f"{name} is not among --eval_dataset", f"add it, or take {name} out")
        elif not isinstance(values, dict):
            yield Problem("--eval_dataset_args", f"{name} has {values!r}, and no object", 'such as {"few_shot_num": 2}')
    if options.choice_by != BenchmarkConfig().choice_by or options.samples != BenchmarkConfig().samples:
        flag = "--choice_by" if options.samples == BenchmarkConfig().samples else "--eval_samples"
        yield Problem(flag, "evalscope has its own way", 'take it out; "repeats" in --extra_eval_args asks more')
    if isinstance(config.engine, OpenaiConfig) and config.engine.url and config.model is not None and config.model.id:
        yield Problem("--model", "evalscope sends messages to an address, never token ids", "take it out")


RULES: tuple[Callable[[EvalConfig], Iterator[Problem]], ...] = (
    _asks, _what, _sets, _schema, _compared, _judge, _others, _harness, _scope,
)  # fmt: skip
