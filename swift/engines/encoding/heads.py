"""What makes numbers of a batch: a vector of hidden states, a classifier's outputs, or how much more yes than no."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from swift.engines.encoding.facts import Pooling
from swift.engines.encoding.inputs import InputRow
from swift.engines.shape import forward_parameters
from swift.errors import ModelError
from swift.models.head import HeadTransform
from swift.models.structure import output_head

_ACTIVATIONS = {"Identity": nn.Identity, "Tanh": nn.Tanh, "ReLU": nn.ReLU, "GELU": nn.GELU, "Sigmoid": nn.Sigmoid}


@dataclass(frozen=True, slots=True)
class Padded:
    """Rows side by side, filled up on the right.

    Attributes:
        ids: int64 [rows, width].
        mask: int64 [rows, width], 1 for tokens of rows.
        types: int64 [rows, width]; None where the model is not told.
    """

    ids: Tensor
    mask: Tensor
    types: Tensor | None

    @property
    def last(self) -> Tensor:
        """int64 [rows], the place of each row's last token."""
        return self.mask.sum(-1) - 1


def padded(rows: Sequence[InputRow], pad_id: int, device: torch.device) -> Padded:
    """Put rows side by side."""
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), pad_id, dtype=torch.int64)
    mask = torch.zeros((len(rows), width), dtype=torch.int64)
    types = torch.zeros((len(rows), width), dtype=torch.int64) if rows[0].types is not None else None
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row.ids)
        mask[number, : len(row)] = 1
        if types is not None and row.types is not None:
            types[number, : len(row)] = torch.tensor(row.types)
    return Padded(ids.to(device), mask.to(device), None if types is None else types.to(device))


class Head(Protocol):
    """Makes numbers of a batch."""

    def __call__(self, batch: Padded) -> Tensor:
        """float32 [rows, numbers]."""


class Embedder:
    """A vector for each row.

    Args:
        backbone: Ends in `last_hidden_state`.
        pooling: Which states become the vector.
        dense: Layers behind the pooling.
    """

    def __init__(self, backbone: nn.Module, pooling: Pooling, dense: Sequence[nn.Module] = ()) -> None:
        self._backbone = backbone
        self._takes = forward_parameters(backbone)
        self._pooling = pooling
        self._dense = tuple(dense)

    def __call__(self, batch: Padded) -> Tensor:
        """float32 [rows, d]."""
        states: Tensor = _run(self._backbone, self._takes, batch)["last_hidden_state"].float()
        if self._pooling == "mean":
            weights = batch.mask.unsqueeze(-1).float()
            vectors = (states * weights).sum(1) / weights.sum(1)
        else:
            places = torch.zeros_like(batch.last) if self._pooling == "cls" else batch.last
            vectors = states[torch.arange(len(states), device=states.device), places]
        for layer in self._dense:
            vectors = layer(vectors)
        return vectors


class Classifier:
    """A classifier's outputs for each row.

    Args:
        model: With a head for sequences.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._takes = forward_parameters(model)

    def __call__(self, batch: Padded) -> Tensor:
        """float32 [rows, labels], before any activation."""
        logits: Tensor = _run(self._model, self._takes, batch)["logits"]
        return logits.float()


class Judge:
    """How much more likely one token is than another behind each row: the difference of their logits.

    Args:
        model: One that generates.
        backbone: Its part that ends in hidden states.
        transform: What it does to its head's output; None takes the logits of the whole model, of single rows.
        yes: The one token.
        no: The other.
    """

    def __init__(
        self, model: PreTrainedModel, backbone: nn.Module, transform: HeadTransform | None, *, yes: int, no: int
    ) -> None:
        self._model = model
        self._run = model if transform is None else backbone
        self._takes = forward_parameters(self._run)
        self._transform = transform
        self._yes, self._no = yes, no

    @property
    def alone(self) -> bool:
        """Whether rows go one by one."""
        return self._transform is None

    def __call__(self, batch: Padded) -> Tensor:
        """float32 [rows, 1]."""
        if self._transform is None:
            few = {"logits_to_keep": 1} if "logits_to_keep" in self._takes else {}
            logits: Tensor = _run(self._run, self._takes, batch, **few)["logits"][:, -1]
        else:
            states: Tensor = _run(self._run, self._takes, batch)["last_hidden_state"]
            states = states[torch.arange(len(states), device=states.device), batch.last]
            logits = self._transform(output_head(self._model)(states))
        return (logits[:, self._yes].float() - logits[:, self._no].float())[:, None]


def _run(module: nn.Module, takes: frozenset[str], batch: Padded, **more: Any) -> Any:
    if batch.types is not None and "token_type_ids" in takes:
        more["token_type_ids"] = batch.types
    elif "mm_token_type_ids" in takes:
        more["mm_token_type_ids"] = torch.zeros_like(batch.ids)
    if "use_cache" in takes:
        more["use_cache"] = False
    return module(input_ids=batch.ids, attention_mask=batch.mask, **more)


def load_dense(folder: Path) -> nn.Module:
    """A layer of sentence-transformers' that stands behind the pooling, in float32.

    Raises:
        ModelError: Its files are absent, damaged or of another kind.
    """
    import json

    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        layer = nn.Linear(config["in_features"], config["out_features"], bias=bool(config.get("bias", True)))
        named = str(config.get("activation_function", "Identity")).rpartition(".")[2]
        weights = load_file(folder / "model.safetensors")
        layer.load_state_dict({name.removeprefix("linear."): weight.float() for name, weight in weights.items()})
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"the layer in {folder} cannot be loaded: {error}", hint="download it again") from error
    if named not in _ACTIVATIONS or config.get("module_input_name", "sentence_embedding") != "sentence_embedding":
        raise ModelError(f"the layer in {folder} is of a kind that is not known here: {named}")
    return nn.Sequential(layer, _ACTIVATIONS[named]())
