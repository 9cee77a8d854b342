"""What is held equal: the training recipe, the rows, and one run's description."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Mode = Literal["defaults", "matched"]
Dtype = Literal["bfloat16", "float32"]
Tuner = Literal["lora", "dora", "full", "galore"]
TUNERS: tuple[Tuner, ...] = get_args(Tuner)
ADAPTERS: frozenset[Tuner] = frozenset({"lora", "dora"})
"""The tuners that leave the model's own weights as they are."""

SYSTEM_MESSAGE = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
"""Written into every row, so that no system's template adds one of its own."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings that change what is learned; every system is given exactly these, in both modes.

    Attributes:
        rank: Rank of LoRA and DoRA, on every linear layer of the decoder.
        alpha: LoRA's updates are scaled by alpha / rank.
        galore_rank: What GaLore projects the gradients of the decoder's linear layers to.
        galore_gap: Steps between GaLore's singular value decompositions.
        galore_scale: Of GaLore's updates.
        batch: Sequences in an optimizer step.
        learning_rate: Constant, with AdamW, no weight decay, clipping at `max_grad_norm`.
        beta2: Decay of AdamW's second moment.
        max_length: Rows are cut at the right to this many tokens.
    """

    rank: int = 8
    alpha: int = 16
    batch: int = 4
    learning_rate: float = 1e-4
    beta2: float = 0.999
    max_grad_norm: float = 1.0
    max_length: int = 512
    seed: int = 42
    galore_rank: int = 32
    galore_gap: int = 50
    galore_scale: float = 1.0


RECIPE = Recipe()


@dataclass(frozen=True, slots=True)
class Example:
    """One row: a question and the answer that is trained on."""

    prompt: str
    answer: str

    def messages(self) -> list[dict[str, str]]:
        """The row in the widespread chat form, system message included."""
        return [
            {"role": "system", "content": SYSTEM_MESSAGE},
            {"role": "user", "content": self.prompt},
            {"role": "assistant", "content": self.answer},
        ]


@dataclass(frozen=True, slots=True)
class Job:
    """One run of one system.

    Attributes:
        model: Folder of a Hugging Face checkpoint whose chat template is ChatML.
        examples: The rows, in their order.
        folder: An empty folder for all that the run reads and writes.
        mode: defaults: each system as shipped, but for the recipe; matched: same batches, no recomputation.
        tuner: What is trained: LoRA, DoRA, every weight, or every weight through GaLore.
        dtype: What every system is told to compute in.
        max_steps: Steps after which to stop; None is one epoch.
        preload: A shared library that every process loads first, such as an allocator.
    """

    model: Path
    examples: tuple[Example, ...]
    folder: Path
    mode: Mode
    tuner: Tuner = "lora"
    dtype: Dtype = "bfloat16"
    max_steps: int | None = None
    preload: Path | None = None

    @property
    def adapter(self) -> bool:
        """Whether the model's own weights stay as they are."""
        return self.tuner in ADAPTERS

    @property
    def output(self) -> Path:
        """Where the system writes its run."""
        return self.folder / "output"


def read_examples(path: Path, count: int | None = None) -> tuple[Example, ...]:
    """Rows of a JSON list in Alpaca form (`instruction`, `input`, `output`), the first `count` or all.

    Raises:
        ValueError: The file holds fewer than `count` rows.
    """
    rows = json.loads(path.read_text(encoding="utf-8"))
    if count is not None and count > len(rows):
        raise ValueError(f"{path} has {len(rows)} rows, fewer than {count}")
    return tuple(
        Example("\n".join(part for part in (row["instruction"], row.get("input", "")) if part), row["output"])
        for row in rows[:count]
    )


_WORDS = (
    "the of and to in is that it was for on are as with his they at be this from have or by one had not but what all "
    "were when we there can an your which their said if do will each about how up out them then she many some so "
    "these would other into has more her two like him see time could no make than first been its who now people my "
    "made over did down only way find use may water long little very after words called just where most know"
).split()


def made_up_examples(count: int, seed: int = 0) -> tuple[Example, ...]:
    """Rows of random words whose lengths spread like those of instruction data; for speed, not for learning.

    Prompts have a log-normal number of words (median 12), answers too (median 57, heavy tail, at most 430), as
    fitted to a sample of Alpaca-like rows.
    """
    draw = random.Random(seed)

    def text(mean: float, deviation: float, longest: int) -> str:
        words = min(longest, max(1, round(draw.lognormvariate(mean, deviation))))
        return " ".join(draw.choices(_WORDS, k=words))

    return tuple(Example(text(2.5, 0.5, 130), text(4.04, 1.4, 430)) for _ in range(count))


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    """Write one JSON object a line; returns `path`."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path
