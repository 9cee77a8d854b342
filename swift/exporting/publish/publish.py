"""From an exported folder to a hub, or to the list of what would go there."""

from __future__ import annotations

import sys
from pathlib import Path

import orjson

from swift.config.export import ExportConfig
from swift.errors import ConfigError, ModelError
from swift.exporting.publish.files import CARD, Outgoing, outgoing, require_certified
from swift.exporting.publish.hubs import Target, require_hub, target_of, upload

_ADAPTER = "adapter_config.json"
_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def publishing(config: ExportConfig) -> Target | None:
    """Where the result is to go; None where it stays here.

    Raises:
        ConfigError: The target is not named, or is no id.
    """
    if not config.push_to_hub and config.publish is None:
        return None
    if not config.push_to:
        raise ConfigError("the upload has no target", hint="name it with --hub_model_id OWNER/NAME")
    model = config.model
    return target_of(
        config.push_to,
        modelscope=model is not None and (model.hub == "ms" or model.use_hf is False),
        revision=config.hub_revision,
        private=config.private,
        message=config.commit_message,
        token=model.hub_token if model is not None else None,
    )


def publish(folder: Path, target: Target, *, dry_run: bool) -> None:
    """Upload an export, or print what would be uploaded.

    Raises:
        ModelError: It is no export, has no card, did not pass its certificate, or has changed since.
        HubError: The hub does not answer, refused or broke off; the folder stays.
        MissingExtraError: The hub's library is not installed.
    """
    going = outgoing(folder)
    if not require_certified(folder, going):
        sys.stderr.write(f"note: {folder} has no certificate: nothing tells that it is what it should be\n")
    if CARD not in dict(going.files):
        raise ModelError(f"{folder} has no model card ({CARD})", hint="write one, or export it with swift export")
    base = _base(folder)
    if base is not None and Path(base).is_absolute():
        sys.stderr.write(
            f"warning: {_ADAPTER} names {base} as its base, a folder that others do not have; "
            "export it anew with --model and the base's hub id\n"
        )
    if dry_run:
        sys.stdout.write(preview(folder, going, target))
        return
    require_hub(target)
    sys.stderr.write(f"uploading {len(going.files)} files, {_bytes(going.size)}, to {target}\n")
    address = upload(folder, [name for name, _ in going.files], target)
    sys.stderr.write(f"uploaded: {address}\n")


def preview(folder: Path, going: Outgoing, target: Target) -> str:
    """What would go where, and the card."""
    width = max(len(name) for name, _ in going.files)
    kind = "a private repository" if target.private else "a public repository, where there is none yet"
    lines = [f"{len(going.files)} files, {_bytes(going.size)}, from {folder} to {target} ({kind}):"]
    lines += [f"  {name:<{width}}  {size:>14,}" for name, size in going.files]
    if going.left:
        lines += ["stay here:", *(f"  {name}" for name in going.left)]
    lines += ["", f"{CARD}:", ""]
    return "\n".join(lines) + "\n" + (folder / CARD).read_text(encoding="utf-8")


def _base(folder: Path) -> str | None:
    """The base model that an adapter's configuration names; None where the folder is no adapter.

    Raises:
        ModelError: The configuration is damaged.
    """
    file = folder / _ADAPTER
    if not file.is_file():
        return None
    try:
        return str(orjson.loads(file.read_bytes())["base_model_name_or_path"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{file} is damaged: {error}", hint="export the adapter again") from error


def _bytes(size: int) -> str:
    unit, name = next(((unit, name) for unit, name in _UNITS if size >= unit), (1.0, "bytes"))
    return f"{size / unit:.3g} {name}"
