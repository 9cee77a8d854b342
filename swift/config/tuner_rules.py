"""Rules about what is trained: options of one technique, and what goes with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from swift.config.problems import Problem
from swift.config.sft import SftConfig
from swift.config.tuner import (
    PROMPTS,
    AdaLoraConfig,
    AdapterConfig,
    BoftConfig,
    BottleneckConfig,
    FreezeConfig,
    LayerAdapterConfig,
    LongLoraConfig,
    LoraConfig,
    OftConfig,
    PeftConfig,
    ReftConfig,
    TokensConfig,
    TunerConfig,
)

LOOKING = ("eva", "corda", "lora_ga", "lora-ga", "qera")
"""Initialisations of LoRA that look at training rows."""


def training(config: SftConfig) -> Iterator[Problem]:
    """Rules of sft, pt, check and plan."""
    tuner = config.tuner
    if isinstance(tuner, LayerAdapterConfig):
        if tuner.target_regex is not None and tuner.targets not in ((), ("all-linear",)):
            yield Problem("--target_regex", "there is --target_modules too", "give one of them")
        yield from _regex("--target_regex", tuner.target_regex)
    if config.adapters and (not isinstance(tuner, AdapterConfig) or isinstance(tuner, PROMPTS)):
        why = f"an adapter cannot be continued with --tuner_type {tuner.type}"
        yield Problem("--adapters", why, "merge it first (swift merge-lora), or use --tuner_type lora")
    if isinstance(tuner, PROMPTS) and (config.batch.packing or config.batch.padding_free):
        yield Problem("--packing", f"--tuner_type {tuner.type} puts something in front of each row", "leave it out")
    yield from _technique(tuner)
    yield from _initialisation(tuner)
    yield from _longlora(config)
    if isinstance(tuner, LoraConfig) and config.data.streaming and tuner.init in LOOKING:
        why = f"{tuner.init} looks at training rows, and these are streamed"
        yield Problem("--init_weights", why, "take out --streaming, or use --init_weights true")
    yield from _unused(config)
    if isinstance(tuner, FreezeConfig):
        if tuner.ratio == 0 and not (tuner.freeze or tuner.freeze_regex or tuner.train or tuner.train_regex):
            why = "freeze, but nothing says what stays as it is"
            yield Problem("--tuner_type", why, "add --freeze_parameters_ratio, or use --tuner_type full")
        yield from _regex("--freeze_parameters_regex", tuner.freeze_regex)
        yield from _regex("--trainable_parameters_regex", tuner.train_regex)
    if len(config.adapters) > 1:
        yield Problem("--adapters", f"{len(config.adapters)} adapters, but one can be continued", "give one")


def _longlora(config: SftConfig) -> Iterator[Problem]:
    """Groups are made of rows that lie back to back, by an attention of our own."""
    if not isinstance(config.tuner, LongLoraConfig):
        return
    why = "longlora needs rows without padding"
    if config.batch.padding_free is False:
        yield Problem("--tuner_type", f"{why}, and --padding_free is false", "take that out, or use --tuner_type lora")
    attention = config.model.attention
    if attention not in ("auto", "swift_packed"):
        way = "take out --attn_impl, or use --tuner_type lora"
        yield Problem("--tuner_type", f"{why} in an attention of its own, and --attn_impl is {attention}", way)


def _technique(tuner: TunerConfig) -> Iterator[Problem]:
    """Options of one technique that do not go together."""
    if isinstance(tuner, AdaLoraConfig) and tuner.dtype != "float32":
        why = f"{tuner.dtype}, but ranks are given by the gradients of float32 adapters"
        yield Problem("--lora_dtype", why, "take it out")
    if isinstance(tuner, AdaLoraConfig) and tuner.target_r >= tuner.init_r:
        why = f"{tuner.target_r} is not less than --adalora_init_r {tuner.init_r}"
        yield Problem("--adalora_target_r", why, "raise the one or lower the other")
    if isinstance(tuner, BoftConfig) and bool(tuner.block_size) == bool(tuner.block_num):
        yield Problem("--boft_block_size", "exactly one of it and --boft_block_num is above 0", "set the other to 0")
    if isinstance(tuner, OftConfig) and bool(tuner.block_size) == bool(tuner.rank):
        yield Problem("--oft_block_size", "exactly one of it and --oft_rank is above 0", "set the other to 0")
    if isinstance(tuner, TokensConfig) and not tuner.token_ids:
        yield Problem("--trainable_token_ids", "is required with --tuner_type tokens", "such as 5 17")
    if isinstance(tuner, TokensConfig):
        yield from _once("--trainable_token_ids", tuner.token_ids)
    if isinstance(tuner, ReftConfig):
        yield from _once("--reft_layers", tuner.layers)
    if isinstance(tuner, PeftConfig) and not tuner.method:
        yield Problem("--peft_method", "is required with --tuner_type peft", "such as randlora")
    if isinstance(tuner, LoraConfig) and tuner.dora and tuner.init.startswith(("pissa", "olora", "corda", "lora")):
        yield Problem("--use_dora", f"does not go with --init_weights {tuner.init}", "take one of them out")


def _initialisation(tuner: TunerConfig) -> Iterator[Problem]:
    if not isinstance(tuner, LoraConfig):
        return
    rounds = tuner.init.removeprefix("pissa_niter_")
    if not tuner.init:
        yield Problem("--init_weights", "is empty", "such as true, gaussian or pissa")
    elif rounds != tuner.init and not (rounds.isdecimal() and int(rounds) > 0):
        yield Problem("--init_weights", f"{tuner.init} does not end in a number above 0", "such as pissa_niter_4")


def _once(flag: str, numbers: Sequence[int]) -> Iterator[Problem]:
    twice = next((number for place, number in enumerate(numbers) if number in numbers[:place]), None)
    if twice is not None:
        yield Problem(flag, f"{twice} is there twice", "name it once")


def _regex(flag: str, pattern: str | None) -> Iterator[Problem]:
    if pattern is None:
        return
    try:
        re.compile(pattern)
    except re.error as error:
        yield Problem(flag, f"{pattern!r} is not a regular expression: {error}", r"such as .*\.q_proj")


def _unused(config: SftConfig) -> Iterator[Problem]:
    """Options that the technique would not look at."""
    tuner = config.tuner
    alone = isinstance(tuner, BottleneckConfig | ReftConfig | TokensConfig)
    if alone and isinstance(tuner, AdapterConfig):
        for flag, value in (("--modules_to_save", tuner.modules_to_save), ("--full_parts", tuner.full_parts)):
            if value:
                yield Problem(flag, f"--tuner_type {tuner.type} trains nothing beside itself", "take it out")
    if isinstance(tuner, AdapterConfig) and "llm" in tuner.full_parts:
        why = "names llm, and an adapter leaves the language model as it is"
        yield Problem("--full_parts", why, "--tuner_type full trains it in full")
    if isinstance(tuner, BottleneckConfig) and tuner.target_regex is not None:
        yield Problem("--target_regex", "--tuner_type adapter takes names of layers only", "use --target_modules")
    if isinstance(tuner, AdaLoraConfig) and config.optimizer.updates_in_backward:
        why = "frees gradients that --tuner_type adalora gives ranks by"
        yield Problem("--optim_in_backward", why, "take one of them out")
