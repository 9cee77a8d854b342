"""What the catalog knows of a family of models, and how it is written down.

    qwen3:
      architectures: Qwen3ForCausalLM
      template: chatml
      tools: hermes *-Embedding-*=
      thinking: switch *-Base=none *-Thinking-2507*=always
      grounding: qwen3_vl
      repos:
        Qwen/Qwen3-{0.6B,8B}{,-Base} other/Name=ms-owner/Name ms://owner/OnlyOnModelScope

Braces expand as in a shell. On ModelScope a repository has the same name, under the owner that `owners.yaml` gives;
`=owner/` names another owner, `=owner/name` another name, a bare `=` that it is not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from swift.models.catalog.trait import Trait, read_trait

Modality = Literal["text", "multimodal"]

_BRACES = re.compile(r"\{([^{}]*)\}")
_MS = "ms://"


@dataclass(frozen=True, slots=True)
class Repo:
    """A checkpoint on the hubs.

    Attributes:
        hf: Its id on Hugging Face; empty where it is only on ModelScope.
        ms: Its id on ModelScope; empty where it is only on Hugging Face.
    """

    hf: str
    ms: str

    @property
    def name(self) -> str:
        """What to give to `--model`."""
        return self.hf or f"{_MS}{self.ms}"


@dataclass(frozen=True, slots=True)
class Family:
    """Checkpoints of one architecture.

    Attributes:
        name: The model type of transformers, where it has one.
        architectures: Class names in `config.json`.
        repos: Known checkpoints.
        modality: Whether it takes more than text.
        remote_code: transformers has no such architecture: the checkpoint's own code has to be trusted.
        template: Name of the fallback of `swift.chat.fallback` that suits a base model, which has no template.
        tools: Name of the format in which tools are offered and called.
        thinking: `none`; `always`: every answer begins with thinking; `switch`: `enable_thinking` decides.
        grounding: Name of the format of `swift.chat.grounding` in which it writes boxes in pictures.
    """

    name: str
    architectures: tuple[str, ...]
    repos: tuple[Repo, ...]
    modality: Modality = "text"
    remote_code: bool = False
    template: Trait = field(default_factory=Trait)
    tools: Trait = field(default_factory=Trait)
    thinking: Trait = field(default_factory=Trait)
    grounding: Trait = field(default_factory=Trait)


def read_family(name: str, values: Mapping[str, Any], modality: Modality, owners: Mapping[str, str]) -> Family:
    """A family from its entry in a catalog file."""
    return Family(
        name=name,
        architectures=tuple(str(values.get("architectures", "")).split()),
        repos=tuple(repo for word in str(values["repos"]).split() for repo in _repos(word, owners)),
        modality=modality,
        remote_code=bool(values.get("remote_code", False)),
        template=read_trait(values.get("template", "")),
        tools=read_trait(values.get("tools", "")),
        thinking=read_trait(values.get("thinking", "")),
        grounding=read_trait(values.get("grounding", "")),
    )


def _repos(word: str, owners: Mapping[str, str]) -> Iterator[Repo]:
    if word.startswith(_MS):
        yield from (Repo("", ms) for ms in expand_braces(word.removeprefix(_MS)))
        return
    left, said, right = word.partition("=")
    for hf in expand_braces(left):
        owner, _, name = hf.partition("/")
        if not said:
            yield Repo(hf, f"{owners.get(owner, owner)}/{name}")
        else:
            yield Repo(hf, right + name if right.endswith("/") else right)


def expand_braces(text: str) -> list[str]:
    """`a{b,c}` -> `ab`, `ac`; several braces multiply, the last one changing fastest."""
    found = _BRACES.search(text)
    if found is None:
        return [text]
    before, after = text[: found.start()], text[found.end() :]
    return [whole for part in found.group(1).split(",") for whole in expand_braces(before + part + after)]
