"""The parts of a multimodal model: language model, towers, and what aligns the ones to the other. Derived."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, get_args

from torch import nn

from swift.models.structure import backbone, generating, input_embeddings, is_composite, language_model, output_head

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Part = Literal["llm", "vit", "aligner"]
"""The language model with its embeddings and head; the towers, of pictures and sound; what stands between."""
PARTS: tuple[Part, ...] = get_args(Part)

_ALIGNER = re.compile(
    r"projector|connector|aligner|merger|resampler|adapt[eo]r|perceiver|qformer|^proj$|projection|embed_vision"
    r"|embed_audio|downsample$|bridge"
)
_MEDIA = re.compile(r"vision|image|audio|speech")
_TOWER = re.compile(r"vision|visual|image|vit|audio|speech|sound|tower|encoder|siglip|clip|whisper")


def part_modules(model: PreTrainedModel) -> dict[Part, tuple[nn.Module, ...]]:
    """The outermost modules of each part. Of a text model all is `llm`.

    A tower is a model of its own beside the language model (or is called one). What turns its states into those of
    the language model is the aligner, whether it stands beside the tower or, as its last child, inside.
    """
    whole = generating(model)
    text = language_model(whole)
    found: dict[Part, list[nn.Module]] = {"llm": [text, input_embeddings(whole), output_head(whole)]}
    found |= {"vit": [], "aligner": []}
    if not is_composite(whole) and not any(_MEDIA.search(name) for name in whole.config.sub_configs):
        return {"llm": tuple(found["llm"]), "vit": (), "aligner": ()}
    inner = backbone(whole)
    for name, child in inner.named_children() if inner is text else _beside(inner, text):
        if _ALIGNER.search(name):
            found["aligner"].append(child)
        elif _is_tower(name, child) and (inner is not text or _MEDIA.search(name)):
            found["vit"].append(child)
            found["aligner"] += [part for part_name, part in child.named_children() if _ALIGNER.search(part_name)]
        elif inner is not text:  # else it is a layer of the language model, which has the towers inside
            found["aligner"].append(child)
    return {part: tuple(modules) for part, modules in found.items()}


def parts_by_parameter(model: PreTrainedModel) -> dict[nn.Parameter, Part]:
    """The part of every parameter; those of a larger system that generate no text (a speaker) are absent."""
    modules = part_modules(model)
    inside: dict[nn.Parameter, Part] = {}
    # The inner ones last: a tower may stand in the language model, and an aligner in a tower.
    for part in PARTS:
        for module in modules[part]:
            inside |= dict.fromkeys(module.parameters(), part)
    other: Part = "aligner" if is_composite(model) else "llm"
    return inside | {p: other for p in generating(model).parameters() if p not in inside}


def _beside(parent: nn.Module, text: nn.Module) -> list[tuple[str, nn.Module]]:
    """Named children around the language model, at whatever depth it stands."""
    found: list[tuple[str, nn.Module]] = []
    for name, child in parent.named_children():
        if child is text:
            continue
        if any(module is text for module in child.modules()):
            found += _beside(child, text)
        else:
            found.append((name, child))
    return found


def _is_tower(name: str, module: nn.Module) -> bool:
    from transformers import PreTrainedModel

    return isinstance(module, PreTrainedModel) or bool(_TOWER.search(name))
