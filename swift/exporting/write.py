"""Writing the result: weights, tokenizer, template, generation configuration, processor."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import orjson
import torch

from swift.chat.media.files import copy_processor
from swift.config.export import ExportConfig, is_gguf
from swift.config.quantization import NoQuantization
from swift.errors import ModelError
from swift.exporting.certificate.certificate import Certificate
from swift.exporting.folder import require_room
from swift.exporting.gguf import FILE, write_gguf
from swift.exporting.merge import stored_type, write_plain
from swift.exporting.ollama import write_modelfile
from swift.exporting.peft import write_adapter
from swift.exporting.pieces import write_in_pieces
from swift.exporting.prepare import Job, Quantized
from swift.exporting.publish.card import Card, card_text
from swift.exporting.publish.files import CARD, PAPERS
from swift.exporting.publish.origin import Training, licence_in, public_name, training_behind
from swift.exporting.quantize.method import QuantPlan
from swift.hub import Located
from swift.models.gguf import as_folder
from swift.models.load import load_config, load_tokenizer
from swift.models.quantize.checkpoint import describe_checkpoint, quantization_of
from swift.models.quiet import quiet
from swift.models.weights import require_weights

_PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Made:
    """What was written.

    Attributes:
        held: How its weights are held, in words.
        versions: Libraries that did it.
        file: The GGUF file; None for a folder.
        bits: Fewer than 16 for a weight: rounding to a type does not explain what differs.
        dtype: Of plain weights that were found; None where they are of the type that was wanted.
        layout: What was proved of the Modelfile's template, in words; empty where there is none.
    """

    held: str
    versions: Mapping[str, str]
    file: Path | None = None
    bits: bool = False
    dtype: torch.dtype | None = None
    layout: str = ""


def found(place: Path) -> Made:
    """What somebody else has written: a folder, or a GGUF file.

    Raises:
        ModelError: It is neither.
    """
    if place.suffix == ".gguf" and place.is_file():
        return Made("GGUF, as found", {}, place, bits=True)
    path = place / "config.json"
    if not path.is_file():
        raise ModelError(f"{place} is neither a model's folder nor a GGUF file", hint="--certify takes one of them")
    config = load_config(Located(place, "folder", str(place), None))
    quantized = quantization_of(config)
    held = "as found" if quantized is None else describe_checkpoint(quantized)
    stored = config.get_text_config(decoder=True).dtype or config.dtype
    dtype = stored if isinstance(stored, torch.dtype) and quantized is None else None
    return Made(held, {}, bits=quantized is not None, dtype=dtype)


def write(job: Job, folder: Path) -> Made:
    """Write the result into `folder`.

    Raises:
        SwiftError: It cannot be done, or is not what was to be exported.
    """
    config = job.config
    kind = str(job.dtype).removeprefix("torch.")
    if config.to == "peft":
        write_adapter(job.plan, folder)
        return Made("as the run has saved it", {"peft": version("peft")})
    if config.to == "hf" and job.quantized is None:
        _write_weights(job, folder)
        return Made(kind, {"transformers": version("transformers")})
    source = _plain_source(job, folder)
    if is_gguf(config):
        layout = _ollama(job, source.path, folder) if config.to == "ollama" else ""
        file = write_gguf(job, source.path, folder)
        held = f"GGUF, {config.gguf_type if config.gguf_type != 'none' else kind}"
        made = Made(held, _versions(job), file, config.gguf_type != "none", layout=layout)
    else:
        assert job.quantized is not None
        require_room(folder, sum(file.stat().st_size for file in require_weights(source.path)))
        versions = job.quantized.method.write(_quant_plan(job, job.quantized, source), folder)
        _copy_text(job, source, folder)
        made = Made(_described(config, job.quantized), versions, bits=True)
    shutil.rmtree(folder / _PLAIN, ignore_errors=True)
    return made


@dataclass(frozen=True, slots=True)
class Origin:
    """What the card tells beside the result, read before weights are written: it may be damaged.

    Attributes:
        name: The model's name on the hub, or of its folder.
        base: The base model's folder.
        training: The run that tuned it; None where none is known.
    """

    name: str
    base: Path
    training: Training | None


def origin_of(job: Job, name: str) -> Origin:
    """Read it.

    Raises:
        CheckpointError: The record of an adapter's run is damaged.
    """
    base = job.located.path if job.located.path.is_dir() else job.located.path.parent
    return Origin(name, base, training_behind(job.plan.adapters.values(), base))


def write_card(job: Job, made: Made, certificate: Certificate | None, folder: Path, origin: Origin) -> None:
    """The model card, and the base model's licence and notices where it has such files."""
    base = origin.base
    adapters = job.plan.adapters
    card = Card(
        name=origin.name,
        base=job.plan.model.id,
        adapters=tuple(map(public_name, map(str, adapters.values()))),
        held=made.held,
        to=job.config.to,
        method="" if isinstance(job.config.quantize, NoQuantization) else job.config.quantize.type,
        licence=job.config.licence or licence_in(base),
        training=origin.training,
        certificate=certificate,
    )
    for paper in (path for kind in PAPERS for path in base.glob(kind)):
        if paper.is_file() and not (folder / paper.name).exists():
            shutil.copyfile(paper, folder / paper.name)
    (folder / CARD).write_text(card_text(card, folder), encoding="utf-8")


