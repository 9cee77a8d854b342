"""All that turns text into tokens: the tokenizer, the chat template and the special ids."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from tokenizers import Tokenizer

from swift.chat.dialect import adapt, adapt_media
from swift.chat.fallback import FALLBACKS, fallback
from swift.chat.grounding.formats import DEFAULT, Format, choose, formats
from swift.chat.inspect import anchor, any_of, known_bytes, splits_apart
from swift.chat.loss_scale import LossScale, read_loss_scale
from swift.chat.template import ChatTemplate
from swift.chat.tools.choose import writing_format
from swift.config.chat import ChatConfig
from swift.errors import TemplateError
from swift.types import NOTHING_KNOWN, Known

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from swift.chat.media.processor import MediaProcessor

CHAT_VERSION = 1
"""Raised whenever the same row would become other tokens than before, so that cached tokens are not reused."""
DEFAULT_MAX_LENGTH = 8192
CHECKPOINT = "the checkpoint"
"""`Codec.template_source` where the template is the checkpoint's own."""


@dataclass(frozen=True, eq=False)
class Codec:
    """Text to token ids and back, and how a model's chats look. Picklable; holds no torch and no transformers.

    Attributes:
        tokenizer: The fast tokenizer, without padding and truncation.
        template: The chat template; its source is empty where there is none.
        eos_ids: Ids at which generation stops.
        end_id: The one of them that ends a plain text.
        pad_id: Id that fills up batches.
        bos_id: The begin token; None where the tokenizer has none.
        vocab_size: Number of ids, added tokens included.
        max_length: Longest sequence in tokens.
        template_source: Where the template came from, in words, for the banner; empty where there is none.
        fingerprint: Hash of all that decides which tokens a row becomes.
        stops: Texts of `eos_ids`.
        added_ids: Ids of added tokens: text around them is tokenized apart.
        number_of: Id of each added token's text.
        anchor: An added token's text and id, to encode text that stands in the middle.
        special: Matches a special token's text.
        added: Matches an added token's text, in a group, where text around added tokens is proved to be tokenized
            as if it stood alone; None where that is not so.
        known_bytes: Bytes that decode to themselves; None where the tokenizer is not a byte-level one.
        notes: What the user should know of this template, one line each.
        media: The processor of a multimodal model; None where it takes text only.
        recommended: Name of a fallback that suits the model, to be told where it has no template; or empty.
        grounding: How boxes in pictures are written.
        writes_tools: Name of the format in which we write tools, calls and results as text; empty where the template
            writes them.
        family_tools: Name of the format of the model's family, or empty.
        loss_scale: Weights within answers.
    """

    tokenizer: Tokenizer
    template: ChatTemplate
    eos_ids: frozenset[int]
    end_id: int
    pad_id: int
    bos_id: int | None
    vocab_size: int
    max_length: int
    template_source: str
    fingerprint: str
    stops: tuple[str, ...]
    added_ids: frozenset[int]
    number_of: Mapping[str, int]
    anchor: tuple[str, int] | None
    special: re.Pattern[str]
    added: re.Pattern[str] | None
    known_bytes: bytes | None
    notes: tuple[str, ...] = field(default=())
    media: MediaProcessor | None = None
    recommended: str = ""
    grounding: Format = field(default_factory=lambda: formats.get(DEFAULT))
    writes_tools: str = ""
    family_tools: str = ""
    loss_scale: LossScale = field(default_factory=LossScale)

    def require_template(self) -> ChatTemplate:
        """The chat template.

        Raises:
            TemplateError: The checkpoint has none, and none was named.
        """
        if not self.template.source:
            names = ", ".join(name for name in sorted(FALLBACKS) if name != self.recommended)
            hint = f"name one: --chat_template {names}, or a Jinja file"
            if self.recommended:
                hint = f"--chat_template {self.recommended} suits this family of models; others: {names}, a Jinja file"
            raise TemplateError("the checkpoint has no chat template", hint=hint)
        return self.template

    def encode(self, text: str) -> list[int]:
        """Ids of `text`; special tokens in it are recognised, nothing is added."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        """Ids of each text, as `encode`."""
        return [item.ids for item in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def encode_text(self, text: str) -> list[int]:
        """Ids of a text that stands alone, with the begin token where the tokenizer sets one; no end token."""
        ids = self.tokenizer.encode(text, add_special_tokens=True).ids
        return ids[:-1] if ids and ids[-1] in self.eos_ids and not text.endswith(self.stops) else ids

    def encode_middle(self, text: str) -> list[int]:
        """Ids of `text` as it is tokenized behind other text, not at a text's start."""
        if self.anchor is None:
            return self.encode(text)
        ids = self.encode(self.anchor[0] + text)
        return ids[1:] if ids[:1] == [self.anchor[1]] else self.encode(text)

    def decode(self, ids: Iterable[int]) -> str:
        """Text of `ids`, special tokens included."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=False)

    def keeps(self, text: str, ids: list[int]) -> bool:
        """Whether `ids`, which encode something around `text`, decode to something that has `text` in it.

        What the tokenizer's normalizer changes (such as Unicode composition) does not count as lost.
        """
        if self.known_bytes is not None:
            # Byte-level: decoding is the inverse of encoding but for bytes that the vocabulary lacks.
            if not unicodedata.is_normalized("NFC", text) and self.tokenizer.normalizer is not None:
                text = unicodedata.normalize("NFC", text)
            return not text.encode().translate(None, self.known_bytes)
        decoded = self.decode(ids)
        if text in decoded:
            return True
        normalizer = self.tokenizer.normalizer
        return _bare(text if normalizer is None else normalizer.normalize_str(text)) in _bare(decoded)


def _bare(text: str) -> str:
    # Word marks stand for spaces, and runs of spaces are normalized in ways of each tokenizer's own.
    return "".join(unicodedata.normalize("NFC", text.replace("\u2581", " ")).split())


@lru_cache(maxsize=256)
def segment_ids(codec: Codec, text: str) -> tuple[int, ...]:
    """Ids of a text that occurs in many rows, such as a system message or what stands before an answer."""
    return tuple(codec.encode_batch([text])[0])


def make_codec(
    tokenizer: PreTrainedTokenizerBase,
    options: ChatConfig,
    *,
    stop_ids: Iterable[int] = (),
    positions: int | None = None,
    media: MediaProcessor | None = None,
    known: Known = NOTHING_KNOWN,
) -> Codec:
    """Build the codec of a model.

    A checkpoint without a template, where none is named, gets a codec that encodes plain texts and refuses chats.

    Args:
        tokenizer: The checkpoint's tokenizer.
        options: Template and length.
        stop_ids: `eos_token_id` of the checkpoint's generation config.
        positions: The longest sequence that the model's positions allow.
        media: The processor of a multimodal model.
        known: What is known of the model's family.

    Raises:
        TemplateError: The template cannot be used, the tokenizer is not a fast one, or nothing ends an answer.
        ConfigError: A template, grounding format, tool format or loss scale does not exist or cannot be used so.
    """
    backend = _backend(tokenizer)
    described = backend.to_str()  # megabytes, so once
    end, eos_ids = _ends(tokenizer, stop_ids)
    template, origin = _template(tokenizer, backend, options)
    template, media = _with_media(template, media)
    chosen = _chosen(options, template, known)
    return Codec(
        tokenizer=backend,
        template=template,
        eos_ids=eos_ids,
        end_id=end,
        pad_id=min(eos_ids) if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id),
        bos_id=_optional_int(tokenizer.bos_token_id),
        vocab_size=backend.get_vocab_size(with_added_tokens=True),
        max_length=_max_length(tokenizer, options, positions),
        template_source=origin,
        fingerprint=_fingerprint(described, template, eos_ids, options, media, chosen),
        stops=tuple(text for text in (backend.id_to_token(stop) for stop in sorted(eos_ids)) if text),
        **_added_tokens(backend, described),
        media=media,
        **chosen,
    )


def _chosen(options: ChatConfig, template: ChatTemplate, known: Known) -> dict[str, Any]:
    """The codec's attributes that the user or the model's family chooses by name."""
    writes = writing_format(options.tool_format, template, known.tools) if template.source else ""
    return {
        "notes": _notes(template, writes),
        "recommended": known.template,
        "grounding": choose(options.grounding, known.grounding, options.norm_bbox),
        "writes_tools": writes,
        "family_tools": known.tools,
        "loss_scale": read_loss_scale(options.loss_scale),
    }


def _optional_int(value: int | None) -> int | None:
    return None if value is None else int(value)


def _with_media(template: ChatTemplate, media: MediaProcessor | None) -> tuple[ChatTemplate, MediaProcessor | None]:
    """Template and processor, each knowing of the other how media stand in the text."""
    if media is None or not template.source:
        return template, media
    template = adapt_media(template, media.tokens)
    media = media.settled(kind for kind, _ in template.dialect.placeholders)
    return adapt_media(template, media.tokens), media


def _added_tokens(backend: Tokenizer, described: str) -> dict[str, Any]:
    """The codec's attributes about added tokens, and about bytes."""
    state: dict[str, Any] = orjson.loads(described)
    added = backend.get_added_tokens_decoder()
    return {
        "added_ids": frozenset(added),
        "number_of": {token.content: number for number, token in added.items()},
        "anchor": anchor(added),
        "special": any_of(token.content for token in added.values() if token.special),
        "added": any_of(token.content for token in added.values()) if splits_apart(backend, state) else None,
        "known_bytes": known_bytes(state),
    }


