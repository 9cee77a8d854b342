"""Which instructions of the processor llama.cpp is compiled for."""

from __future__ import annotations

from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_NEEDED = {
    "AVX2": ("avx2",),
    "FMA": ("fma",),
    "F16C": ("f16c",),
    "BMI2": ("bmi2",),
    "AVX_VNNI": ("avx_vnni",),
    "AVX512": ("avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"),
    "AVX512_VBMI": ("avx512vbmi",),
    "AVX512_VNNI": ("avx512_vnni",),
    "AVX512_BF16": ("avx512_bf16",),
}
"""ggml's options, and the flags by which Linux tells that a processor has what they need.

AMX is left out: with it, llama.cpp crashes at the first token of a model in four bits.
"""


def compile_options(processor: str | None = None) -> str:
    """CMake's options for a build that uses what this processor has.

    Args:
        processor: Content of /proc/cpuinfo; read where it is None.

    Returns:
        The options. Where the system does not tell, the compiler's own choice.
    """
    if processor is None:
        processor = _CPUINFO.read_text(encoding="utf-8", errors="replace") if _CPUINFO.exists() else ""
    lines = (line.partition(":") for line in processor.splitlines())
    flags = next((set(value.split()) for name, _, value in lines if name.strip() == "flags"), None)
    if flags is None:
        return "-DGGML_NATIVE=ON"
    options = [f"-DGGML_{name}={'ON' if flags.issuperset(needed) else 'OFF'}" for name, needed in _NEEDED.items()]
    return " ".join(["-DGGML_NATIVE=OFF", *options])
