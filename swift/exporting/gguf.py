"""A GGUF file by llama.cpp's own converter and quantizer."""

from __future__ import annotations

from pathlib import Path

from swift.engines import llamacpp
from swift.environments.store import require
from swift.exporting.prepare import Job
from swift.hub.located import say

FILE = "model.gguf"


def write_gguf(job: Job, source: Path, folder: Path) -> Path:
    """Write the model of a folder as a GGUF file in another; its chat template and stop tokens go into it.

    Raises:
        EngineError: llama.cpp's converter does not know this model, or it cannot be quantized.
    """
    environment = require(llamacpp.ENVIRONMENT, job.environments)
    kind = job.config.gguf_type
    plain = folder / ("plain.gguf" if kind != "none" else FILE)
    say("converting to GGUF")
    llamacpp.convert_folder(source, plain, environment, llamacpp.GGUF_TYPES[str(job.dtype).removeprefix("torch.")])
    if kind != "none":
        say(f"quantizing to {kind}")
        llamacpp.quantize_file(plain, folder / FILE, environment, kind)
        plain.unlink()
    return folder / FILE
