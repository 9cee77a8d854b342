"""`swift export`: from a checkpoint to something that others load, with the proof that it is the same model."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from swift.config.export import ExportConfig, plain
from swift.engines.folders import Plan, plan_model
from swift.engines.merging import require_mergeable
from swift.errors import ConfigError, ModelError
from swift.exporting.certificate.certificate import PAGE, Certificate, failed, is_about_others
from swift.exporting.certificate.certify import certify
from swift.exporting.certificate.html import html
from swift.exporting.certificate.page import page
from swift.exporting.folder import keep_failed, new_folder
from swift.exporting.peft import WEIGHTS, require_plain_adapter
from swift.exporting.prepare import prepare
from swift.exporting.publish.hubs import require_hub
from swift.exporting.publish.publish import publish, publishing
from swift.exporting.write import found, origin_of, write, write_card
from swift.models.weights import check_safetensors


def export(config: ExportConfig) -> Path:
    """Write a model as it is wanted, with its adapters merged; returns the folder.

    The result is loaded again from disk and measured against its source before the folder gets its name. A result that
    is something else is put aside, and the command fails.

    Raises:
        ConfigError: Options that do not go together, or a folder that exists.
        ModelError: The result is not what was to be exported.
        ResourceError: The disk is too full, or a method does not run here.
        EngineError: A method's environment is not installed, or fails.
        HubError: The upload failed; the folder stays.
    """
    address = publishing(config)
    if config.publish is not None and address is not None:
        publish(Path(config.publish), address, dry_run=config.dry_run)
        return Path(config.publish)
    plan = plan_model(config.model, config.adapters, config.chat)
    for adapter in plan.adapters.values():
        if (adapter / WEIGHTS).is_file():
            check_safetensors(adapter / WEIGHTS)
    if config.certify is not None:
        return _certified(config, plan, Path(config.certify))
    _check(config, plan)
    if config.to == "peft":
        require_plain_adapter(plan)
    else:
        require_mergeable(plan.adapters.values())
    target = _target(config, plan)
    if address is not None:
        _require_publishable(plan)
        if not config.dry_run:
            require_hub(address)
    job = prepare(config, plan)
    origin = origin_of(job, address.id if address is not None else target.name)
    sources = [*plan.adapters.values(), Path(plan.model.id)]
    with new_folder(target, overwrite=config.overwrite, sources=sources) as folder:
        made = write(job, folder)
        certificate = None
        if config.certificate.enabled:
            certificate = certify(job, made, folder)
            certificate.write(folder, page(certificate), html(certificate))
            _require_passed(certificate, folder, target, sources)
        write_card(job, made, certificate, folder, origin)
    sys.stderr.write(f"exported to {target}\n")
    if address is not None:
        publish(target, address, dry_run=config.dry_run)
    return target


def _certified(config: ExportConfig, plan: Plan, place: Path) -> Path:
    """Measure what is there already; its certificate goes beside it."""
    made, folder = found(place), place if place.is_dir() else place.parent
    if made.file is not None and is_about_others(folder, place.name):
        raise ModelError(
            f"{folder} has a certificate, which is about other files than {place.name}",
            hint="move the file into a folder of its own",
        )
    certificate = certify(prepare(config, plan), made, folder)
    certificate.write(folder, page(certificate), html(certificate))
    _tell(certificate)
    if not certificate.passed:
        raise ModelError(_failures(certificate, str(place)), hint=f"see {folder / PAGE}")
    return place


def _check(config: ExportConfig, plan: Plan) -> None:
    if config.to == "peft":
        return
    if plan.adapters and not config.merge_lora:
        hint = "add --merge_lora true, or --to peft for the adapter by itself"
        raise ConfigError("adapters are named, and nothing is to be done with them", hint=hint)
    if config.merge_lora and not plan.adapters:
        raise ConfigError("there is no adapter to merge", hint="name it with --adapters")


def _require_publishable(plan: Plan) -> None:
    """Make sure that nothing is made for the public of what an earlier export has found wrong.

    Raises:
        ModelError: The source is a result that failed.
    """
    source = Path(plan.model.id)
    if source.is_dir() and failed(source):
        raise ModelError(f"{source} did not pass its certificate", hint=f"see {source / PAGE}; export it anew")


def _target(config: ExportConfig, plan: Plan) -> Path:
    """Where the result goes: beside the last adapter or the model, unless the user says otherwise."""
    if config.output_dir is not None:
        return Path(config.output_dir)
    if config.adapters:
        named = config.adapters[-1]
        place = Path(named if Path(named).exists() else named.partition("=")[2])
    else:
        place = next(iter(plan.adapters.values()), Path(plan.model.id))
    ending = _ending(config, plan)
    if not place.is_dir():
        return Path(f"{place.name.partition('@')[0]}-{ending}")
    place = place.resolve()
    return place.with_name(f"{place.name}-{ending}")


def _ending(config: ExportConfig, plan: Plan) -> str:
    """What the folder's name tells of what was done."""
    if config.to == "peft":
        return "peft"
    if config.to != "hf":
        return config.to if config.gguf_type == "none" else f"{config.to}-{config.gguf_type}"
    if plain(config):
        return "merged" if plan.adapters else "exported"
    return str(config.quantize.type)


def _require_passed(certificate: Certificate, folder: Path, target: Path, sources: Sequence[Path]) -> None:
    """Tell the verdict; a result that failed goes aside.

    Raises:
        ModelError: It failed; says what does not hold.
    """
    _tell(certificate)
    if not certificate.passed:
        place = keep_failed(folder, target, sources)
        raise ModelError(_failures(certificate, "the result"), hint=f"it is in {place}, see {PAGE} there")


def _tell(certificate: Certificate) -> None:
    distance, after = certificate.distance, certificate.after
    sys.stderr.write(
        f"certificate: KL divergence {distance.mean_kl:.2g} nats, the same token likeliest in "
        f"{distance.greedy_match:.1%} of {distance.positions}, perplexity {certificate.before.perplexity:.3f} -> "
        f"{after.perplexity:.3f}\n"
    )


def _failures(certificate: Certificate, what: str) -> str:
    told = "; ".join(f"{check.name}: {check.detail}" for check in certificate.failures)
    return f"{what} is not the model that was to be exported: {told}"
