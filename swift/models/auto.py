"""Which of transformers' automatic classes builds a model that generates text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def auto_class(config: PreTrainedConfig) -> Any:
    """The automatic class for a configuration: the multimodal one where the architecture has media, else the causal.

    An architecture that transformers does not know gets the causal one, as checkpoints with code of their own do.
    """
    from transformers import MODEL_FOR_MULTIMODAL_LM_MAPPING, AutoModelForCausalLM, AutoModelForMultimodalLM

    return AutoModelForMultimodalLM if type(config) in MODEL_FOR_MULTIMODAL_LM_MAPPING else AutoModelForCausalLM


def import_model_code(config: PreTrainedConfig) -> None:
    """Import the module of the architecture's class, which takes a while; a failure is told when it is loaded."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MULTIMODAL_LM_MAPPING

    for classes in (MODEL_FOR_MULTIMODAL_LM_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING):
        if classes.get(type(config), None) is not None:
            return
