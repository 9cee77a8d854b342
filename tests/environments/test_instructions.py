"""What llama.cpp is compiled for."""

from __future__ import annotations

import pytest

from swift.environments.instructions import compile_options


def on(options: str) -> set[str]:
    return {part.removeprefix("-DGGML_").removesuffix("=ON") for part in options.split() if part.endswith("=ON")}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("sse3 ssse3", set()),
        ("avx2 fma f16c bmi2", {"AVX2", "FMA", "F16C", "BMI2"}),
        ("avx2 avx512f avx512cd avx512bw avx512dq avx512vl", {"AVX2", "AVX512"}),
        ("avx512f avx512vbmi avx512_vnni", {"AVX512_VBMI", "AVX512_VNNI"}),
        ("avx2 amx_tile amx_int8 amx_bf16 avx_vnni", {"AVX2", "AVX_VNNI"}),
    ],
)
def test_uses_what_the_processor_has_but_no_amx(flags: str, expected: set[str]) -> None:
    options = compile_options(f"processor\t: 0\nmodel name\t: a: b\nflags\t\t: {flags}\n")
    assert on(options) == expected
    assert "-DGGML_NATIVE=OFF" in options
    assert "AMX" not in options


@pytest.mark.parametrize("processor", ["", "processor : 0\nFeatures : fp asimd\n"])
def test_leaves_the_choice_to_the_compiler_where_nothing_is_told(processor: str) -> None:
    assert compile_options(processor) == "-DGGML_NATIVE=ON"
