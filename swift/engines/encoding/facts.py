"""What a checkpoint's files say of vectors, labels and scores; no torch.

The files of sentence-transformers are `modules.json` (the steps), one `config.json` a step, and two at the top.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from swift.config.encoding import EncodingConfig
from swift.errors import ModelError
from swift.types import Task

Pooling = Literal["last", "mean", "cls"]
Activation = Literal["none", "sigmoid", "softmax"]

_POOLINGS: Mapping[str, Pooling] = {"cls": "cls", "mean": "mean", "lasttoken": "last"}
_OLD_POOLING = {"cls_token": "cls", "mean_tokens": "mean", "lasttoken": "lasttoken"}
_ACTIVATIONS: Mapping[str, Activation] = {"Sigmoid": "sigmoid", "Identity": "none", "Softmax": "softmax"}
_GENERATING = ("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the files say; None and empty where they do not.

    Attributes:
        architecture: Class that the weights were saved from.
        pooling: Which states become the vector.
        normalize: Whether vectors are made one long.
        dense: Folders of layers that vectors go through behind the pooling, in order.
        longest: Tokens that prompts were cut to in training.
        lower: Whether texts are put into lower case first.
        prefix: What stands in front of every text.
        cross: Whether it was saved as a cross-encoder.
        activation: What makes scores of a cross-encoder's outputs.
        dimensions: Lengths that vectors may be cut to; empty where none are named.
    """

    architecture: str = ""
    pooling: Pooling | None = None
    normalize: bool | None = None
    dense: tuple[Path, ...] = ()
    longest: int | None = None
    lower: bool = False
    prefix: str = ""
    cross: bool = False
    activation: Activation | None = None
    dimensions: tuple[int, ...] = ()

    @property
    def classifies(self) -> bool:
        """Whether the weights have a head that tells labels."""
        return self.architecture.endswith("ForSequenceClassification")

    @property
    def generates(self) -> bool:
        """Whether the weights have a head that tells tokens."""
        return self.architecture.endswith(_GENERATING)


def read_facts(folder: Path, options: EncodingConfig) -> Facts:
    """Read a checkpoint's files.

    Args:
        folder: It, in Hugging Face's layout.
        options: What the user says: a pooling that is named makes that of the files of no account.

    Raises:
        ModelError: A file is damaged, or asks for a step that is not known.
    """
    config = _json(folder / "config.json")
    ours = _json(folder / "config_sentence_transformers.json")
    bert = _json(folder / "sentence_bert_config.json")
    inside = config.get("sentence_transformers") or {}
    named = (
        inside.get("activation_fn") or ours.get("activation_fn") or config.get("sbert_ce_default_activation_function")
    )
    steps = _steps(folder, options)
    return Facts(
        architecture=str((config.get("architectures") or [""])[0]),
        pooling=steps.pooling,
        normalize=steps.normalize,
        dense=steps.dense,
        longest=bert.get("max_seq_length"),
        lower=bool(bert.get("do_lower_case")),
        prefix=(ours.get("prompts") or {}).get(ours.get("default_prompt_name") or "", ""),
        cross=ours.get("model_type") == "CrossEncoder" or named is not None,
        activation=_activation(named),
        dimensions=tuple(config.get("matryoshka_dimensions") or ()),
    )


def task_of(facts: Facts, options: EncodingConfig, *, labels: int, causal: bool, bare: bool, template: bool) -> Task:
    """What a checkpoint does: what the user says, or else what its architecture and files say.

    Args:
        facts: Its files.
        options: What the user says.
        labels: How many labels its head has, if it has one.
        causal: Whether its architecture generates, so that tokens see only what is before them.
        bare: Whether its class is known to have no head, or one that fills in blanks.
        template: Whether it has a chat template.

    A head with one label scores pairs, or answers: answers where it stands on a model that chats and was not saved as
    a cross-encoder.
    """
    if options.task != "auto":
        return options.task
    if facts.classifies:
        if labels > 1:
            return "classify"
        return "reward" if causal and template and not facts.cross else "rerank"
    return "embed" if bare or facts.pooling is not None else "generate"


@dataclass(frozen=True, slots=True)
class _Steps:
    pooling: Pooling | None = None
    normalize: bool | None = None
    dense: tuple[Path, ...] = ()


def _steps(folder: Path, options: EncodingConfig) -> _Steps:
    """The steps behind the model."""
    listed = _json(folder / "modules.json", kind=list)
    if not any(str(step.get("type", "")).endswith("Pooling") for step in listed):
        return _Steps()
    pooling: Pooling | None = None
    normalize, dense = False, []
    for step in listed:
        place = folder / str(step.get("path") or "")
        name = str(step.get("type", "")).rpartition(".")[2]
        if name == "Pooling":
            pooling = options.pooling if options.pooling != "auto" else _pooling(place)
        elif name == "Dense":
            dense.append(place)
        elif name == "Normalize":
            normalize = True
        elif name != "Transformer":
            raise ModelError(f"{folder / 'modules.json'} has a step {name!r}, which is not known here")
    return _Steps(pooling, normalize, tuple(dense))


def _pooling(place: Path) -> Pooling:
    config = _json(place / "config.json")
    if not config.get("include_prompt", True):
        raise ModelError(
            f"{place / 'config.json'} leaves instructions out of the vector, which is not done here",
            hint="name a --pooling to take all tokens",
        )
    mode = config.get("pooling_mode")
    marks = {
        name.removeprefix("pooling_mode_") for name, on in config.items() if name.startswith("pooling_mode_") and on
    }
    modes = [_OLD_POOLING.get(mark, mark) for mark in sorted(marks)] if mode is None else mode
    first = modes if isinstance(modes, str) else modes[0] if len(modes) == 1 else "+".join(modes)
    if first not in _POOLINGS:
        raise ModelError(
            f"{place / 'config.json'} pools by {first!r}; known are {', '.join(_POOLINGS)}",
            hint="name another with --pooling, if the model can do with it",
        )
    return _POOLINGS[first]


def _activation(named: Any) -> Activation | None:
    if named is None:
        return None
    last = str(named).rpartition(".")[2]
    if last not in _ACTIVATIONS:
        raise ModelError(f"the checkpoint makes scores by {last!r}, which is not known here", hint="name --activation")
    return _ACTIVATIONS[last]


def _json(path: Path, kind: type = dict) -> Any:
    """What a file holds; empty where there is none."""
    if not path.is_file():
        return kind()
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}", hint="download it again") from error
    if not isinstance(value, kind):
        raise ModelError(f"{path} does not hold a JSON {kind.__name__}", hint="download it again")
    return value
