"""How much memory a run needs, from numbers alone: no weights, no torch.

The method is that of Korthikanti et al. (arXiv 2205.05198, section 4): count, layer by layer, what automatic
differentiation keeps for the backward pass. Their count is for GPT with dropout; the one here is for decoder
layers of today (root-mean-square norms computed in float32, grouped key-value heads, a gated feed-forward network,
attention that does not keep its score matrix: arXiv 2205.14135), and distinguishes layers that are trained in full,
carry adapters, or are frozen. Weights, gradients and optimizer state follow Rajbhandari et al. (arXiv 1910.02054,
section 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

_FLOAT32 = 4
_PINNED = 0.4  # with checkpointing, layer inputs lie between activations that are freed; measured


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Numbers of a decoder.

    Attributes:
        parameters: Elements of the base model, tied ones once.
        hidden: Width of the residual stream.
        layers: Decoder layers.
        heads: Attention heads.
        kv_heads: Key-value heads.
        head_dim: Width of a head.
        intermediate: Width of the feed-forward network.
        vocab: Entries of the vocabulary.
        gated: Whether the feed-forward network has a gate (three matrices, as SwiGLU) or not (two).
        fused_norms: Whether a norm keeps its input only, and what it puts out is computed again.
        fused_gate: Whether of the feed-forward network only the two branches are kept.
        stored: Bytes of the weights where they are not `parameters` plain numbers, but quantized.
        largest: Elements of the largest quantized layer, which is computed from plain numbers for a moment.
    """

    parameters: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    gated: bool = True
    fused_norms: bool = False
    fused_gate: bool = False
    stored: int | None = None
    largest: int = 0


@dataclass(frozen=True, slots=True)
class Training:
    """How it is trained.

    Attributes:
        tuner: lora adds adapters to frozen weights; full and freeze train weights themselves.
        trained: Elements that are trained: of the adapters, or of the weights.
        trained_layers: Decoder layers whose activations are kept: all for lora and full; for freeze those from the
            lowest trained one up.
        weight_bytes: Bytes of an element of the base model (2 for bfloat16); also of the computation.
        trained_bytes: Bytes of a trained element: 4 for float32 adapters.
        master_weights: Whether trained 16-bit elements have float32 copies.
        gradient_checkpointing: Whether only the input of each layer is kept.
        trains_head: Whether the output head is trained (through the embeddings, if tied to them).
        adapter_rank: Rank of the adapters; 0 without.
        adapter_layers: Adapted linear layers in one decoder layer.
        state_bytes: Optimizer state for a trained element, where the optimizer updates float32.
        in_backward: Whether each gradient lives only until its parameter is updated.
        offload: Whether optimizer state is in main memory between steps.
        offload_activations: Whether what is kept for the backward pass is in main memory.
    """

    tuner: Literal["lora", "full", "freeze"]
    trained: int
    trained_layers: int
    weight_bytes: int = 2
    trained_bytes: int = 4
    master_weights: bool = True
    gradient_checkpointing: bool = False
    trains_head: bool = False
    adapter_rank: int = 0
    adapter_layers: int = 7
    state_bytes: float = 2.0 * _FLOAT32
    in_backward: bool = False
    offload: bool = False
    offload_activations: bool = False

    @property
    def has_masters(self) -> bool:
        """Whether what the optimizer updates are float32 copies."""
        return self.master_weights and self.trained_bytes < _FLOAT32

    @property
    def element_state(self) -> float:
        """Bytes of optimizer state for a trained element: moments have the type of what the optimizer updates."""
        return self.state_bytes if self.has_masters else self.state_bytes * self.trained_bytes / _FLOAT32


