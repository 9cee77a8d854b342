"""The model card: README.md of an export, as both hubs show it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import yaml

from swift.exporting.certificate.certificate import Certificate
from swift.exporting.certificate.page import tables
from swift.exporting.publish.origin import Training, is_hub_id, public_name

_PLAIN = ("float32", "bfloat16", "float16")
_KNOWN = (
    "apache-2.0", "mit", "openrail", "bigscience-openrail-m", "creativeml-openrail-m", "bigcode-openrail-m", "afl-3.0",
    "artistic-2.0", "bsl-1.0", "bsd", "bsd-2-clause", "bsd-3-clause", "cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5",
    "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0",
    "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0",
    "deepfloyd-if-license", "gemma", "gfdl", "gpl", "gpl-2.0", "gpl-3.0", "agpl-3.0", "lgpl", "lgpl-2.1", "lgpl-3.0",
    "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4", "mpl-2.0", "ms-pl", "odbl", "ofl-1.1", "isc",
    "unlicense", "wtfpl", "zlib", "unknown", "other",
)  # fmt: skip
"""What the hubs take as `license`; anything else is `other` with a name."""


@dataclass(frozen=True, slots=True)
class Card:
    """What a card says.

    Attributes:
        name: The model's name, or its hub id where that is known.
        base: What it was made of, as the user named it.
        adapters: Names of the adapters in it.
        held: How weights are held, in words.
        to: hf, peft, gguf or ollama.
        method: The method of quantization; empty where weights are plain.
        licence: Of the base model; empty where it is not known.
        training: The run that tuned it; None where none is known.
        certificate: The proof; None where nothing was measured.
    """

    name: str
    base: str
    adapters: tuple[str, ...]
    held: str
    to: str
    method: str
    licence: str
    training: Training | None
    certificate: Certificate | None


def card_text(card: Card, folder: Path) -> str:
    """README.md of a folder, in Markdown with the hubs' metadata in front."""
    front = yaml.safe_dump(_metadata(card, folder), sort_keys=False, allow_unicode=True)
    parts = [f"---\n{front}---\n", f"# {card.name.rpartition('/')[2]}\n", _what(card), _use(card, folder)]
    parts += [_proof(card), _training(card.training), _licence(card)]
    return "\n".join(part for part in parts if part)


def _metadata(card: Card, folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if card.licence:
        values |= {"license": card.licence} if card.licence in _KNOWN else _named(card.licence)
    if is_hub_id(card.base):
        values["base_model"] = _repository(card.base)
        values["base_model_relation"] = _relation(card)
    values["library_name"] = {"peft": "peft", "gguf": "gguf", "ollama": "gguf"}.get(card.to, "transformers")
    if _is_chat(folder) or card.to != "hf":
        values["pipeline_tag"] = "text-generation"
    values["tags"] = ["swift", *([card.method] if card.method else []), *(["lora"] if card.to == "peft" else [])]
    data = [_repository(name) for name in (card.training.data if card.training else ())]
    if any(map(is_hub_id, data)):
        values["datasets"] = list(dict.fromkeys(filter(is_hub_id, data)))
    return values


def _repository(name: str) -> str:
    """A name without its hub, subset, revision and number of rows."""
    return re.split("[:@#]", re.sub("^(hf|ms)::?(//)?", "", name))[0]


def _named(licence: str) -> dict[str, str]:
    return {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", licence.lower()).strip("-")}


def _relation(card: Card) -> str:
    if card.to == "peft":
        return "adapter"
    if card.method or (card.to != "hf" and card.held not in _PLAIN):
        return "quantized"
    return "finetune"


def _is_chat(folder: Path) -> bool:
    """Whether config.json says that it is a model that continues text."""
    path = folder / "config.json"
    values = orjson.loads(path.read_bytes()) if path.is_file() else {}
    return any(str(name).endswith("ForCausalLM") for name in values.get("architectures") or ())


def _what(card: Card) -> str:
    base = public_name(card.base)
    names = ", ".join(card.adapters)
    if card.to == "peft":
        return f"The adapter {names} of {base}, in PEFT's format.\n"
    of = f"{base} with the adapter{'s' if len(card.adapters) > 1 else ''} {names} merged" if names else base
    kind = "A GGUF file for llama.cpp" if card.to != "hf" else "Weights for transformers"
    return f"{of}. {kind}, held as {card.held}.\n"


def _use(card: Card, folder: Path) -> str:
    if card.to == "ollama":
        lines = ["ollama create my-model -f Modelfile", "ollama run my-model"]
    elif card.to == "gguf":
        file = next((path.name for path in sorted(folder.glob("*.gguf"))), "model.gguf")
        lines = [f"llama-server -m {file} --jinja"]
    elif card.to == "peft":
        model = "AutoPeftModelForCausalLM"
        return _python(f"from peft import {model}", "", f'model = {model}.from_pretrained("{card.name}")')
    else:
        lines = [f"swift infer --model {card.name}"]
    return "\n".join(["```bash", *lines, "```", ""])


def _python(*lines: str) -> str:
    return "\n".join(["```python", *lines, "```", ""])


def _proof(card: Card) -> str:
    if card.certificate is None:
        return "## Certificate\n\nNone: this export was not measured against what it was made of.\n"
    text = "It was loaded from its files alone and measured against what it was made of, on "
    lines = ["## Certificate", "", f"{text}{card.certificate.rows}. All of it is in `certificate.json`.", ""]
    return "\n".join([*lines, *tables(card.certificate), ""])


def _training(run: Training | None) -> str:
    if run is None:
        return ""
    lines = ["## Training", "", f"Data: {', '.join(run.data)}"]
    if run.rows is not None:
        lines[-1] += f"; {run.rows[0]} of {run.rows[1]} rows"
    lines += ["", "| setting | |", "|---|---|", *(f"| {name} | {value} |" for name, value in run.settings), ""]
    if run.curve:
        lines += ["| step | loss | loss on held-out rows |", "|---:|---:|---:|"]
        lines += [f"| {point.step} | {_loss(point.loss)} | {_loss(point.eval_loss)} |" for point in run.curve]
        lines.append("")
    versions = [f"{name} {run.versions[name]}" for name in ("swift-finetune", "torch", "transformers", "peft")
                if name in run.versions]  # fmt: skip
    return "\n".join([*lines, *([f"By {', '.join(versions)}.", ""] if versions else [])])


def _licence(card: Card) -> str:
    base = public_name(card.base)
    if card.licence:
        return f"## Licence\n\n{card.licence}, as {base}.\n"
    return f"## Licence\n\nThat of {base}, which its files do not state: look it up before you use this.\n"


def _loss(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
