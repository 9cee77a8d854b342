"""The training loop. Setup is in `assemble`, one step in `step`; side effects are listeners."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from types import FrameType

import torch

from swift.data.slices import largest_piece
from swift.models.compiled import compiler_errors
from swift.train.best import judge
from swift.train.events import Evaluated, RunDone, RunStarted, Saved, StepDone
from swift.train.fit import dry_step, out_of_memory
from swift.train.parallel.ending import PeerLost
from swift.train.questions import ask
from swift.train.run import Run
from swift.train.saving import save
from swift.train.state import State
from swift.train.step import evaluate, train_step
from swift.train.stop import SIGNALS, Interrupted, elected, votes


def train(run: Run) -> State:
    """Take optimizer steps until the plan is spent, the run is stopped early, or a signal arrives.

    Raises:
        Interrupted: SIGINT or SIGTERM arrived; a checkpoint was saved first.
        PeerLost: Another process of the run has gone.
        TrainingError: A loss was not finite.
    """
    run.notify(RunStarted(run.info))
    try:
        with _signals(run), compiler_errors() if run.config.loop.compile_blocks else nullcontext():
            _steps(run)
            if run.stop_signal is None:  # it may have come after the last step
                run.stop_signal = elected(run.parallel.total(votes(run.asked)))
            _save(run)
    except BaseException as error:
        run.notify(RunDone(run.state, "failed"))
        if isinstance(error, PeerLost) and run.asked is not None:
            # Another process failed, and whoever noticed has asked this one to end: it has nothing to tell.
            raise SystemExit(128 + run.asked) from error
        raise
    if run.stop_signal is not None:
        run.notify(RunDone(run.state, "interrupted"))
        raise Interrupted(run.stop_signal)
    run.notify(RunDone(run.state, "stopped early" if run.stop_early else "finished"))
    return run.state


def _steps(run: Run) -> None:
    if run.trial:
        dry_step(run)
    if run.evaluates and run.state.step == 0 and run.config.evaluation.at_start:
        _evaluate(run)
    with closing(run.feed.steps(run.state.position)) as steps:
        before = time.perf_counter()
        for micro_batches, position in steps:
            waited = time.perf_counter() - before
            try:
                metrics = train_step(run, micro_batches, data_wait=waited)
            except torch.OutOfMemoryError as error:
                if not micro_batches:
                    raise
                pieces = [largest_piece(batch, run.slice_tokens) for batch in micro_batches]
                raise out_of_memory(max(pieces, key=lambda piece: piece.slots)) from error
            run.state = replace(
                run.state,
                step=run.state.step + 1,
                position=position,
                tokens=run.state.tokens + metrics.tokens,
                targets=run.state.targets + metrics.targets,
                samples=run.state.samples + metrics.samples,
                elapsed=run.state.elapsed + metrics.seconds,
            )
            run.notify(StepDone(run.state, metrics))
            done = run.state.step >= run.total_steps
            _after_step(run, done=done)
            if done or run.stop_early or _stops(run):
                return
            before = time.perf_counter()


def _stops(run: Run) -> bool:
    """Whether to leave. Alone, a signal counts at once; among others, once all know of it, as of their last sum."""
    if run.parallel.size == 1:
        run.stop_signal = run.asked
    return run.stop_signal is not None


def _after_step(run: Run, *, done: bool) -> None:
    step = run.state.step
    every = run.config.evaluation.every or run.config.checkpoint.every
    if run.evaluates and (done or step % every == 0):
        _evaluate(run)
    # The best weights are saved whenever they occur, not only where a checkpoint is due.
    if step % run.config.checkpoint.every == 0 or run.state.best_step == step:
        _save(run)


def _evaluate(run: Run) -> None:
    metrics = {} if run.evaluation is None else evaluate(run)
    if run.questions is not None:
        metrics |= ask(run)
    run.state, run.stop_early = judge(run.state, metrics, run.goal)
    run.notify(Evaluated(run.state, metrics))


def _save(run: Run) -> None:
    path = save(run)
    if path is not None:
        run.notify(Saved(run.state, path))


@contextmanager
def _signals(run: Run) -> Iterator[None]:
    """The first SIGINT or SIGTERM lets the step finish and saves; the second interrupts at once."""

    def ask(signum: int, frame: FrameType | None) -> None:
        if run.asked is not None:
            raise KeyboardInterrupt
        run.asked = signum

    try:
        previous = {number: signal.signal(number, ask) for number in SIGNALS}
    except ValueError:  # not in the main thread: the embedding program owns the signals
        yield
        return
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
