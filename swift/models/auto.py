"""Which of transformers' automatic classes builds a model for a purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


Purpose = Literal["tokens", "states", "labels"]
"""What a model ends in: logits of tokens (it generates), hidden states, or a classifier's outputs."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What a model is loaded to end in.

    Attributes:
        purpose: It.
        labels: How many outputs a classifier has; None takes the configuration's.
        may_lack: How the names of weights begin that the files need not hold: nobody uses them, or an adapter has them.
    """

    purpose: Purpose = "tokens"
    labels: int | None = None
    may_lack: tuple[str, ...] = ()


GENERATING = Ending()


def auto_class(config: PreTrainedConfig, purpose: Purpose = "tokens") -> Any:
    """The automatic class for a configuration; to generate, the multimodal one where the architecture has media.

    An architecture that transformers does not know gets the causal one, as checkpoints with code of their own do.
    """
    from transformers import (
        MODEL_FOR_MULTIMODAL_LM_MAPPING,
        AutoModel,
        AutoModelForCausalLM,
        AutoModelForMultimodalLM,
        AutoModelForSequenceClassification,
    )

    if purpose != "tokens":
        return AutoModel if purpose == "states" else AutoModelForSequenceClassification
    return AutoModelForMultimodalLM if type(config) in MODEL_FOR_MULTIMODAL_LM_MAPPING else AutoModelForCausalLM


def import_model_code(config: PreTrainedConfig) -> None:
    """Import the module of the architecture's class, which takes a while; a failure is told when it is loaded."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MULTIMODAL_LM_MAPPING

    for classes in (MODEL_FOR_MULTIMODAL_LM_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING):
        if classes.get(type(config), None) is not None:
            return
