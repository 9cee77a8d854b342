"""Rules that hold between fields. Each is a function from a configuration to the problems that it sees."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from swift.config import engine_rules, eval_rules, lever_rules, quantization_rules, question_rules, tuner_rules
from swift.config.app import AppConfig
from swift.config.batch import BatchConfig
from swift.config.data import DataConfig
from swift.config.engine import TransformersConfig
from swift.config.export import ExportConfig
from swift.config.looks import CheckConfig
from swift.config.model_rules import model_problems
from swift.config.option import Config
from swift.config.problems import Problem, ProblemsError
from swift.config.runs import EvalConfig, InferConfig
from swift.config.serve import ServeConfig
from swift.config.sft import SftConfig
from swift.config.tuner import AdaLoraConfig, LoraConfig

_ORIGIN = re.compile(r"https?://[^/\s*]+")
_ADDRESS = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?(/[^\s?#]*)?")
_HOST = re.compile(r"(\*\.)?[\w-]+(\.[\w-]+)*|\[?[0-9a-fA-F:.]+\]?")


def require(config: Config) -> None:
    """Check every rule that concerns `config`.

    Raises:
        ProblemsError: Some do not hold; it lists them all.
    """
    problems = find(config)
    if problems:
        raise ProblemsError(problems)


def find(config: Config) -> list[Problem]:
    """Every problem of `config`, in a fixed order; empty when it is fine."""
    if isinstance(config, CheckConfig) and not isinstance(config.engine, TransformersConfig):
        return [problem for compare_rule in COMPARISON for problem in compare_rule(config)]
    if isinstance(config, SftConfig):
        return [problem for rule in TRAINING for problem in rule(config)]
    if isinstance(config, InferConfig):
        return [problem for infer_rule in INFERENCE for problem in infer_rule(config)]
    if isinstance(config, EvalConfig):
        return [
            problem for eval_rule in (*eval_rules.RULES, _media, engine_rules.answers) for problem in eval_rule(config)
        ]
    if isinstance(config, ExportConfig):
        return [problem for export_rule in EXPORT for problem in export_rule(config)]
    if isinstance(config, ServeConfig):
        return [problem for serve_rule in SERVING for problem in serve_rule(config)]
    if isinstance(config, AppConfig):
        return [problem for app_rule in PAGE for problem in app_rule(config)]
    return []


def _sft_model(config: SftConfig) -> Iterator[Problem]:
    yield from model_problems(config.model, ())
    if config.model.id and Path(config.output_dir).absolute() == Path(config.model.id).absolute():
        yield Problem("--output_dir", f"{config.output_dir!r} is the model's own folder", "choose another folder")


def _rows(config: SftConfig) -> Iterator[Problem]:
    data = config.data
    if not data.train:
        yield Problem("--dataset", "is required", "such as --dataset rows.jsonl, or the built-in self-cognition")
    if data.validation and data.split_ratio > 0:
        yield Problem(
            "--split_dataset_ratio", "there is --val_dataset too, so no rows need to be set aside", "give one of them"
        )
    for flag, names in (("--model_name", data.model_name), ("--model_author", data.model_author)):
        if len(names) > 2:
            yield Problem(flag, f"{len(names)} names", "one name, or the Chinese and the English one")


def _streaming(config: SftConfig) -> Iterator[Problem]:
    data = config.data
    if not data.streaming:
        return
    if config.loop.max_steps is None:
        yield Problem("--streaming", "the number of rows is not known, so the run has no end", "add --max_steps")
    if data.split_ratio > 0:
        yield Problem("--split_dataset_ratio", "rows that are streamed cannot be split by share", "use --val_dataset")


def _mixing(config: SftConfig) -> Iterator[Problem]:
    data, flag = config.data, "--interleave_prob"
    if data.weights is None:
        return
    if data.mix != "interleave":
        yield Problem(flag, f"has no meaning with --mix {data.mix}", "take one of them out")
    if len(data.weights) != len(data.train):
        yield Problem(
            flag, f"weights: {len(data.weights)}, training sets: {len(data.train)}", "give one for each --dataset"
        )
    if any(weight < 0 for weight in data.weights) or not sum(data.weights) > 0:
        yield Problem(flag, "weights must not be negative and not all zero", "such as 0.7 0.3")


def _batches(config: SftConfig) -> Iterator[Problem]:
    batch: BatchConfig = config.batch
    if batch.packing and batch.padding_free is False:
        yield Problem("--packing", "packs have no padding, but --padding_free is false", "take one of them out")
    if batch.max_tokens is not None and batch.packing:
        yield Problem("--max_tokens_per_batch", "packs have a fixed length", "set --max_length for packs")
    if batch.max_tokens is not None and batch.size > 1:
        yield Problem(
            "--max_tokens_per_batch", f"there is --per_device_train_batch_size {batch.size} too", "give one of them"
        )
    longest = config.chat.max_length
    if batch.max_tokens is not None and longest is not None and batch.max_tokens < longest:
        why = f"{batch.max_tokens} is less than --max_length {longest}, so the longest rows fit into no batch"
        yield Problem("--max_tokens_per_batch", why, "raise the one or lower the other")


def _turns(config: SftConfig) -> Iterator[Problem]:
    chat = config.chat
    bases = [name for name in chat.loss_scale.split("+") if name.strip() in ("last_round", "all")]
    if len(bases) > 1:
        yield Problem("--loss_scale", f"both {' and '.join(bases)} say which turns are trained on", "give one of them")
    elif bases and chat.train_on != "all":
        why = f"{bases[0]} says which turns are trained on, and so does --train_on {chat.train_on}"
        yield Problem("--loss_scale", why, "give one of them")


def _plain_text(config: SftConfig) -> Iterator[Problem]:
    if config.task != "pt":
        return
    chat = config.chat
    set_ = {
        "--chat_template": chat.template is not None,
        "--system": chat.system is not None,
        "--train_on": chat.train_on == "last",
        "--thinking": chat.thinking != "template",
        "--loss_scale": chat.loss_scale != "default",
        "--enable_thinking": chat.enable_thinking is not None,
    }
    for flag in (flag for flag, on in set_.items() if on):
        yield Problem(flag, "pre-training on plain text has no conversations", "take it out, or use `swift sft`")


def _schedule(config: SftConfig) -> Iterator[Problem]:
    if config.loop.label_smoothing > 0 and config.loop.loss != "cross_entropy":
        yield Problem(
            "--label_smoothing_factor", f"the loss {config.loop.loss} has no smoothing", "take one of them out"
        )
    warmup, steps = config.schedule.warmup_steps, config.loop.max_steps
    if warmup is not None and steps is not None and warmup > steps:
        yield Problem("--warmup_steps", f"{warmup} is more than --max_steps {steps}", "lower it")


def _optimizer(config: SftConfig) -> Iterator[Problem]:
    optimizer = config.optimizer
    if optimizer.lora_plus is not None and not isinstance(config.tuner, LoraConfig | AdaLoraConfig):
        why = f"LoRA+ is for lora, longlora and adalora, but the tuner is {config.tuner.type}"
        yield Problem("--lorap_lr_ratio", why, "take it out, or use --tuner_type lora")
    if not optimizer.updates_in_backward:
        return
    flag = "--optim" if optimizer.fused_backward is None else "--optim_in_backward"
    way_out = "" if optimizer.fused_backward else ", or --optim_in_backward false"
    if optimizer.max_grad_norm > 0:
        why = f"{optimizer.name} updates in the backward pass, when the norm to clip by is not known yet"
        yield Problem(flag, why, f"add --max_grad_norm 0{way_out}")
    if config.batch.accumulation != 1:
        why = f"{optimizer.name} updates in the backward pass, and a step has several"
        yield Problem(flag, why, f"add --gradient_accumulation_steps 1{way_out}")
    if config.batch.slice_tokens:
        why = f"{optimizer.name} updates in the backward pass, and each slice has one of its own"
        yield Problem("--max_tokens_per_slice", why, f"take it out{way_out}")


def _saving(config: SftConfig) -> Iterator[Problem]:
    if config.checkpoint.resume is not None and config.overwrite:
        yield Problem("--overwrite_output_dir", "a run that is resumed must not be overwritten", "take one of them out")
    if config.checkpoint.resume is not None and config.adapters:
        yield Problem("--adapters", "--resume_from_checkpoint brings its own adapter", "take one of them out")
    evaluates = bool(config.data.validation) or config.data.split_ratio > 0 or bool(config.benchmark.sets)
    if config.evaluation.patience is not None and not evaluates:
        why = "stopping early needs validation rows or questions"
        yield Problem("--early_stop_interval", why, "add --val_dataset, --split_dataset_ratio or --eval_dataset")


def _media(config: SftConfig | InferConfig | EvalConfig | ServeConfig | AppConfig) -> Iterator[Problem]:
    media = config.media
    if media.min_pixels and media.max_pixels and media.min_pixels > media.max_pixels:
        yield Problem("--min_pixels", f"{media.min_pixels} is more than --max_pixels {media.max_pixels}", "lower it")
    if media.min_frames > media.max_frames:
        flag = "--video_min_frames"
        yield Problem(flag, f"{media.min_frames} is more than --video_max_frames {media.max_frames}", "lower it")
    for host in media.hosts:
        if not _HOST.fullmatch(host):
            yield Problem("--media_hosts", f"{host!r} is no host", "such as images.example.org or *.example.org")
    if media.root is not None and not Path(media.root).expanduser().is_dir():
        yield Problem("--media_root", f"there is no folder {media.root!r}", "name the folder that holds the media")


TRAINING: tuple[Callable[[SftConfig], Iterator[Problem]], ...] = (
    _sft_model,
    _rows,
    _streaming,
    _mixing,
    _batches,
    _turns,
    _plain_text,
    tuner_rules.training,
    quantization_rules.training,
    lever_rules.training,
    question_rules.questions,
    _schedule,
    _optimizer,
    _saving,
    _media,
)
"""Rules of sft, pt, check and plan."""


def _comparison(config: CheckConfig) -> Iterator[Problem]:
    yield from model_problems(config.model, config.adapters)
    if not config.data.train and not config.data.validation:
        yield Problem("--dataset", "is required", "such as --dataset rows.jsonl")
    if len(config.adapters) > 1:
        yield Problem("--adapters", f"{len(config.adapters)} adapters", "compare one at a time")


COMPARISON: tuple[Callable[[CheckConfig], Iterator[Problem]], ...] = (_comparison, _media, engine_rules.answers)
"""Rules of check where it compares engines."""


def _infer_model(config: InferConfig) -> Iterator[Problem]:
    yield from model_problems(config.model, config.adapters, required=not engine_rules.needs_no_model(config))
    if config.compare_base and not config.adapters:
        yield Problem("--compare_base", "there is no adapter to compare with", "add --adapters")
    if config.merge_lora and len(config.adapters) != 1:
        yield Problem(
            "--merge_lora", f"merges one adapter, but there are {len(config.adapters)}", "give one --adapters"
        )
    if config.merge_lora and config.compare_base:
        yield Problem("--merge_lora", "the bare model is gone after merging", "take out --compare_base")


def _infer_rows(config: InferConfig) -> Iterator[Problem]:
    data: DataConfig = config.data
    if data.train:
        yield Problem("--dataset", "names training rows", "name the rows to answer with --val_dataset")
    if config.prompt is not None and data.validation:
        yield Problem("--prompt", "there is --val_dataset too", "give one of them")
    if config.num_processes > 1 and not data.validation:
        yield Problem("--num_processes", "there are no rows to share out", "add --val_dataset")
    if config.result_path is not None and not data.validation:
        yield Problem("--result_path", "there are no rows to answer", "add --val_dataset")


INFERENCE: tuple[Callable[[InferConfig], Iterator[Problem]], ...] = (
    _infer_model,
    _infer_rows,
    _media,
    quantization_rules.inference,
    engine_rules.answers,
)
"""Rules of infer."""


def _export(config: ExportConfig) -> Iterator[Problem]:
    yield from model_problems(config.model, config.adapters, required=config.publish is None)
    if config.merge_lora and not config.adapters:
        yield Problem("--merge_lora", "there is no adapter to merge", "add --adapters CHECKPOINT")
    if config.to == "peft" and config.merge_lora:
        yield Problem("--to", "peft keeps the adapter apart, and --merge_lora true merges it", "take one of them out")
    if config.in_pieces and not config.merge_lora:
        yield Problem("--merge_in_pieces", "there is nothing to merge", "add --merge_lora true")
    if config.certify is not None and config.output_dir is not None:
        yield Problem("--certify", "measures what is there, and writes nothing", "take out --output_dir")
    if config.certify is not None and not config.certificate.enabled:
        yield Problem("--certify", "measures, and --certificate false does not", "take one of them out")
    if config.push_to is None and (config.push_to_hub or config.publish is not None):
        flag = "--publish" if config.publish is not None else "--push_to_hub"
        yield Problem(flag, "where to is not said", "add --hub_model_id OWNER/NAME")
    if config.push_to is not None and not config.push_to_hub and config.publish is None:
        yield Problem("--hub_model_id", "nothing is to be uploaded", "add --push_to_hub true, or --publish FOLDER")
    if config.dry_run and not config.push_to_hub and config.publish is None:
        yield Problem("--dry_run", "nothing is to be uploaded", "add --push_to_hub true, or --publish FOLDER")
    if config.publish is not None and config.certify is not None:
        yield Problem("--publish", "uploads what is there, and --certify measures it", "one after the other")
    sources = {Path(name).absolute() for name in (*config.adapters, *([config.model.id] if config.model else []))}
    if config.output_dir is not None and Path(config.output_dir).absolute() in sources:
        yield Problem("--output_dir", f"{config.output_dir!r} is what is exported", "choose another folder")


EXPORT: tuple[Callable[[ExportConfig], Iterator[Problem]], ...] = (_export, quantization_rules.export)
"""Rules of export."""


def _certificate(chain: str | None, key: str | None) -> Iterator[Problem]:
    if (chain is None) != (key is None):
        yield Problem("--ssl_certfile", "certificate and key go together", "give --ssl_certfile and --ssl_keyfile")
    for flag, path in (("--ssl_certfile", chain), ("--ssl_keyfile", key)):
        if path is not None and not Path(path).expanduser().is_file():
            yield Problem(flag, f"there is no file {path}", "name a PEM file")


def _serve(config: ServeConfig) -> Iterator[Problem]:
    yield from model_problems(config.model, config.adapters, required=not engine_rules.needs_no_model(config))
    if config.merge_lora and len(config.adapters) != 1:
        yield Problem("--merge_lora", f"{len(config.adapters)} adapters", "it takes exactly one")
    yield from _adapter_root(config)
    yield from _served(config)
    yield from _certificate(config.server.ssl_certfile, config.server.ssl_keyfile)
    for origin in config.server.cors_origins:
        if origin == "*" or not _ORIGIN.fullmatch(origin):
            yield Problem("--cors_origins", f"{origin!r} is no origin", "such as https://app.example.org; * is not one")


def _served(config: ServeConfig) -> Iterator[Problem]:
    """Rules of other engines behind the server."""
    engine = config.engine
    if isinstance(engine, TransformersConfig):
        return
    if config.adapter_root is not None:
        yield Problem("--adapter_root", f"--engine {engine.type} takes adapters at its start only", "use --adapters")
    if config.max_model_len is not None and engine.url is not None:
        yield Problem("--max_model_len", "the server that runs already knows its own", "take it out")


def _adapter_root(config: ServeConfig) -> Iterator[Problem]:
    root, admins = config.adapter_root, config.server.admin_keys
    if root is None and admins:
        yield Problem("--admin_keys", "nothing is there for them to do", "add --adapter_root FOLDER, or take them out")
    if root is None:
        return
    if not admins:
        yield Problem("--adapter_root", "nobody may use it", "add --admin_keys NAME=KEY")
    if not Path(root).expanduser().is_dir():
        yield Problem("--adapter_root", f"there is no folder {root}", "name one that is there")
    if config.merge_lora:
        yield Problem("--adapter_root", "merged weights take no adapters", "take out --merge_lora")


SERVING: tuple[Callable[[ServeConfig], Iterator[Problem]], ...] = (_serve, _media, engine_rules.answers)
"""Rules of deploy."""


def _app(config: AppConfig) -> Iterator[Problem]:
    yield from _certificate(config.page.ssl_certfile, config.page.ssl_keyfile)
    url, has_model = config.remote.url, config.model is not None and bool(config.model.id)
    if url is None:
        yield from model_problems(config.model, config.adapters)
        if config.remote.api_key_variable is not None:
            yield Problem("--api_key_env", "there is no --base_url whose key it could be", "take it out")
    elif has_model or config.adapters:
        flag = "--model" if has_model else "--adapters"
        yield Problem(flag, "the server at --base_url has its own models", "give one of them")
    elif not _ADDRESS.fullmatch(url):
        yield Problem("--base_url", f"{url!r} is no address", "such as http://127.0.0.1:8000/v1")
    if config.merge_lora and len(config.adapters) != 1:
        yield Problem("--merge_lora", f"{len(config.adapters)} adapters", "it takes exactly one")


PAGE: tuple[Callable[[AppConfig], Iterator[Problem]], ...] = (_app, _media)
"""Rules of app."""