def _backend(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    from transformers import PreTrainedTokenizerFast

    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise TemplateError(
            f"the tokenizer {type(tokenizer).__name__} has no fast form, so tokens cannot be traced to their text",
            hint="convert it once, so that the folder gets a tokenizer.json: AutoTokenizer.from_pretrained(...)"
            ".save_pretrained(folder), with save_format='hf' where it is of mistral-common",
        )
    backend: Tokenizer = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_padding()
    backend.no_truncation()
    return backend


def _ends(tokenizer: PreTrainedTokenizerBase, stop_ids: Iterable[int]) -> tuple[int, frozenset[int]]:
    """The end token, and all ids at which generation stops."""
    eos_ids = frozenset(int(stop) for stop in stop_ids)
    if tokenizer.eos_token_id is not None:
        return int(tokenizer.eos_token_id), eos_ids | {int(tokenizer.eos_token_id)}
    if not eos_ids:
        raise TemplateError(
            "the tokenizer has no end token, so no answer would ever stop",
            hint="set eos_token in tokenizer_config.json",
        )
    return min(eos_ids), eos_ids


def _template(tokenizer: PreTrainedTokenizerBase, backend: Tokenizer, options: ChatConfig) -> tuple[ChatTemplate, str]:
    named: dict[str, Any] = tokenizer.special_tokens_map
    specials = tuple((name, text) for name, text in named.items() if isinstance(text, str))
    own = tokenizer.chat_template
    tools_source = None
    if options.template is not None and Path(options.template).is_file():
        source, origin = Path(options.template).read_text(encoding="utf-8"), f"the file {options.template}"
    elif options.template is not None:
        bos = tokenizer.bos_token_id is not None and backend.encode("", add_special_tokens=True).ids[:1] == [
            tokenizer.bos_token_id
        ]
        source = fallback(options.template, bos=bos, end_token=dict(specials).get("eos_token"))
        origin = f"the built-in {options.template}, not the checkpoint's"
    elif isinstance(own, dict) and "default" in own:
        source, tools_source, origin = own["default"], own.get("tool_use"), CHECKPOINT
    elif isinstance(own, str):
        source, origin = own, CHECKPOINT
    else:
        return ChatTemplate("", specials), ""
    return adapt(ChatTemplate(source, specials, tools_source)), origin


def _max_length(tokenizer: PreTrainedTokenizerBase, options: ChatConfig, positions: int | None) -> int:
    if options.max_length is not None:
        return options.max_length
    # A tokenizer that knows no limit says so with a number of the order of 1e30.
    return int(min(DEFAULT_MAX_LENGTH, positions or tokenizer.model_max_length))


def _fingerprint(
    described: str,
    template: ChatTemplate,
    eos_ids: frozenset[int],
    options: ChatConfig,
    media: MediaProcessor | None,
    chosen: Mapping[str, Any],
) -> str:
    dated = "strftime_now" in template.source + (template.tools_source or "")
    parts = [
        CHAT_VERSION,
        hashlib.sha256(described.encode()).hexdigest(),
        template.source,
        template.tools_source,
        template.special_tokens,
        sorted(eos_ids),
        options.model_dump(mode="json"),
        date.today().isoformat() if dated else None,
        None if media is None else media.fingerprint,
        asdict(chosen["grounding"]),
        chosen["writes_tools"],
        asdict(chosen["loss_scale"]),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _notes(template: ChatTemplate, writes: str) -> tuple[str, ...]:
    notes = []
    if not template.dialect.system:
        notes.append("the template has no system role: system messages go in front of the first user message")
    if writes:
        why = "" if template.dialect.tools else ": the template has no place for them"
        notes.append(f"tools, where rows have any, are written as text in the format {writes}{why}")
    return tuple(notes)
