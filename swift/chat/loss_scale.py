"""Weights within an answer: keywords, patterns and questions that make some of its text count more, less or nothing.

Scales are joined with `+`, and their weights multiply: `last_round+hermes+ignore_empty_think`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import orjson

from swift.errors import ConfigError, UnknownNameError
from swift.registry import Registry

Base = Literal["default", "last_round", "all"]
"""Which turns: as `train_on` says; what follows the last user or tool turn; every token, prompts included."""

Stretch = tuple[int, int, float]
"""Characters `start` to `end` (exclusive), and their weight."""


@dataclass(frozen=True, slots=True)
class Scale:
    """One way to weigh an answer.

    Attributes:
        keys: A keyword, its own weight, and that of the text behind it, up to the next keyword. Of keywords that
            begin at the same place, the longest counts. Text before the first one has the weight 1.
        patterns: A regular expression (`.` matches line ends too) and the weight of what it matches.
        questions: A text, and the weight of the whole answer to a question that has it in it; the first one counts,
            and keywords and patterns then do not.
    """

    keys: tuple[tuple[str, float, float], ...] = ()
    patterns: tuple[tuple[str, float], ...] = ()
    questions: tuple[tuple[str, float], ...] = ()

    def weigh(self, text: str, question: str, weights: np.ndarray[Any, np.dtype[np.float64]]) -> None:
        """Multiply `weights`, one for each character of `text`."""
        asked = next((weight for part, weight in self.questions if part in question), None)
        if asked is not None:
            weights *= asked
            return
        if self.keys:
            of_key = {key: (own, behind) for key, own, behind in self.keys}
            longest_first = sorted(of_key, key=len, reverse=True)
            found = list(re.finditer("|".join(map(re.escape, longest_first)), text))
            ends = [*(later.start() for later in found[1:]), len(text)]
            for match, end in zip(found, ends, strict=False):  # without a keyword there is one end
                own, behind = of_key[match[0]]
                weights[match.start() : match.end()] *= own
                weights[match.end() : end] *= behind
        for pattern, weight in self.patterns:
            for match in re.finditer(pattern, text, re.DOTALL):
                weights[match.start() : match.end()] *= weight


_REACT = (
    *(("Action:", 2, 2), ("Action Input:", 2, 2)),
    *(("Thought:", 1, 1), ("Final Answer:", 1, 1), ("Observation:", 2, 0)),
)
_CALL_WORDS = (
    *("Name:", "Action:", "ACTION:", "Tool:", "Command", "Arguments:"),
    *("action input", "ACTION_INPUT:", "Action Input:"),
)
_EMPTY_THINKING = (
    r"^<think>\s*</think>\s*",
    r"^<seed:think>\s*<seed:cot_budget_reflect>(?:(?!</seed:cot_budget_reflect>).)*</seed:cot_budget_reflect>\s*"
    r"</seed:think>\s*",
    r"^\s*</think>\s*",  # where the prompt has opened it
    r"^<\|channel>thought\n<channel\|>",
    r"^</mm:think>\s*",
)

loss_scales: Registry[Scale] = Registry("loss scale")
"""Every scale, by name."""

for _name, _scale in {
    "react": Scale(keys=_REACT),
    "alpha_umi": Scale(keys=(*_REACT, ("Next:", 2, 2))),
    "agentflan": Scale(
        keys=(
            *((key, 1, 3) for key in _CALL_WORDS),
            *(("Thought:", 1, 1), ("Final Answer:", 1, 1), ("Observation:", 2, 0)),
        ),
        questions=(
            ("What is the tool you want to use", 3),
            ("What are the required parameter names", 3),
            ("What is the value of", 3),
        ),
    ),
    "qwen": Scale(keys=(("✿FUNCTION✿:", 2, 2), ("✿ARGS✿:", 2, 2), ("✿RETURN✿:", 1, 1), ("✿RESULT✿:", 2, 0))),
    "hermes": Scale(patterns=((r"<tool_call>.+?</tool_call>", 2),)),
    "ignore_empty_think": Scale(patterns=tuple((pattern, 0) for pattern in _EMPTY_THINKING)),
    "ignore_think_prefix": Scale(patterns=((r"^<think>\n?", 0),)),
}.items():
    loss_scales.register(_name)(_scale)


@dataclass(frozen=True, slots=True)
class LossScale:
    """What `chat.loss_scale` asks for.

    Attributes:
        name: As the user wrote it.
        base: Which turns.
        scales: How their text is weighed.
    """

    name: str = "default"
    base: Base = "default"
    scales: tuple[Scale, ...] = ()

    def stretches(self, text: str, question: str) -> tuple[Stretch, ...]:
        """Where the weight of an answer's text is not 1 all over: its stretches of one weight, in order; else nothing.

        Args:
            text: What the model writes, without the stop token: thinking and calls as the template shows them.
            question: The turn before it.
        """
        if not self.scales or not text:
            return ()
        weights = np.ones(len(text))
        for scale in self.scales:
            scale.weigh(text, question, weights)
        if (weights == 1).all():
            return ()
        starts = [0, *(np.flatnonzero(np.diff(weights)) + 1).tolist()]
        return tuple((a, b, float(weights[a])) for a, b in zip(starts, [*starts[1:], len(text)], strict=True))


def read_loss_scale(text: str) -> LossScale:
    """The scales that a chain of names and JSON files means.

    A file holds an object of keywords and patterns: `{"Action:": [2, 2], "<tool_call>.+?</tool_call>": [2]}`, with two
    weights for a keyword and one for a pattern; or such an object as `response`, and texts of questions as `query`.

    Raises:
        ConfigError: A name is unknown, or a file cannot be used.
    """
    base: Base = "default"
    scales: list[Scale] = []
    for name in filter(None, (part.strip() for part in text.split("+"))):
        if name in get_args(Base):
            base = name if base == "default" else base  # type: ignore[assignment]  # one of them, as just seen
        elif name != "base":
            scales.append(_file(Path(name).expanduser()) if name.endswith(".json") else _named(name))
    return LossScale(text, base, tuple(scales))


def _named(name: str) -> Scale:
    if name not in loss_scales:
        known = sorted({*get_args(Base), *loss_scales})
        raise UnknownNameError("loss scale", name, known, hint=f"known: {', '.join(known)}, or a JSON file")
    return loss_scales.get(name)


def _file(path: Path) -> Scale:
    hint = 'such as {"Action:": [2, 2], "<tool_call>.+?</tool_call>": [2]}'
    try:
        values = orjson.loads(path.read_bytes())
        if not isinstance(values, dict):
            raise ValueError("it is not an object")
        nested = values.keys() & {"response", "query"} and all(isinstance(value, dict) for value in values.values())
        return _scale_of(values if nested else {"response": values})
    except OSError as error:
        raise ConfigError(f"--loss_scale {path} cannot be read: {error.strerror or error}", hint=hint) from error
    except (ValueError, re.error) as error:
        raise ConfigError(f"--loss_scale {path} cannot be used: {error}", hint=hint) from error


def _scale_of(values: Mapping[str, Any]) -> Scale:
    if unknown := values.keys() - {"response", "query"}:
        raise ValueError(f"it has {sorted(unknown)[0]!r} beside response and query")
    keys: list[tuple[str, float, float]] = []
    patterns: list[tuple[str, float]] = []
    for key, given in values.get("response", {}).items():
        weights = _weights(key, given)
        if len(weights) == 2:
            keys.append((key, *weights))
        else:
            re.compile(key)
            patterns.append((key, weights[0]))
    questions = tuple((key, _weights(key, given)[0]) for key, given in values.get("query", {}).items())
    return Scale(tuple(keys), tuple(patterns), questions)


def _weights(key: str, given: Any) -> list[float]:
    weights = given if isinstance(given, list) else [given]
    sound = all(isinstance(weight, int | float) and not isinstance(weight, bool) and weight >= 0 for weight in weights)
    if not key or not sound or len(weights) not in (1, 2):
        raise ValueError(
            f"{key!r} needs one weight (a pattern) or two (a keyword and the text behind it), none below 0"
        )
    return [float(weight) for weight in weights]
