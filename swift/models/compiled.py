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
    """Have each decoder layer compiled when it is first called; returns how many there are.

    What was compiled before in this process is forgotten: there is a limit on graphs of the same code.
    """
    torch.compiler.reset()
    layers = decoder_layers(model)
    for layer in layers:
        layer.compile(dynamic=True)
    return len(layers)


@contextmanager
def compiling() -> Iterator[None]:
    """Makes sure that the first forward pass of compiled layers, in the block, made a graph.

    torch leaves a layer as it is where checkpointing meets operations that cannot be part of a graph.

    Raises:
        ModelError: It made none.
    """
    from torch._dynamo.utils import counters

    before = counters["stats"]["unique_graphs"]
    yield
    if counters["stats"]["unique_graphs"] == before:
        raise ModelError(
            "nothing of the decoder layers could be compiled: something in them (attention, DoRA) cannot "
            "be part of a graph that computes activations again",
            hint="leave out --torch_compile, or add --gradient_checkpointing false",
        )


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
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = " ".join(lines[:2]) or type(error).__name__  # the second says why, the rest is about debugging
        raise ModelError(
            f"the decoder layers of this model cannot be compiled: {reason}", hint="leave out --torch_compile"
        ) from error
