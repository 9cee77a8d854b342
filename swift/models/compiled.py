"""Decoder layers as compiled graphs: one graph, compiled once, for all layers that are alike.

Only the layers are compiled, each by itself (regional compilation): compile time does not grow with depth, and what
stands around them (embeddings, masks, media, the chunked loss) stays as it is. Sizes are symbols in the graph, so that
batches of other lengths need no other graph; there is one each for the first layer, whose input needs no gradient, and
the others, for one row and several, and for evaluation. Names of modules and weights stay the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel

from swift.errors import ModelError, ResourceError
from swift.models.structure import decoder_layers


def require_compiler(device: torch.device) -> None:
    """Make sure that graphs for `device` can be compiled on this machine.

    Raises:
        ResourceError: There is no compiler.
    """
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler
    from torch.utils._triton import has_triton

    if device.type != "cpu" and not has_triton():
        raise ResourceError(
            f"torch_compile needs Triton, which is not installed or does not know {device}",
            hint="pip install triton, or leave out --torch_compile",
        )
    try:
        get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise ResourceError(
            "torch_compile needs a C++ compiler, and none was found",
            hint="install g++, or leave out --torch_compile",
        ) from error


def compile_blocks(model: PreTrainedModel) -> int:
    """Have each decoder layer compiled when it is first called; returns how many there are."""
    layers = decoder_layers(model)
    for layer in layers:
        layer.compile(dynamic=True)
    return len(layers)


@contextmanager
def compiler_errors() -> Iterator[None]:
    """Errors of the compiler, which comes into play when layers are first called, as one of ours.

    Raises:
        ModelError: The layers of this architecture cannot be compiled.
    """
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield
    except TorchDynamoException as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"the decoder layers of this model cannot be compiled: {reason}", hint="leave out --torch_compile"
        ) from error
