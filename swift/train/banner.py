"""What the user reads before the first step: the device, the paths actually taken, and what the run will cost."""

from __future__ import annotations

from swift.chat.codec import Codec
from swift.data.feed import MapFeed
from swift.data.prepare import Rows
from swift.data.stream_feed import StreamFeed
from swift.hub import Located
from swift.models.device import dtype_warning
from swift.models.quantize.layers import number_type, quantized_layers
from swift.models.quantize.size import weight_bytes, weight_elements
from swift.train.events import RunInfo
from swift.train.fit import Fit
from swift.train.prepare_model import Prepared
from swift.train.run import Run


def banner(
    run: Run, located: Located, codec: Codec, rows: Rows, prepared: Prepared, fit: Fit, levers: tuple[str, ...]
) -> RunInfo:
    """The facts of a run, in the order of showing; `levers` are what saves memory and time."""
    parameters = list(run.policy.model.parameters())
    total = weight_elements(run.policy.model)
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    dtype = number_type(prepared.base)
    config = run.config
    ledger = rows.ledger.totals()
    lines = [
        ("model", f"{located.id}, {total / 1e6:,.1f} M parameters in {str(dtype).removeprefix('torch.')}"),
        *_quantized(run, prepared),
        ("device", _device(run)),
        *(("note", note) for note in [dtype_warning(dtype, run.device, prepared.base.config)] if note is not None),
        ("trained", f"{trained / 1e6:,.2f} M parameters ({trained / total:.2%}), {config.tuner.type}"),
        ("template", codec.template_source if config.task == "sft" else "none: plain text"),
        *(("note", note) for note in codec.notes),
        ("attention", f"{prepared.layout.attention}: {prepared.layout.reason}"),
        ("fused", f"{prepared.fused.norms} norms, {prepared.fused.activations} gated activations, proved equal"),
        ("loss", _loss(run)),
        ("levers", ", ".join(levers) or "none"),
    ]
    if config.data.streaming:
        lines.append(("rows", "streamed"))
    else:
        sequences = rows.store.sequences_in_order(rows.selection.train)
        tokens = int(rows.store.lengths[sequences].sum())
        lost = ledger.dropped + ledger.failed
        lines.append(("rows", f"{len(rows.selection.train):,} train, {len(rows.selection.validation):,} validation"))
        lines.append(
            (
                "ledger",
                f"{ledger.kept:,} kept, {ledger.truncated:,} truncated, {ledger.split:,} split, "
                f"{ledger.dropped:,} dropped, {ledger.failed:,} failed" + (", see ledger.jsonl" if lost else ""),
            )
        )
        lines.append(("tokens", f"{tokens:,} an epoch in {len(sequences):,} sequences of at most {codec.max_length:,}"))
    lines += [*_evaluations(run), ("batch", _batch(run))]
    lines.append(("memory", str(fit)))
    lines.append(("steps", f"{run.total_steps:,}" + (f", resumed after {run.state.step:,}" if run.state.step else "")))
    per_epoch = run.feed.steps_per_epoch if isinstance(run.feed, MapFeed) else None
    return RunInfo(
        lines=tuple(lines),
        total_steps=run.total_steps,
        run_dir=run.folder,
        steps_per_epoch=per_epoch,
        first_step=run.state.step,
        adapter=prepared.technique.adapter,
    )


def _quantized(run: Run, prepared: Prepared) -> list[tuple[str, str]]:
    """How weights are held, where they are not plain numbers."""
    lines = []
    if prepared.quantization is not None:
        layers = len(quantized_layers(prepared.base))
        mib = weight_bytes(prepared.base) / 1024**2
        lines.append(("quantized", f"{layers} layers, {prepared.quantization}; all weights take {mib:,.1f} MiB"))
    if run.config.qat.scheme != "none":
        lines.append(("rounded", f"{run.config.qat.scheme}, in the forward pass; checkpoints hold plain weights"))
    return lines


def _evaluations(run: Run) -> list[tuple[str, str]]:
    lines = []
    if run.questions is not None:
        lines.append(("questions", ", ".join(f"{task.name} {len(task.items):,}" for task in run.questions.tasks)))
    if run.evaluates:
        lines.append(("best", f"the {'highest' if run.goal.greater else 'lowest'} {run.goal.metric}"))
    return lines


def _device(run: Run) -> str:
    if run.parallel.size == 1:
        return f"{run.device}"
    return f"{run.parallel.size} processes, each with the whole model on a {run.device.type} device"


def _loss(run: Run) -> str:
    if run.policy.transform is None:
        return f"{run.config.loop.loss}; slow path: this architecture changes its logits in a way that is not known"
    return f"{run.config.loop.loss} on target tokens only, in chunks"


def _batch(run: Run) -> str:
    batch = run.config.batch
    slices = "" if run.slice_tokens is None else f", through the model in slices of {run.slice_tokens:,} tokens"
    if batch.packing:
        shape = f"packed, {batch.size} pack(s)"
    elif batch.max_tokens is not None:
        shape = f"up to {batch.max_tokens:,} tokens"
    else:
        shape = f"{batch.size} sequence(s)"
    if isinstance(run.feed, StreamFeed):
        return f"{shape}, streamed{slices}"
    return f"{shape} x {run.feed.accumulation} to a step{slices}"
