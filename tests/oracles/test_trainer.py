"""Weights after eight steps, against `transformers.Trainer` on the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from swift.api import sft
from swift.chat.encode import encode
from swift.chat.load import load_codec
from swift.data.columns import to_sample
from swift.data.source import open_sources
from swift.data.syntax import parse
from swift.hub import Located
from swift.models.load import load_config, load_tokenizer
from swift.models.tiny import save_tiny
from swift.train.listeners.jsonl import read_lines
from swift.types import Row
from tests.train.runs import configure, write_rows

pytest.importorskip("accelerate", reason="transformers.Trainer needs accelerate")

STEPS, BATCH, ACCUMULATION = 8, 2, 3


def _examples(model: Path, rows: Path) -> list[dict[str, list[int]]]:
    """Our tokens and masks in the form that Trainer wants; the masks have oracles of their own."""
    located = Located(model, "folder", str(model), None)
    config = configure(model, rows, rows)
    codec = load_codec(model, load_tokenizer(located), load_config(located), config.chat)
    (source,) = open_sources(parse(str(rows)), config.data)
    found = []
    for row in source.rows():
        assert isinstance(row, Row)
        for tokens in encode(to_sample(row, config.data, "sft"), codec, config.chat).sequences:
            ids = tokens.ids.tolist()
            found.append(
                {"input_ids": ids, "labels": [i if w > 0 else -100 for i, w in zip(ids, tokens.weights, strict=True)]}
            )
    return found


def _collate(examples: list[dict[str, list[int]]]) -> dict[str, Tensor]:
    width = max(len(example["input_ids"]) for example in examples)

    def padded(name: str, fill: int) -> Tensor:
        return torch.tensor([e[name] + [fill] * (width - len(e[name])) for e in examples])

    mask = torch.tensor([[1] * len(e["input_ids"]) + [0] * (width - len(e["input_ids"])) for e in examples])
    return {"input_ids": padded("input_ids", 0), "labels": padded("labels", -100), "attention_mask": mask}


def _theirs(model: Path, rows: Path, output: Path) -> tuple[dict[str, Tensor], list[float]]:
    from torch.utils.data import SequentialSampler
    from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

    class InOrder(Trainer):
        def _get_train_sampler(self, *args: Any, **kwargs: Any) -> SequentialSampler:
            return SequentialSampler(self.train_dataset)  # type: ignore[arg-type]

    net = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, attn_implementation="eager")
    arguments = TrainingArguments(
        output_dir=str(output),
        max_steps=STEPS,
        per_device_train_batch_size=BATCH,
        gradient_accumulation_steps=ACCUMULATION,
        learning_rate=1e-3,
        lr_scheduler_type="cosine",
        warmup_steps=2,
        weight_decay=0.1,
        adam_beta2=0.95,
        max_grad_norm=1.0,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = InOrder(net, arguments, train_dataset=_examples(model, rows), data_collator=_collate)  # type: ignore[arg-type]
    trainer.train()
    return dict(net.state_dict()), [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "gemma2"])
def test_weights_equal_trainers(architecture: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = save_tiny(tmp_path / "model", architecture)
    rows = write_rows(tmp_path / "rows.jsonl", 40, seed=3)
    expected, losses = _theirs(model, rows, tmp_path / "theirs")
    folder = sft(
        configure(
            model,
            rows,
            tmp_path / "ours",
            data={"shuffle": False},
            batch={"size": BATCH, "accumulation": ACCUMULATION},
            tuner={"type": "full"},
            optimizer={"learning_rate": 1e-3, "weight_decay": 0.1, "beta2": 0.95},
            schedule={"name": "cosine", "warmup_steps": 2},
            loop={"max_steps": STEPS},
        )
    )
    ours = AutoModelForCausalLM.from_pretrained(folder / "last", dtype=torch.float32).state_dict()
    mine = [line["loss"] for line in read_lines(folder / "metrics.jsonl") if "loss" in line]
    assert mine == pytest.approx(losses, abs=2e-4)
    before = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).state_dict()
    assert ours.keys() == expected.keys()
    for name, value in expected.items():
        moved = float((value - before[name]).abs().max())
        apart = float((ours[name] - value).abs().max())
        # Adam moves a weight by up to the rate whatever the gradient's size, so rounding of tiny gradients shows.
        assert apart <= 0.02 * moved + 1e-6, name
