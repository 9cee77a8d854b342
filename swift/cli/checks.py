"""What `swift doctor` looks at: each check is a function that returns findings and never fails itself."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from swift.hub.cache import cache_root, folder_size
from swift.hub.network import hf_endpoint, ms_endpoint, one_line, unreachable

DISTRIBUTION = "swift-finetune"
_PYTHON = (3, 11)
_SECONDS = 3.0
_GIB = 1024**3
_LOW_DISK, _LOW_MEMORY = 5.0, 2.0  # GiB
_SHOWN_FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8", "bf16", "sve")
# Not ours, but a broken one stops transformers from importing models at all.
_MEDDLERS = ("torchvision", "torchaudio", "torchcodec", "flash_attn", "bitsandbytes", "accelerate", "kernels")

Status = Literal["ok", "note", "bad"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        status: `bad` means that training would not work; `note` that something optional is off.
        fix: The way out, such as an exact command; empty where nothing is wrong.
    """

    section: str
    name: str
    value: str
    status: Status = "ok"
    fix: str = ""


def machine() -> Iterator[Finding]:
    """Python, processor, memory, disk."""
    import psutil

    from swift.models.device import cpu_features

    running = ".".join(map(str, sys.version_info[:3]))
    old = sys.version_info < _PYTHON
    fix = f"install Python {'.'.join(map(str, _PYTHON))} or newer" if old else ""
    yield Finding("machine", "python", f"{running} ({sys.executable})", "bad" if old else "ok", fix)
    yield Finding("machine", "system", platform.platform())
    features = [name for name in _SHOWN_FEATURES if name in cpu_features()]
    yield Finding("machine", "processor", f"{_cores()} cores; {', '.join(features) or 'no features named'}")
    memory = psutil.virtual_memory()
    low = memory.available / _GIB < _LOW_MEMORY
    value = f"{memory.available / _GIB:.1f} of {memory.total / _GIB:.1f} GiB free"
    yield Finding("machine", "memory", value, "note" if low else "ok", "end other programs" if low else "")
    yield _disk("disk here", Path.cwd())
    yield _disk("disk of the cache", cache_root())


def packages() -> Iterator[Finding]:
    """Each declared dependency: installed, of an allowed version, and importable."""
    from packaging.requirements import Requirement

    try:
        declared = [Requirement(line) for line in importlib.metadata.requires(DISTRIBUTION) or ()]
    except importlib.metadata.PackageNotFoundError:
        yield Finding("packages", DISTRIBUTION, "not installed", "note", "pip install -e . in the source folder")
        declared = [Requirement(name) for name in ("torch", "transformers", "peft", "safetensors", "tokenizers")]
    modules = _module_names()
    extras = sorted({extra for extra in _extras() if extra not in ("dev", "oracle")})
    for requirement in declared:
        if requirement.marker is None or requirement.marker.evaluate():
            yield _package(str(requirement.name), str(requirement.specifier), "", modules)
            continue
        wanted = [extra for extra in extras if requirement.marker.evaluate({"extra": extra})]
        if wanted:
            yield _package(str(requirement.name), str(requirement.specifier), wanted[0], modules)
    for name in _MEDDLERS:
        if importlib.util.find_spec(name) is not None:
            yield _meddler(name)


def devices() -> Iterator[Finding]:
    """What torch can compute on, proved by one training step of a tiny model on each."""
    try:
        import torch

        from swift.models.device import available_devices, has_fast_bf16
    except Exception as error:  # a broken installation shows as an error of any type
        yield Finding("devices", "torch", one_line(error), "bad", "pip install --force-reinstall torch")
        return
    driver = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
    if driver and not torch.cuda.is_available():
        fix = f"torch {torch.__version__} sees no GPU: install the build for your driver, see pytorch.org/get-started"
        yield Finding("devices", "cuda", "an NVIDIA driver is here, but torch cannot use it", "note", fix)
    for device in available_devices():
        bf16 = "bfloat16 native" if has_fast_bf16(device) else "bfloat16 slow or absent"
        yield _trains(str(device), f"{_describe(str(device))}, {bf16}")


def hubs() -> Iterator[Finding]:
    """Whether the hubs answer, asked all at once."""
    sites = {"Hugging Face": hf_endpoint(), "ModelScope": ms_endpoint(), "PyPI": "https://pypi.org"}
    with ThreadPoolExecutor(len(sites)) as pool:
        reasons = pool.map(lambda url: unreachable(url, _SECONDS), sites.values())
        for (name, url), reason in zip(sites.items(), reasons, strict=True):
            if reason is None:
                yield Finding("hubs", name, f"{url} answers")
            else:
                fix = "only needed for downloads; check the connection or proxy"
                yield Finding("hubs", name, f"cannot be reached: {reason}", "note", fix)


