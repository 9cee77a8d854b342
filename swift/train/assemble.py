"""From configuration to a run: everything that happens before the first step, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import torch

from swift.batch import Batch
from swift.chat.codec import Codec
from swift.chat.load import load_codec
from swift.chat.predicates import require
from swift.config.chat import ChatConfig
from swift.config.runs import SftConfig
from swift.data.feed import EvaluationBatches, MapFeed
from swift.data.ledger import Ledger
from swift.data.plugins import load_plugins
from swift.data.prepare import Rows, prepare_rows
from swift.data.slices import slice_limit
from swift.data.stream import stream_rows
from swift.data.stream_feed import StreamFeed
from swift.errors import ConfigError
from swift.hub import Located
from swift.losses.token import token_losses
from swift.models.gguf import as_folder
from swift.models.load import load_config, load_tokenizer, resolve_device
from swift.models.locate import locate_model, template_hint
from swift.models.parts import parts_by_parameter
from swift.models.vocabulary import add_special_tokens
from swift.objectives.sft import SftObjective
from swift.train.banner import banner
from swift.train.checkpoint import clean_temporary, find_checkpoint
from swift.train.environment import git_revision, library_versions
from swift.train.events import Listener, RunInfo
from swift.train.fit import make_fit
from swift.train.listeners import make_trackers, plugin_listeners
from swift.train.listeners.console import Console
from swift.train.listeners.jsonl import JsonLines
from swift.train.listeners.plots import Plots
from swift.train.memory import keep_freed_memory
from swift.train.optim import build_optimizer
from swift.train.prepare_model import Prepared, import_code, prepare_model
from swift.train.rng import seed_everything
from swift.train.run import Run
from swift.train.run_folder import (
    RunRecord,
    open_run_folder,
    public_config,
    read_record,
    require_same,
    write_record,
)
from swift.train.saving import restore
from swift.train.scaling import make_loss_scale
from swift.train.schedule import Schedule, schedules
from swift.train.state import State
from swift.train.thinking import taught_thinking


@contextmanager
def assembled(config: SftConfig) -> Iterator[Run]:
    """A run that is ready for `train`; its folder is ours for the block.

    Raises:
        SwiftError: Anything that the user can fix, before anything expensive where possible.
    """
    load_plugins(config.loop.plugins)
    # A wrong name shall not wait for the model.
    token_losses.get(config.loop.loss)
    schedules.get(config.schedule.name)
    seed_everything(config.loop.seed)
    device = resolve_device(config.model.device)
    if config.loop.allocator == "auto" and device.type == "cpu":
        keep_freed_memory()
    resume = config.checkpoint.resume
    folder_of = open_run_folder(Path(config.output_dir), resume=resume is not None, overwrite=config.overwrite)
    with folder_of as folder:
        clean_temporary(folder)
        checkpoint = find_checkpoint(resume, folder) if resume is not None else None
        yield _build(config, folder, device, checkpoint, Ledger())


def _build(config: SftConfig, folder: Path, device: torch.device, checkpoint: Path | None, ledger: Ledger) -> Run:
    located = locate_model(config.model)
    model_config = load_config(located, trust_remote_code=config.model.trust_remote_code)
    # Importing a model's code takes longer than tokenizing a small data set; weights wait until the rows are known.
    importing = Thread(target=import_code, args=(model_config,), name="imports", daemon=True)
    importing.start()
    tokenizer = load_tokenizer(located, trust_remote_code=config.model.trust_remote_code)
    add_special_tokens(tokenizer, config.model.new_special_tokens)
    hint = template_hint(config.model, model_config, tokenizer)
    codec = load_codec(
        as_folder(located),
        tokenizer,
        model_config,
        config.chat,
        media=config.media,
        trust_remote_code=config.model.trust_remote_code,
        recommended=hint,
    )
    if config.task == "sft":
        require(codec, config.chat)
    rows = prepare_rows(config, codec, ledger)
    importing.join()
    media = codec.media is not None and (config.data.streaming or rows.store.has_media)
    prepared = prepare_model(config, located, tokenizer, codec, checkpoint=checkpoint, media=media)
    return _Assembly(config, folder, device, located, codec, rows, prepared, checkpoint).run()


@dataclass(frozen=True, slots=True)
class _Assembly:
    """The parts, once rows and model are there."""

    config: SftConfig
    folder: Path
    device: torch.device
    located: Located
    codec: Codec
    rows: Rows
    prepared: Prepared
    checkpoint: Path | None

    def run(self) -> Run:
        """Put them together."""
        config, prepared = self.config, self.prepared
        feed = self.feed()
        total_steps = feed.total_steps
        if total_steps is None:
            raise ConfigError("streaming needs to know when to stop", hint="set --max_steps")
        objective = SftObjective(config.loop.loss, config.loop.label_smoothing)
        rate = config.optimizer.learning_rate or (1e-4 if prepared.adapter else 1e-5)
        dtype = next(prepared.policy.model.parameters()).dtype
        scale = make_loss_scale(dtype, self.device)
        run = Run(
            config=config,
            folder=self.folder,
            device=self.device,
            policy=prepared.policy,
            objective=objective,
            evaluation_objective=SftObjective(config.loop.loss, with_correct=True),
            optimizer=build_optimizer(
                prepared.policy.model, config.optimizer, rate, scale, parts_by_parameter(prepared.base)
            ),
            schedule=Schedule(config.schedule, rate, total_steps),
            feed=feed,
            evaluation=self.evaluation(),
            write_weights=prepared.write_weights,
            state=State(),
            total_steps=total_steps,
            # `auto` is another type on another machine, and then no resumed step would be the same.
            fingerprints={"data": self.rows.fingerprint, "number type": str(dtype).removeprefix("torch.")},
            info=RunInfo((), total_steps, self.folder),
            slice_tokens=slice_limit(config.batch.slice_tokens, self.device),
        )
        self.record(run)
        if self.checkpoint is not None:
            restore(run, self.checkpoint)
        run.listeners = self.listeners()
        fit = make_fit(config, prepared, feed, self.device)
        run.info = banner(run, self.located, self.codec, self.rows, prepared, fit)
        run.trial = fit.trial and isinstance(feed, MapFeed)
        return run

    def feed(self) -> MapFeed | StreamFeed:
        """Where the steps come from."""
        config, layout = self.config, self.prepared.layout
        media = None if self.codec.media is None else self.codec.media.inputs
        if config.data.streaming:
            return StreamFeed(
                lambda skip: stream_rows(config.data, skip=skip),
                self.rows.encoder,
                batch=config.batch,
                data=config.data,
                max_length=self.codec.max_length,
                max_steps=config.loop.max_steps,
                padding_free=layout.padding_free,
                pad_id=self.codec.pad_id,
                media=media,
                workers=1 if config.data.workers is None else config.data.workers,
                ledger=self.rows.ledger,
            )
        return MapFeed(
            self.rows.store,
            self.rows.selection.train,
            batch=config.batch,
            data=config.data,
            max_length=self.codec.max_length,
            epochs=config.loop.epochs,
            max_steps=config.loop.max_steps,
            padding_free=layout.padding_free,
            pad_id=self.codec.pad_id,
            media=None if self.codec.media is None else self.codec.media.inputs,
        )

    def evaluation(self) -> Sequence[Batch] | None:
        """The validation batches, if there are validation rows."""
        if not len(self.rows.store.sequences_in_order(self.rows.selection.validation)):
            return None
        return EvaluationBatches(
            self.rows.store,
            self.rows.selection.validation,
            batch=self.config.batch,
            max_length=self.codec.max_length,
            padding_free=self.prepared.layout.padding_free,
            pad_id=self.codec.pad_id,
            media=None if self.codec.media is None else self.codec.media.inputs,
        )

    def chat(self) -> ChatConfig:
        """The rendering options that inference should use after this run."""
        thinking = taught_thinking(self.config.chat, self.codec, self.rows)
        return self.config.chat.model_copy(update={"enable_thinking": thinking})

    def record(self, run: Run) -> None:
        """Write run.json and the ledger; on resume, make sure that it is the same run."""
        record = RunRecord(
            config=public_config(self.config.model_copy(update={"chat": self.chat()})),
            seed=self.config.loop.seed,
            fingerprints=run.fingerprints,
            versions=library_versions(),
            git=git_revision(Path.cwd()),
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            ledger=self.rows.ledger.totals().as_json(),
        )
        if self.checkpoint is not None and (self.folder / "run.json").is_file():
            saved = read_record(self.folder)
            require_same(saved, record, allow_change=self.config.checkpoint.allow_change)
            record = replace(record, started=saved.started)
        write_record(self.folder, record)
        self.rows.ledger.write(self.folder / "ledger.jsonl")

    def listeners(self) -> list[Listener]:
        """Who is told of what happens, in order."""
        logging = self.config.logging
        return [
            JsonLines(logging.every),
            Console(logging.every),
            *([Plots()] if logging.plots else []),
            *make_trackers(logging.trackers),
            *plugin_listeners(),
        ]
