"""What vLLM cannot do here is told before it is started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swift.engines.vllm import require_kernels
from swift.errors import ResourceError

X86 = ("sse2", "avx2")


def folder(place: Path, **values: object) -> Path:
    (place / "config.json").write_text(json.dumps({"model_type": "llama", **values}))
    return place


@pytest.mark.parametrize(
    "held",
    [
        {"format": "pack-quantized"},
        {"format": "mixed-precision", "config_groups": {"group_0": {"format": "pack-quantized"}}},
    ],
)
def test_packed_weights_need_avx512(held: dict[str, object], tmp_path: Path) -> None:
    model = folder(tmp_path, quantization_config=held)
    with pytest.raises(ResourceError, match="without AVX-512"):
        require_kernels(model, X86)
    require_kernels(model, (*X86, "avx512f"))
    require_kernels(model, ("asimd",))


def test_other_weights_do_not(tmp_path: Path) -> None:
    require_kernels(tmp_path, X86)
    require_kernels(folder(tmp_path), X86)
    require_kernels(folder(tmp_path, quantization_config={"format": "int-quantized"}), X86)