def _plain_source(job: Job, folder: Path) -> Located:
    """A folder with plain weights of the wanted type and the right tokenizer: the model's own where that is one."""
    own = Located(as_folder(job.located), "folder", job.plan.model.id, job.located.revision)
    same_text = job.plan.tokenizer is None or job.plan.tokenizer == own.path
    if not job.plan.adapters and job.dtype == stored_type(job.plan) and same_text:
        return own
    place = folder / _PLAIN
    place.mkdir()
    _write_weights(job, place)
    return Located(place, "folder", job.plan.model.id, None)


def _write_weights(job: Job, folder: Path) -> None:
    if job.config.in_pieces:
        write_in_pieces(job.config, job.plan, folder, job.dtype)
    else:
        write_plain(job.config, job.plan, folder)


def _quant_plan(job: Job, quantized: Quantized, source: Located) -> QuantPlan:
    return QuantPlan(
        source=source,
        model=job.plan.model,
        config=job.config.quantize,
        layers=quantized.layers,
        bits=quantized.bits,
        symmetric=quantized.symmetric,
        rows=job.rows.calibration,
        media=None if job.text is None else job.text.media,
        device=job.device,
        dtype=job.dtype,
        shard=job.config.max_shard_size,
        environments=job.environments,
    )


def _copy_text(job: Job, source: Located, folder: Path) -> None:
    """Tokenizer, template, generation configuration and processor, where the method has written weights only."""
    with quiet():
        load_tokenizer(source, trust_remote_code=job.plan.model.trust_remote_code).save_pretrained(folder)
    copy_processor(source.path, folder)
    generation = source.path / "generation_config.json"
    if generation.is_file():
        shutil.copyfile(generation, folder / generation.name)


def _described(config: ExportConfig, quantized: Quantized) -> str:
    values = config.quantize.model_dump(mode="json", exclude={"type", "modules_to_not_convert"})
    if "symmetric" in values:
        values["symmetric"] = quantized.symmetric  # which the user may have left open
    return f"{config.quantize.type}: " + ", ".join(f"{name} {value}" for name, value in values.items())


def _ollama(job: Job, source: Path, folder: Path) -> str:
    generation = source / "generation_config.json"
    values = orjson.loads(generation.read_bytes()) if generation.is_file() else {}
    return write_modelfile(folder, folder / FILE, job.codec, job.chat, job.rows.held_out, values)


def _versions(job: Job) -> dict[str, str]:
    from swift.engines import llamacpp
    from swift.environments.store import require

    record = require(llamacpp.ENVIRONMENT, job.environments).record
    return {name: text for name, text in record.packages.items() if "llama" in name}