def caches() -> Iterator[Finding]:
    """Where downloads and converted or tokenized data lie."""
    from huggingface_hub.constants import HF_HUB_CACHE

    for name, folder in (("ours", cache_root()), ("Hugging Face", Path(HF_HUB_CACHE))):
        size = f"{folder_size(folder) / _GIB:.2f} GiB" if folder.is_dir() else "not there yet"
        yield Finding("caches", name, f"{folder}: {size}")


def _extras() -> Sequence[str]:
    """Our optional dependency groups; none where we are not installed."""
    try:
        return importlib.metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or ()
    except importlib.metadata.PackageNotFoundError:
        return ()


def _cores() -> int:
    """Processor cores that this process may use, which is fewer than there are in many containers."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _disk(name: str, folder: Path) -> Finding:
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / _GIB
    low = free < _LOW_DISK
    fix = "make room, or set SWIFT_CACHE and --output_dir to another disk" if low else ""
    return Finding("machine", name, f"{free:.1f} GiB free in {folder}", "note" if low else "ok", fix)


def _module_names() -> dict[str, str]:
    """Distribution to a module that it brings, by their normalised names."""
    names: dict[str, str] = {}
    for module, distributions in importlib.metadata.packages_distributions().items():
        for distribution in distributions:
            if not module.startswith("_"):
                names.setdefault(distribution.lower().replace("_", "-"), module)
    return names


def _package(name: str, allowed: str, extra: str, modules: dict[str, str]) -> Finding:
    from packaging.specifiers import SpecifierSet

    section = f"extra {extra}" if extra else "packages"
    status: Status = "note" if extra else "bad"
    install = f"pip install '{DISTRIBUTION}[{extra}]'" if extra else f"pip install '{name}{allowed}'"
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(section, name, "not installed", status, install)
    if not SpecifierSet(allowed).contains(version, prereleases=True):
        return Finding(section, name, f"{version}, needs {allowed}", status, f"pip install --upgrade '{name}{allowed}'")
    trouble = _import(modules.get(name.lower().replace("_", "-"), name.replace("-", "_")))
    if trouble:
        fix = f"pip install --force-reinstall '{name}=={version}'"
        return Finding(section, name, f"{version} cannot be imported: {trouble}", status, fix)
    return Finding(section, name, version)


def _meddler(name: str) -> Finding:
    trouble = _import(name)
    if trouble:
        fix = f"pip uninstall {name.replace('_', '-')}, or install the build that fits torch"
        return Finding("optional", name, f"installed, cannot be imported: {trouble}", "note", fix)
    return Finding("optional", name, "imports")


def _import(module: str) -> str:
    """Why `module` cannot be imported; empty where it can."""
    try:
        importlib.import_module(module)
    except Exception as error:  # whatever it is, it is the finding
        return one_line(f"{type(error).__name__}: {error}")
    return ""


def _describe(device: str) -> str:
    """Name and memory of a device."""
    import torch

    kind, _, index = device.partition(":")
    if kind == "cuda":
        found = torch.cuda.get_device_properties(int(index))
        free, total = torch.cuda.mem_get_info(int(index))
        return f"{found.name}, {free / _GIB:.1f} of {total / _GIB:.1f} GiB free"
    if kind == "mps":
        return f"Apple GPU, {torch.mps.recommended_max_memory() / _GIB:.1f} GiB"
    if kind == "xpu":
        properties = torch.xpu.get_device_properties(int(index))
        return f"{properties.name}, {properties.total_memory / _GIB:.1f} GiB"
    return platform.processor() or platform.machine() if kind == "cpu" else kind


def _trains(device: str, value: str) -> Finding:
    """One step of a tiny model: forward, backward, update."""
    try:
        import torch

        from swift.models.quiet import quiet
        from swift.models.tiny import tiny_model

        with quiet():
            model = tiny_model().to(device)  # type: ignore[arg-type]
        ids = torch.arange(1, 9, device=device)[None]
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.optim.AdamW(model.parameters(), fused=True).step()
        if not bool(torch.isfinite(loss)):
            return Finding("devices", device, f"{value}: the loss of a tiny model is {loss.item()}", "bad")
    except Exception as error:  # whatever it is, it is the finding
        return Finding(
            "devices",
            device,
            f"{value}: a tiny training step fails: {one_line(error)}",
            "bad",
            "pip install --force-reinstall torch transformers, and see the packages above",
        )
    return Finding("devices", device, f"{value}; a tiny training step works")
