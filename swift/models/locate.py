"""Finding a model's files, under the name that each hub has for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swift.config.model import ModelConfig
from swift.hub.locate import locate
from swift.hub.located import Located
from swift.models.catalog import grounding_format, hub_id, recommended_template, tool_format
from swift.types import Known

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase


def locate_model(model: ModelConfig, *, weights: bool = True, progress: bool = True) -> Located:
    """As `swift.hub.locate`; an id of the other hub is translated where the catalog knows both.

    Raises:
        ModelError, HubError, MissingExtraError: See there.
    """
    return locate(model, weights=weights, progress=progress, names=hub_id)


def template_hint(model: ModelConfig, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> Known:
    """What the catalog knows of the model's family: the fallback template to tell of where a checkpoint has none of
    its own (empty where it has, or none is known), and the formats in which it writes boxes and calls tools."""
    template = "" if tokenizer.chat_template is not None else recommended_template(model.id, config.architectures or ())
    names = (config.model_type, *(config.architectures or ()))
    return Known(template, grounding_format(model.id, names), tool_format(model.id, names))
