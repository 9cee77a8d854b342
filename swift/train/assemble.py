"""From configuration to a run: everything that happens before the first step, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import torch

from swift.batch import Batch
from swift.chat.codec import Codec
from swift.chat.predicates import require
from swift.config.chat import ChatConfig
from swift.config.sft import SftConfig
from swift.config.tuner import LoraConfig, PeftConfig
from swift.data.collate import collate
from swift.data.feed import MapFeed
from swift.data.ledger import Ledger
from swift.data.order import Share
from swift.data.plugins import load_plugins
from swift.data.prepare import Rows
from swift.data.slices import ONE_BY_ONE, slice_limit
from swift.engines.lanes import Limits
from swift.errors import ConfigError
from swift.evaluation.task import Task
from swift.hub import Located
from swift.losses.token import token_losses
from swift.models.compiled import require_compiler
from swift.models.load import load_config, load_tokenizer
from swift.models.locate import locate_model
from swift.models.offload import make_offload
from swift.models.parts import parts_by_parameter
from swift.models.quantize.layers import number_type
from swift.models.quantize.size import weight_elements
from swift.models.structure import head_dim, output_head
from swift.objectives.sft import SftObjective
from swift.planning.codec import run_codec
from swift.planning.skeleton import require_trainable
from swift.train.banner import banner
from swift.train.best import OF_ROWS, Goal, goal_of
from swift.train.checkpoint import clean_temporary, find_checkpoint
from swift.train.early import require_fitting
from swift.train.environment import git_revision, library_versions
from swift.train.events import Listener, RunInfo
from swift.train.feeds import make_evaluation, make_feed
from swift.train.fit import make_fit
from swift.train.levers import levers
from swift.train.listeners import make_trackers, plugin_listeners
from swift.train.listeners.console import Console
from swift.train.listeners.jsonl import JsonLines
from swift.train.listeners.plots import Plots
from swift.train.listeners.record import Totals
from swift.train.memory import keep_freed_memory
from swift.train.optim import StepOptimizer, build_optimizer
from swift.train.optimizers import choose
from swift.train.parallel.processes import Parallel
from swift.train.parallel.start import device_of, require_same_start
from swift.train.prepare_model import Prepared, import_code, prepare_model
from swift.train.questions import Questions, measures_of, read_questions
from swift.train.rng import seed_everything, seed_process
from swift.train.rows import shared_rows
from swift.train.run import Run
from swift.train.run_folder import (
    RunRecord,
    open_run_folder,
    public_config,
    read_record,
    require_same,
    write_record,
)
from swift.train.saving import require_same_share, restore
from swift.train.scaling import LossScale, make_loss_scale
from swift.train.schedule import Schedule, schedules
from swift.train.state import State
from swift.train.thinking import taught_thinking
from swift.tuners.methods import method_options


@contextmanager
def assembled(config: SftConfig, parallel: Parallel) -> Iterator[Run]:
    """A run that is ready for `train`; its folder is ours for the block.

    Args:
        config: All of it.
        parallel: The processes that train together; all of them assemble the same run.

    Raises:
        SwiftError: Anything that the user can fix, before anything expensive where possible.
    """
    load_plugins(config.loop.plugins)
    # A wrong name shall not wait for the model.
    token_losses.get(config.loop.loss)
    schedules.get(config.schedule.name)
    if isinstance(config.tuner, PeftConfig):
        method_options(config.tuner)
    choose(config.optimizer)
    seed_everything(config.loop.seed)
    device = device_of(parallel.place, config.model)
    if parallel.size > 1:  # whoever asks for the device later gets this process' own
        config = config.model_copy(update={"model": config.model.model_copy(update={"device": str(device)})})
    config = _fitting(config, device, parallel)
    if config.loop.allocator == "auto" and device.type == "cpu":
        keep_freed_memory()
    with _folder(config, parallel) as (folder, checkpoint):
        yield _build(config, parallel, folder, device, checkpoint, Ledger())


def _fitting(config: SftConfig, device: torch.device, parallel: Parallel) -> SftConfig:
    """What the optimizer's ways of saving memory need of the device and of the others; refused where it is not so."""
    if config.optimizer.offload and device.type == "cpu":
        raise ConfigError(
            "optimizer.offload moves state to main memory, and the device is the CPU, where it is already",
            hint="leave out --optim_offload",
        )
    if choose(config.optimizer).spec.accelerator and device.type == "cpu":
        raise ConfigError(
            f"optimizer.name is {config.optimizer.name}, which pages its state to and from an accelerator, and the "
            "device is the CPU",
            hint="take the same one without paged_",
        )
    if config.loop.offload_activations and device.type == "cpu":
        raise ConfigError(
            "loop.offload_activations moves them to main memory, and the device is the CPU, where they are already",
            hint="leave out --activation_cpu_offload; --gradient_checkpointing true needs less memory anywhere",
        )
    if config.loop.compile_blocks:
        require_compiler(device)
    if not config.optimizer.updates_in_backward:
        return config
    if parallel.size > 1:
        raise ConfigError(
            f"updates in the backward pass come before {parallel.size} processes have added up their gradients",
            hint="use one process, or leave out --optim_in_backward",
        )
    # A slice would be a backward pass of its own.
    return config.model_copy(update={"batch": config.batch.model_copy(update={"slice_tokens": 0})})


