"""From an export to its certificate: source and result are measured one after the other, on the same rows."""

from __future__ import annotations

import gc
from importlib.metadata import version
from pathlib import Path

import torch

from swift.chat.encode import prompt_ids
from swift.config.chat import ChatConfig
from swift.config.media import MediaConfig
from swift.config.quantization import NoQuantization
from swift.engines import llamacpp
from swift.engines.folders import Plan
from swift.environments.store import require
from swift.exporting.certificate.certificate import Certificate, Check
from swift.exporting.certificate.checks import closeness, prompt_check, stop_check, stops_same, template_check
from swift.exporting.certificate.layers import BlockError, LayerError, Trace, compare_layers, trace
from swift.exporting.certificate.llama import LlamaSubject
from swift.exporting.certificate.measure import Asked, Reference, measure_result, measure_source
from swift.exporting.certificate.share import Update, share_check, updates
from swift.exporting.certificate.subject import ModelSubject, Subject
from swift.exporting.peft import adapter_checks
from swift.exporting.prepare import Job
from swift.exporting.publish.files import fingerprints
from swift.exporting.publish.origin import public_name
from swift.exporting.verify import BOUNDS
from swift.exporting.write import Made
from swift.hub.located import say
from swift.hub.scratch import scratch_folder
from swift.types import Conversation


def certify(job: Job, made: Made, folder: Path) -> Certificate:
    """Measure what is in `folder` against what it was made of.

    Raises:
        SwiftError: The result cannot be loaded at all.
    """
    limits = job.config.certificate
    asked = _asked(job)
    source = " + ".join(map(public_name, (job.plan.model.id, *map(str, job.plan.adapters.values()))))
    with scratch_folder("swift-certificate-") as place:
        say("measuring the source")
        reference, known, changed = _source(job, made, asked, place)
        gc.collect()
        say("measuring the result")
        text, subject = _result(job, made, folder)
        after, distance = measure_result(subject, asked, reference)
        blocks, layers = _layers(subject, known)
        held = made.dtype or job.dtype
        share = share_check(subject.model, changed, held) if isinstance(subject, ModelSubject) else []
        before = reference.measured
        checks = [
            Check("loads", True, subject.name),
            *text,
            *([Check("Modelfile", True, made.layout)] if made.layout else []),
            *share,
            *stop_check(before, after, limits.min_stop),
            *closeness(distance, after, limits, None if made.bits else _rounding(job, made)),
        ]
    return Certificate(
        source=source,
        result=made.held,
        rows=job.rows.about,
        checks=tuple(checks),
        before=before,
        after=after,
        distance=distance,
        versions={**{name: version(name) for name in ("torch", "transformers")}, **made.versions},
        blocks=blocks,
        layers=layers,
        files=fingerprints(folder, made.file, alone=job.config.certify is not None),
    )


def _rounding(job: Job, made: Made) -> float:
    """The divergence that rounding explains: to the type of the weights, and llama.cpp computes in 16 bits anyway."""
    own = BOUNDS.get(made.dtype or job.dtype, BOUNDS[torch.bfloat16])
    return own if made.file is None else max(own, BOUNDS[torch.bfloat16])


def _asked(job: Job) -> Asked:
    limits, codec = job.config.certificate, job.codec
    talks = [sample.row for sample in job.rows.held_out if isinstance(sample.row, Conversation)][: limits.answers]
    prompts = tuple(tuple(prompt_ids(talk, codec, job.chat)) for talk in talks)
    return Asked(job.rows.held_out, limits.positions, prompts, limits.new_tokens, codec.eos_ids)


def _source(job: Job, made: Made, asked: Asked, place: Path) -> tuple[Reference, Trace | None, tuple[Update, ...]]:
    plan = job.plan  # an adapter over quantized weights goes into plain ones, and those are what the result must equal
    model = plan.model.model_copy(update={"quantization": NoQuantization()})
    subject = ModelSubject(Plan(model, plan.adapters, plan.chat, plan.tokenizer, plan.media), "the source")
    reference = measure_source(subject, asked, place)
    merged = made.file is None and not made.bits and (job.config.to != "peft" or job.config.certify is not None)
    changed = updates(subject.model) if merged and len(plan.adapters) == 1 else ()
    if job.quantized is None:
        return reference, None, changed
    rows = [sample.tokens.ids.tolist() for sample in asked.samples]
    linear = job.quantized.layers if job.quantized.method.in_place else ()
    return reference, trace(subject.model, rows, linear), changed


def _result(job: Job, made: Made, folder: Path) -> tuple[list[Check], Subject]:
    """The result, loaded from its files alone, and what was checked of how it turns text into tokens."""
    rows, source = job.rows.held_out, job.codec
    if made.file is not None:
        subject = LlamaSubject(made.file, require(llamacpp.ENVIRONMENT, job.environments))
        return subject.text_checks(rows, source, job.chat), subject
    chat = job.chat.model_copy(update={"template": None})
    if job.config.to == "peft" and job.config.certify is None:
        return _adapter(job, folder, chat)
    model = job.plan.model.model_copy(
        update={"id": str(folder), "revision": None, "quantization": NoQuantization(), "dtype": "auto"}
    )
    loaded = ModelSubject(Plan(model, {}, chat, None, MediaConfig()), f"by transformers {version('transformers')}")
    codec = loaded.codec
    checks = [template_check(rows, codec, chat), prompt_check(rows, source, codec, job.chat), stops_same(source, codec)]
    return checks, loaded


def _adapter(job: Job, folder: Path, chat: ChatConfig) -> tuple[list[Check], Subject]:
    """The adapter as it was written, over the base model."""
    base = job.plan.model.model_copy(update={"quantization": NoQuantization()})
    loaded = ModelSubject(Plan(base, {"exported": folder}, chat, folder, MediaConfig()), "over the base model")
    rows, source, codec = job.rows.held_out, job.codec, loaded.codec
    checks = [template_check(rows, codec, chat), prompt_check(rows, source, codec, job.chat), stops_same(source, codec)]
    return [*adapter_checks(job.plan, folder), *checks], loaded


def _layers(subject: Subject, known: Trace | None) -> tuple[tuple[BlockError, ...], tuple[LayerError, ...]]:
    if known is None or not isinstance(subject, ModelSubject):
        return (), ()
    return compare_layers(subject.model, known)
