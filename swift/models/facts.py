"""What a model's configuration and tokenizer tell, without its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from swift.config.model import ModelConfig
from swift.errors import ModelError
from swift.models.auto import auto_class
from swift.models.load import load_config, load_tokenizer
from swift.models.locate import locate_model
from swift.models.quiet import quiet

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


@dataclass(frozen=True, slots=True)
class Facts:
    """One model in numbers.

    Attributes:
        id: As the user named it.
        revision: The exact revision, where there is one.
        model_type: Architecture in config.json.
        architecture: Class that will be trained; empty where it is no causal language model.
        parameters: Number of weights, tied ones once; 0 where unknown.
        dtype: Type that the checkpoint says it is stored in.
        context: Positions it was made for; 0 where the configuration does not say.
        chat_template: Whether the tokenizer has one.
    """

    id: str
    revision: str | None
    model_type: str
    architecture: str
    parameters: int
    dtype: str
    layers: int
    hidden: int
    vocabulary: int
    context: int
    tied: bool
    tokenizer: str
    chat_template: bool

    @property
    def gib_in_bfloat16(self) -> float:
        """Memory of the weights alone."""
        return self.parameters * 2 / 1024**3


def facts(config: ModelConfig, *, progress: bool = True) -> Facts:
    """Look the model up; downloads configuration and tokenizer only.

    Raises:
        HubError: It cannot be found or reached.
        ModelError: Its configuration or tokenizer cannot be used.
    """
    located = locate_model(config, weights=False, progress=progress)
    hf_config = load_config(located, trust_remote_code=config.trust_remote_code)
    tokenizer = load_tokenizer(located, trust_remote_code=config.trust_remote_code)
    text = hf_config.get_text_config(decoder=True)
    values = {**hf_config.to_dict(), **text.to_dict()}
    architecture, parameters, tied = _skeleton(hf_config, config.trust_remote_code)
    return Facts(
        id=located.id,
        revision=located.revision,
        model_type=hf_config.model_type,
        architecture=architecture,
        parameters=parameters,
        dtype=str(text.dtype or hf_config.dtype or "unknown").removeprefix("torch."),
        layers=int(getattr(text, "num_hidden_layers", 0)),
        hidden=int(getattr(text, "hidden_size", 0)),
        vocabulary=int(values.get("vocab_size") or 0),
        context=int(getattr(text, "max_position_embeddings", 0) or 0),
        tied=tied,
        tokenizer=type(tokenizer).__name__,
        chat_template=tokenizer.chat_template is not None,
    )


def _skeleton(hf_config: PreTrainedConfig, trusted: bool) -> tuple[str, int, bool]:
    """Class, number of weights and whether head and embedding are one, from a model without memory."""
    import torch

    from swift.models.structure import head_is_tied

    with quiet(), torch.device("meta"):
        try:
            model = auto_class(hf_config).from_config(hf_config, trust_remote_code=trusted)
        except ValueError as error:
            if "Unrecognized configuration class" in str(error):
                return "", 0, False
            raise ModelError(f"the configuration cannot be built: {error}") from error
    model.tie_weights()
    return type(model).__name__, sum(weight.numel() for weight in model.parameters()), head_is_tied(model)