@contextmanager
def _folder(config: SftConfig, parallel: Parallel) -> Iterator[tuple[Path, Path | None]]:
    """The run folder, which the first process keeps for all, and the checkpoint to resume from."""
    resume, folder = config.checkpoint.resume, Path(config.output_dir)
    if not parallel.main:
        yield folder, parallel.broadcast(None)
        return
    with open_run_folder(folder, resume=resume is not None, overwrite=config.overwrite):
        clean_temporary(folder)
        yield folder, parallel.broadcast(find_checkpoint(resume, folder) if resume is not None else None)


def _build(
    config: SftConfig, parallel: Parallel, folder: Path, device: torch.device, checkpoint: Path | None, ledger: Ledger
) -> Run:
    with parallel.local_main_first("downloading the model"):
        located = locate_model(config.model)
    model_config = load_config(located, trust_remote_code=config.model.trust_remote_code)
    require_trainable(config, located.id, model_config, device)
    # Importing a model's code takes as long as the tokenizer does; weights wait until the rows are known.
    importing = Thread(target=import_code, args=(model_config,), name="imports", daemon=True)
    importing.start()
    tokenizer = load_tokenizer(located, trust_remote_code=config.model.trust_remote_code)
    codec = run_codec(config, located, tokenizer, model_config)
    if config.task == "sft":
        require(codec, config.chat)
    importing.join()
    require_fitting(config, located, device)
    rows = shared_rows(config, codec, ledger, parallel)
    with parallel.local_main_first("reading the questions"):
        tasks = read_questions(config)
    goal = _goal(config, rows, tasks)
    # What is streamed is not known: every kind that the model takes is tried.
    media = frozenset(codec.media.tokens) if codec.media and config.data.streaming else rows.store.media_kinds
    prepared = prepare_model(
        config, located, tokenizer, codec, checkpoint=checkpoint, media=media, rows=_first_rows(config, codec, rows)
    )
    return _Assembly(config, parallel, folder, device, located, codec, rows, tasks, goal, prepared, checkpoint).run()


def _goal(config: SftConfig, rows: Rows, tasks: Sequence[Task]) -> Goal:
    """What the best checkpoint is; a wrong name shall not wait for the model."""
    validated = len(rows.store.sequences_in_order(rows.selection.validation)) > 0
    known = {**(OF_ROWS if validated else {}), **measures_of(tasks)}
    return goal_of(config.evaluation, known) if known else Goal()


def _first_rows(config: SftConfig, codec: Codec, rows: Rows) -> Callable[[], list[Batch]] | None:
    """The first rows, a batch each, for tuners that look at some."""
    if not isinstance(config.tuner, LoraConfig):
        return None
    wanted = config.tuner.init_rows

    def first() -> list[Batch]:
        if config.data.streaming:
            raise ConfigError("tuner.init looks at training rows, and these are streamed", hint="--streaming false")
        media = None if codec.media is None else codec.media.inputs
        picked = [rows.store[number] for number in rows.store.sequences_in_order(rows.selection.train)[:wanted]]
        return [collate([tokens], padding_free=False, pad_id=codec.pad_id, media=media) for tokens in picked]

    return first


