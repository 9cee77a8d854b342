"""llama.cpp: how a model gets into a GGUF file, how our server over it is started, and what it takes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from swift.config.engine import LlamacppConfig
from swift.engines.server import Launch
from swift.engines.states import key_of, states_of
from swift.engines.wires import Takes
from swift.environments import llama_server_file
from swift.environments.guarded import run_guarded
from swift.environments.process import cores, variables_with
from swift.environments.store import Environment
from swift.errors import EngineError
from swift.hub.cache import atomic_folder, cache_root
from swift.hub.located import say
from swift.hub.network import one_line
from swift.types import Guide

BASE_NAME = "base"
ENVIRONMENT = "llamacpp"
_FORMAT = "1"  # part of the cache's key: change it whenever the conversion changes
_FILE = "model.gguf"
GGUF_TYPES = {"auto": "auto", "float32": "f32", "float16": "f16", "bfloat16": "bf16"}
_QUANTIZE = """
import ctypes, sys, llama_cpp
source, target, name = sys.argv[1:]
params = llama_cpp.llama_model_quantize_default_params()
params.ftype = getattr(llama_cpp, "LLAMA_FTYPE_MOSTLY_" + name.upper())
sys.exit(llama_cpp.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params)))
"""


def _json_guide(guide: Guide) -> dict[str, Any]:
    json.loads(guide.text)
    return {"json_schema": guide.text}


TAKES = Takes(
    server="llama.cpp",
    extras=frozenset(("top_k", "min_p", "repetition_penalty", "min_tokens", "ignore_eos", "stop_token_ids")),
    tells_ids=True,
    stop_texts=False,
    guides={"json": _json_guide},
    scores="prompt_logprobs",
)


def gguf_file(model: Path, environment: Environment, *, dtype: str, quantize: str) -> Path:
    """A model as a GGUF file: converted, and quantized where that is wanted, once; kept in the cache.

    Args:
        model: A folder in Hugging Face's layout, or a GGUF file, which is taken as it is unless it is to be quantized.
        environment: Has the converter.
        dtype: `auto` for the type of the checkpoint, or float32, float16, bfloat16.
        quantize: `none`, or a type of llama.cpp's such as `q8_0`.

    Raises:
        EngineError: The converter does not know this model, or the file cannot be quantized.
    """
    if quantize == "none":
        return model if model.suffix == ".gguf" else _converted(model, environment, GGUF_TYPES[dtype])
    source = model if model.suffix == ".gguf" else _converted(model, environment, GGUF_TYPES[dtype])
    folder = cache_root() / "gguf-files" / f"{source.parent.name[:40]}-{_key(source, quantize)}"
    if not folder.is_dir():
        say(f"quantizing {source.name} to {quantize} (once)")
        with atomic_folder(folder) as temporary:
            quantize_file(source, temporary / _FILE, environment, quantize)
    return folder / _FILE


def _converted(model: Path, environment: Environment, outtype: str) -> Path:
    folder = cache_root() / "gguf-files" / f"{model.name[:40]}-{_key(model, outtype)}"
    if not folder.is_dir():
        say(f"converting {model} to GGUF (once)")
        with atomic_folder(folder) as temporary:
            convert_folder(model, temporary / _FILE, environment, outtype)
    return folder / _FILE


def convert_folder(model: Path, target: Path, environment: Environment, outtype: str) -> None:
    """Write a model's folder as a GGUF file; `outtype` is auto, f32, f16 or bf16.

    Raises:
        EngineError: The converter does not know this model.
    """
    # The converter needs torch and transformers, which are here, and a gguf of its own, which is there.
    command = [sys.executable, "-m", "convert_hf_to_gguf", str(model), "--outtype", outtype, "--outfile", str(target)]
    where = {"PYTHONPATH": str(environment.apart("converter"))}
    _run(command, "cannot be converted to GGUF", model, where)


def quantize_file(source: Path, target: Path, environment: Environment, kind: str) -> None:
    """Write a GGUF file in fewer bits; `kind` is a type of llama.cpp's, such as q8_0 or q4_k_m.

    Raises:
        EngineError: It cannot be quantized.
    """
    command = [str(environment.python), "-I", "-c", _QUANTIZE, str(source), str(target), kind]
    _run(command, "cannot be quantized", source, {})


def _key(path: Path, how: str) -> str:
    """What identifies the files of a model and what is made of them."""
    return key_of(_FORMAT, how, states_of(path))


def _run(command: list[str], what: str, source: Path, variables: dict[str, str]) -> None:
    code, said = run_guarded(command, variables_with(variables))
    if code:
        lines = [line for line in said.splitlines() if line.strip()]
        reason = one_line(lines[-1] if lines else f"exit code {code}")
        raise EngineError(f"{source} {what}: {reason}", hint="use another engine for this model")


def launch(config: LlamacppConfig, python: Path, file: Path, *, length: int, port: int, key: str) -> Launch:
    """The command line of our server.

    Args:
        python: The environment's interpreter.
        file: The model in GGUF format.
        length: Tokens of prompt and answer.
    """
    command = [str(python), "-I", str(llama_server_file()), str(file), str(port), str(length), str(cores())]
    return Launch(
        engine=ENVIRONMENT,
        command=(*command, *config.arguments),
        url=f"http://127.0.0.1:{port}/v1",
        health=f"http://127.0.0.1:{port}/health",
        variables={"LLAMA_SERVER_KEY": key},
        key=key,
    )
