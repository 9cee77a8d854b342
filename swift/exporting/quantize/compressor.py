"""llm-compressor, from an environment of its own: a job in a file, progress and errors over a pipe."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file

from swift.config.export import AwqConfig, GptqConfig
from swift.data.progress import row_progress
from swift.environments import compressor_file
from swift.environments.store import require as require_environment
from swift.environments.worker import Event, run_worker
from swift.errors import EngineError
from swift.exporting.quantize.kept import kept_layers
from swift.exporting.quantize.method import QuantPlan
from swift.hub.located import say
from swift.hub.scratch import scratch_folder
from swift.models.quantize.method import require_libraries

ENVIRONMENT = "llmcompressor"


def require(name: str, environments: Path) -> None:
    """Make sure that llm-compressor is here, and what reads its folders.

    Raises:
        EngineError: Its environment is not installed.
        MissingExtraError: The library that reads the result is not installed.
    """
    require_environment(ENVIRONMENT, environments)
    require_libraries(("compressed_tensors",), f"what --quant_method {name} writes")


def integers(bits: int, *, symmetric: bool, group_size: int | None) -> dict[str, Any]:
    """Weights in whole numbers; `group_size` None for a scale a row."""
    way: dict[str, Any] = {"strategy": "channel"}
    if group_size is not None:
        way = {"strategy": "group", "group_size": group_size}
    return {"num_bits": bits, "type": "int", "symmetric": symmetric, **way}


def each_token(kind: str) -> dict[str, Any]:
    """Inputs in 8 bits, a scale for each token, made when it comes."""
    return {"num_bits": 8, "type": kind, "symmetric": True, "strategy": "token", "dynamic": True}


def group_size(config: GptqConfig | AwqConfig) -> int:
    """How many weights share a scale."""
    return config.group_size


def grouped_integers(plan: QuantPlan) -> list[dict[str, Any]]:
    """A group of layers for each number of bits, their weights in groups that share a scale."""
    config: GptqConfig | AwqConfig = plan.config
    found = []
    for bits in sorted(set(plan.bits.values())):
        scheme = integers(bits, symmetric=plan.symmetric, group_size=config.group_size)
        if config.scales == "mse":
            scheme["observer"] = "mse"
        layers = [name for name in plan.layers if plan.bits[name] == bits]
        found.append({"layers": layers, "scheme": {"weights": scheme}})
    return found


def compress(
    plan: QuantPlan,
    folder: Path,
    groups: Sequence[Mapping[str, Any]],
    *,
    smoothing: float = 0.0,
    dampening: float = 0.01,
    resumable: bool = False,
) -> dict[str, str]:
    """Run a job, and show how it goes; returns the versions of the libraries that did it.

    Args:
        plan: What is quantized.
        folder: Gets weights and config.json.
        groups: `layers`, and the `scheme` by which their weights, and inputs, are rounded.
        smoothing: Strength of SmoothQuant.
        dampening: Of GPTQ's Hessian.
        resumable: Layers that are done are kept until all are, so that the same job goes on where it was interrupted.

    Raises:
        EngineError: It failed; says why in a line.
    """
    environment = require_environment(ENVIRONMENT, plan.environments)
    with scratch_folder("swift-quantize-") as place:
        rows = place / "rows.bin"
        if plan.rows:
            np.concatenate([row.ids for row in plan.rows]).astype(np.int32).tofile(rows)
        job = {
            "source": str(plan.source.path.absolute()),
            "target": str(folder.absolute()),
            "rows": str(rows) if plan.rows else "",
            "lengths": [len(row) for row in plan.rows],
            "media": _media(plan, place),
            "method": plan.config.type,
            "groups": list(groups),
            "smoothing": smoothing,
            "dampening": dampening,
            "device": str(plan.device),
            "shard": plan.shard,
        }
        with kept_layers(job, plan, ENVIRONMENT) if resumable else contextlib.nullcontext("") as done:
            file = place / "job.json"
            file.write_text(json.dumps({**job, "done": done}), encoding="utf-8")
            return _run([str(environment.python), "-I", str(compressor_file()), str(file)], plan)


def _media(plan: QuantPlan, place: Path) -> list[str]:
    """A file for each row with what the model gets besides token ids; none where the rows are text.

    Raises:
        DataError: Media are not what they were when the rows were rendered.
    """
    files = []
    for number, row in enumerate(plan.rows):
        made = None if plan.media is None else plan.media.inputs(row)
        if made is not None:
            file = place / f"media-{number}.safetensors"
            save_file({name: value.contiguous() for name, value in made.tensors.items()}, file)
            files.append(str(file))
    return files


def _run(command: Sequence[str], plan: QuantPlan) -> dict[str, str]:
    """Show progress until the child ends; what it did it with."""
    told: dict[str, Any] = {"done": 0, "kept": 0}
    total = len({name.rpartition(".layers.")[2].partition(".")[0] for name in plan.layers}) if plan.rows else 1
    with row_progress(f"{plan.config.type}, layers", total=total, shown=True) as progress:

        def on_event(event: Event) -> None:
            if "done" in event:
                progress(event["done"] - told["done"])
            told.update(event, kept=told["kept"] + event.get("kept", 0))

        code, last = run_worker(command, on_event)
    if told["kept"]:
        say(f"{told['kept']} layers were done before it was interrupted, and taken from there")
    versions: dict[str, str] | None = told.get("versions")
    if code or versions is None:
        reason = told.get("error") or last or "it says nothing"
        raise EngineError(f"--quant_method {plan.config.type} failed (exit code {code}): {reason}", hint=_way(reason))
    return versions


def _way(reason: str) -> str:
    if "out of memory" in reason.lower():
        return "lower --max_length or --quant_n_samples"
    if "does not know" in reason:
        return "the environment's transformers is older than the model: --quant_method hqq, bnb or torchao"
    return "--quant_method hqq, bnb and torchao run in this environment"