@dataclass(frozen=True, slots=True)
class Load:
    """The largest micro-batch.

    Attributes:
        slots: Tokens including padding.
        targets: Tokens trained on.
        longest: Length of its longest sequence.
        logits_chunk: Targets whose logits exist at one time.
        score_matrix: Whether attention keeps its score matrix (eager), rows of heads x longest for each token.
        accumulates: Whether an optimizer step has several micro-batches.
    """

    slots: int
    targets: int
    longest: int
    logits_chunk: int = 1024
    score_matrix: bool = False
    accumulates: bool = True


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Bytes on one device at the peak of a step.

    Attributes:
        weights: The base model and adapters.
        masters: Float32 copies of trained 16-bit weights.
        optimizer: Its state, such as AdamW's two float32 moments for each trained element.
        gradients: Of what is trained; float32 where there are master weights.
        activations: Kept for the backward pass, as far as they are on the device.
        logits: One chunk with its gradient, the states that it is made from, and the output head's own gradient.
        overhead: Libraries and device context.
        fragments: Holes that the allocator leaves between activations.
        accumulates: As in `Load`.
        moved: Activations in main memory instead, which are no part of the total; None where none are moved.
    """

    weights: int
    masters: int
    optimizer: int
    gradients: int
    activations: int
    logits: int
    overhead: int
    fragments: int = 0
    accumulates: bool = True
    moved: int | None = None

    @property
    def standing(self) -> int:
        """What is there throughout the run."""
        return self.weights + self.masters + self.optimizer + self.overhead

    @property
    def total(self) -> int:
        """The peak.

        It is the end of a forward pass, when the activations are complete and, from the second micro-batch on, so
        are the gradients. With a single micro-batch the gradients come as the activations go.
        """
        forward = self.activations + self.fragments + self.logits
        return self.standing + (forward + self.gradients if self.accumulates else max(forward, self.gradients))

    def table(self) -> tuple[tuple[str, int], ...]:
        """Names and bytes, for printing; the last line is the total."""
        return (
            ("weights", self.weights),
            ("float32 master weights", self.masters),
            ("optimizer state", self.optimizer),
            ("gradients", self.gradients),
            ("activations", self.activations),
            ("logits", self.logits),
            ("allocator's holes", self.fragments),
            ("libraries", self.overhead),
            *((("in main memory instead", self.moved),) if self.moved is not None else ()),
            ("peak", self.total),
        )


def plan_memory(
    shape: ModelShape, training: Training, load: Load, *, overhead: int = 0, holes: float = 0.0
) -> MemoryPlan:
    """The memory of a training step.

    Args:
        shape: The model.
        training: The technique and its types.
        load: The largest micro-batch.
        overhead: Bytes that are there before the model is, as measured; the plan adds them as they are.
        holes: What the allocator wastes, as a share of the activations without checkpointing.
    """
    adapters = training.trained if training.tuner == "lora" else 0
    masters = training.has_masters
    gradients = training.trained * (_FLOAT32 if masters else training.trained_bytes)
    if training.in_backward:
        gradients //= max(1, training.trained_layers)
    activations = activation_bytes(shape, training, load)
    everywhere = activation_bytes(shape, replace(training, offload_activations=False), load)
    everything = activation_bytes(shape, replace(training, gradient_checkpointing=False), load)
    pinned = _PINNED if training.gradient_checkpointing else 1.0
    return MemoryPlan(
        weights=_base_bytes(shape, training) + adapters * training.trained_bytes,
        masters=training.trained * _FLOAT32 if masters else 0,
        optimizer=0 if training.offload else int(training.trained * training.element_state),
        gradients=gradients,
        activations=activations,
        logits=logits_bytes(shape, training, load),
        overhead=overhead,
        fragments=int(holes * pinned * everything),
        accumulates=load.accumulates,
        moved=everywhere - activations if training.offload_activations else None,
    )


def _base_bytes(shape: ModelShape, training: Training) -> int:
    """The base weights; of quantized ones also the plain numbers of one layer at a time."""
    if shape.stored is None:
        return shape.parameters * training.weight_bytes
    return shape.stored + shape.largest * training.weight_bytes


def layer_bytes_per_token(shape: ModelShape, training: Training, load: Load) -> int:
    """What one decoder layer keeps of each token for the backward pass.

    Norms: the input in float32 (none beside the residual itself when computing in float32), and, where the norm's
    own weight is trained, the normalised value. Attention: the input of the projections, queries, keys, values, the
    output, and one float32 number a head. Feed-forward: its input, the gate before and after its activation
    function, the other branch, and the product. Adapters: the low-rank product of each. Fused norms keep their input
    in the computing type, and nobody keeps what they put out; a fused gate keeps the two branches.
    """
    b = training.weight_bytes
    # In float32 the norm needs no copy of its input, but nothing else keeps the residual either.
    norm = shape.hidden * (_FLOAT32 + (b if training.tuner != "lora" else 0))
    normed = b * shape.hidden
    if shape.fused_norms:
        norm, normed = b * shape.hidden + _FLOAT32, 0
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    attention = normed + b * (2 * queries + 2 * keys) + _FLOAT32 * shape.heads
    branches = 2 if shape.fused_gate or not shape.gated else 4
    feed_forward = normed + b * branches * shape.intermediate
    adapters = b * training.adapter_rank * training.adapter_layers
    if shape.stored is not None and training.adapter_rank:
        # Adapters over quantized layers each keep their input, in their own type.
        adapters += training.adapter_layers * training.trained_bytes * shape.hidden
    scores = shape.heads * load.longest * (b + _FLOAT32) if load.score_matrix else 0
    return 2 * norm + attention + feed_forward + adapters + scores


def activation_bytes(shape: ModelShape, training: Training, load: Load) -> int:
    """What the whole forward pass keeps on the device.

    That is all layers; with checkpointing their inputs and one layer in full; with activations in main memory the
    layer that they are just copied from.
    """
    layer = layer_bytes_per_token(shape, training, load)
    per_token = training.trained_layers * layer
    if training.offload_activations and training.trained_layers:
        per_token = layer
    elif training.gradient_checkpointing and training.trained_layers:
        per_token = training.trained_layers * shape.hidden * training.weight_bytes + layer
    # The last norm, and the hidden states that the output head reads.
    per_token += shape.hidden * (_FLOAT32 + training.weight_bytes)
    return load.slots * per_token


def logits_bytes(shape: ModelShape, training: Training, load: Load) -> int:
    """What the loss needs on top of the activations.

    One chunk of logits in the computing type, its float32 copy and its gradient; the states at the targets and their
    gradient; and, where the output head is trained, its gradient in float32, which becomes one in the computing type
    and, if the head is tied to the embeddings, is added to theirs.
    """
    b = training.weight_bytes
    chunk = min(load.logits_chunk, load.targets) * shape.vocab * (2 * b + _FLOAT32)
    states = 2 * load.targets * shape.hidden * b
    head = shape.vocab * shape.hidden * (_FLOAT32 + 2 * b) if training.trains_head else 0
    return chunk + states + head
