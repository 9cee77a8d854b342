"""A processor of an architecture's real class, over a tiny tokenizer that holds the special tokens it needs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from swift.errors import ModelError
from swift.models.tiny.known import known
from swift.models.tiny.parts import build_part, lookup
from swift.models.tiny.tables import exception, processor_fields, token_names
from swift.models.tiny.tekken import tiny_tekken
from swift.models.tiny.template import chat_template
from swift.models.tiny.tokenizer import tiny_tokenizer

if TYPE_CHECKING:
    from transformers import ProcessorMixin

_PARTS = {
    "image_processor": "image",
    "video_processor": "video",
    "feature_extractor": "audio",
    "audio_processor": "audio",
}
_TOKENS_PER_IMAGE = ("image_seq_length", "image_seq_len", "num_image_tokens")
_WRAPPERS = {
    "image": (("vision_start", "vision_end"), ("image_start", "image_end"), ("vision_bos", "vision_eos")),
    "video": (("vision_start", "vision_end"), ("video_start", "video_end"), ("vision_bos", "vision_eos")),
    "audio": (("audio_start", "audio_end"), ("audio_bos", "audio_eos")),
}


def tiny_processor(model_type: str, config: Mapping[str, Any]) -> tuple[ProcessorMixin, dict[str, str]]:
    """The processor, and which token it has under which name.

    Args:
        model_type: Whose.
        config: Values of its tiny configuration, nested; token ids need not be set yet.

    Raises:
        ModelError: transformers names no processor for the architecture.
    """
    processor_class = _processor_class(model_type)
    donor = _donor(model_type)
    built = {
        name: build_part(_PARTS[name], donor, config) for name in processor_class.get_attributes() if name in _PARTS
    }
    parts = {name: part for name, part in built.items() if part is not None}
    if layout := exception(model_type, "tekken"):
        return processor_class(**parts, tokenizer=tiny_tekken(**layout)), {"audio_token": "[AUDIO]"}
    arguments = _arguments(processor_class, model_type, config)
    given = {**token_names(), **exception(model_type, "tokens")}
    named = {name: text for name, text in given.items() if text is not None}
    tokens: list[str] = []
    leading = exception(model_type, "leading") or None
    # A processor that has its tokens' text in its code shows it once it is built.
    probe = processor_class(**parts, **_tokenizers(processor_class, named, tokens, leading), **arguments)
    literal = _literals(probe)
    ours = set(named.values())
    named |= {name: text for name, text in literal.items() if name in named and text not in ours}
    tokens += [text for text in literal.values() if text not in named.values()]
    processor = processor_class(**parts, **_tokenizers(processor_class, named, tokens, leading), **arguments)
    processor.chat_template = chat_template(_placeholders(processor, model_type, config, named))
    processor.tokenizer.chat_template = processor.chat_template  # some processors are saved without theirs
    return processor, named


def media_kinds(processor: ProcessorMixin) -> frozenset[str]:
    """Kinds of media that a processor has a part for."""
    parts = [name for name in processor.get_attributes() if getattr(processor, name, None) is not None]
    return frozenset(_PARTS[name] for name in parts if name in _PARTS)


def _processor_class(model_type: str) -> Any:
    import transformers

    name = exception(model_type, "class") or known("processor").get(_like(model_type))
    if not name:
        raise ModelError(f"transformers names no processor for {model_type}")
    return getattr(transformers, name)


def _like(model_type: str) -> str:
    """The architecture whose processor this one uses."""
    return str(exception(model_type, "like") or model_type)


def _donor(model_type: str) -> str:
    """The architecture whose image processor and so on it uses: another with the same processor, where it has none."""
    processors = known("processor")
    kind = _like(model_type)
    same = [name for name, wanted in processors.items() if wanted == processors.get(kind)]
    needed = {_PARTS[name] for name in _processor_class(model_type).get_attributes() if name in _PARTS}
    return max((kind, *same), key=lambda name: sum(name in known(part) for part in needed))


def _arguments(processor_class: Any, model_type: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers that a processor shares with its model's configuration."""
    table = {**processor_fields("processor"), **dict.fromkeys(_TOKENS_PER_IMAGE, _image_tokens(config))}
    arguments = {}
    for name in inspect.signature(processor_class.__init__).parameters:
        found = None if name in _TOKENS_PER_IMAGE else lookup(config, name, ("vision", "audio"))
        if name in table or (found is not None and isinstance(found, int | str | list | tuple)):
            value = found if found is not None else table[name]
            arguments[name] = value[0] if isinstance(value, list | tuple) and name == "patch_size" else value
    return {**arguments, **exception(model_type, "processor")}


def _image_tokens(config: Mapping[str, Any]) -> int:
    """How many tokens a picture of the tower's own size becomes."""
    if said := lookup(config, "mm_tokens_per_image"):
        return int(said)
    edge, patch = lookup(config, "image_size", ("vision",)), lookup(config, "patch_size", ("vision",))
    if not edge or not patch:
        return 0
    edge, patch = (value[0] if isinstance(value, list | tuple) else value for value in (edge, patch))
    factors = (lookup(config, name) for name in ("scale_factor", "spatial_merge_size", "downsample_factor"))
    ratio = lookup(config, "downsample_ratio")
    factor = next((factor for factor in factors if factor), 1 / ratio if ratio else 1)
    return int((edge // patch / factor) ** 2)


def _tokenizers(
    processor_class: Any, named: Mapping[str, str], tokens: list[str], leading: str | None
) -> dict[str, Any]:
    names = [name for name in processor_class.get_attributes() if "tokenizer" in name]
    return {name: tiny_tokenizer(named=named, tokens=tokens, leading=leading) for name in names}


def _literals(processor: ProcessorMixin) -> dict[str, str]:
    """Attributes of a processor that hold the text of a token."""
    values = {name: value for name, value in vars(processor).items() if name.endswith(("_token", "_tag"))}
    return {name: str(value) for name, value in values.items() if value is not None}


def _placeholders(
    processor: ProcessorMixin, model_type: str, config: Mapping[str, Any], named: Mapping[str, str]
) -> dict[str, str]:
    """What stands for each kind of media: its token, in the marks around it that the model looks for."""
    result: dict[str, str] = {}
    for kind in sorted(media_kinds(processor)):
        token = _literals(processor).get(f"{kind}_token")
        if token is None:
            continue
        for start, end in _WRAPPERS[kind]:
            marks = [named.get(f"{mark}_token") for mark in (start, end)]
            in_config = lookup(config, f"{start}_token_id") is not None
            if all(marks) and (in_config or f"{start}_token" in _literals(processor)):
                token = f"{marks[0]}{token}{marks[1]}"
                break
        result[kind] = token
    return {**result, **exception(model_type, "template")}