@dataclass(frozen=True, slots=True)
class _Assembly:
    """The parts, once rows and model are there."""

    config: SftConfig
    parallel: Parallel
    folder: Path
    device: torch.device
    located: Located
    codec: Codec
    rows: Rows
    tasks: Sequence[Task]
    goal: Goal
    prepared: Prepared
    checkpoint: Path | None

    def run(self) -> Run:
        """Put them together."""
        run = self.parts()
        if self.checkpoint is not None:
            require_same_share(run, self.checkpoint)
        if self.parallel.main:
            self.record(run)
        if self.parallel.size > 1:
            # Adapters began alike on every process; from here on each draws its own numbers.
            seed_process(self.config.loop.seed, self.parallel.rank)
        if self.checkpoint is not None:
            restore(run, self.checkpoint)
        require_same_start(self.parallel, run.policy.model, {"steps": f"{run.total_steps}", **run.fingerprints})
        if self.parallel.main:
            run.listeners = self.listeners()
        fit = make_fit(self.config, self.prepared, run.feed, self.device, self.parallel.place)
        active = levers(run, self.prepared)
        run.info = banner(run, self.located, self.codec, self.rows, self.prepared, fit, active)
        if self.parallel.main:
            # Only now is it known whether memory asks for checkpointing.
            write_record(self.folder, replace(read_record(self.folder), levers=active))
        run.trial = fit.trial and isinstance(run.feed, MapFeed)
        return run

    def parts(self) -> Run:
        """The run before anything is restored, recorded or shown."""
        config, prepared, parallel = self.config, self.prepared, self.parallel
        padding_free = prepared.layout.padding_free
        share = Share(parallel.rank, parallel.size)
        feed = make_feed(config, self.codec, self.rows, padding_free=padding_free, share=share)
        total_steps = feed.total_steps
        if total_steps is None:
            raise ConfigError("streaming needs to know when to stop", hint="set --max_steps")
        for part in prepared.technique.stepwise:
            part.start(total_steps)
        usual = choose(config.optimizer).spec.rate or (1e-4 if prepared.technique.adapter else 1e-5)
        rate = config.optimizer.learning_rate or usual
        dtype = number_type(prepared.base)
        if prepared.layout.one_by_one and config.optimizer.updates_in_backward and config.batch.size > 1:
            raise ConfigError(
                "this model takes samples one by one, and updates in the backward pass need one to a step",
                hint="add --per_device_train_batch_size 1, or leave out --optim_in_backward",
            )
        return Run(
            config=config,
            folder=self.folder,
            device=self.device,
            policy=prepared.policy,
            objective=SftObjective(config.loop.loss, config.loop.label_smoothing),
            evaluation_objective=SftObjective(config.loop.loss, with_correct=True),
            optimizer=self.optimizer(rate, make_loss_scale(dtype, self.device)),
            schedule=Schedule(config.schedule, rate, total_steps),
            feed=feed,
            evaluation=make_evaluation(config, self.codec, self.rows, padding_free=padding_free),
            questions=self.questions(),
            goal=self.goal,
            write_weights=prepared.write_weights,
            stepwise=prepared.technique.stepwise,
            state=State(),
            total_steps=total_steps,
            # `auto` is another type on another machine, and then no resumed step would be the same.
            fingerprints={
                "data": self.rows.fingerprint,
                "number type": str(dtype).removeprefix("torch."),
                **({} if prepared.quantization is None else {"quantization": prepared.quantization}),
            },
            info=RunInfo((), total_steps, self.folder),
            slice_tokens=ONE_BY_ONE
            if prepared.layout.one_by_one
            else slice_limit(config.batch.slice_tokens, self.device),
            parallel=parallel,
            offload=make_offload(self.device) if config.loop.offload_activations else None,
        )

    def optimizer(self, rate: float, scale: LossScale) -> StepOptimizer:
        """The optimizer over what is trained, with the peak rate `rate`."""
        base = self.prepared.base
        return build_optimizer(
            self.prepared.policy.model,
            self.config.optimizer,
            rate,
            scale,
            parts_by_parameter(base),
            head=list(output_head(base).parameters()),
            head_dim=head_dim(base),
            seed=self.config.loop.seed,
        )

    def questions(self) -> Questions | None:
        """What is asked at each evaluation."""
        if not self.tasks:
            return None
        evaluation = self.config.evaluation
        limits = Limits(evaluation.max_batch_tokens, evaluation.max_batch_size)
        return Questions(self.tasks, self.prepared.base, self.prepared.layout.usual, self.codec, self.chat(), limits)

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
            parameters={
                "total": weight_elements(run.policy.model),
                "trained": sum(p.numel() for p in run.policy.model.parameters() if p.requires_grad),
            },
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
            Totals(),
            Console(logging.every),
            *([Plots()] if logging.plots else []),
            *make_trackers(logging.trackers),
            *plugin_listeners(),
        ]
