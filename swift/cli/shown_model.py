"""`swift models show`: what the catalog says of a model, what was proved of its architecture, what its files say."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from swift.config.model import ModelConfig
from swift.data.plugins import load_plugins
from swift.errors import ConfigError, UnknownNameError
from swift.models.catalog import Family, Repo, all_families, find, of_architecture
from swift.models.catalog.proofs import PROVED_BY, proof_of
from swift.models.catalog.trait import Trait

if TYPE_CHECKING:
    from swift.models.facts import Facts

_UNLISTED = "not in the catalog, nor need it be: it works if transformers has its architecture"
_OWN_CODE = "its own, which --trust_remote_code runs: transformers has no such architecture"


def show(argv: Sequence[str], console: Console) -> int:
    """Run the command.

    Args:
        argv: Arguments after `swift models show`.
        console: Where to print.

    Raises:
        SwiftError: Neither the catalog, nor transformers, nor a hub knows it.
    """
    options = _parser().parse_args(argv)
    if (options.id is None) == (options.architecture is None):
        raise ConfigError("show one model, or one architecture", hint="swift models show ID, or --architecture NAME")
    load_plugins(options.plugins)
    if options.architecture is not None:
        told = _of_architecture(options.architecture)
        if options.json:
            print(json.dumps(told))
        else:
            _print(told, console)
        return 0
    listed = find(options.id)
    if not options.json:
        # Before anything is asked of a hub, which may not answer.
        if listed is not None:
            _print(_of_checkpoint(*listed), console)
        elif not Path(options.id).exists():
            _print({"family": _UNLISTED}, console)
    found = _facts(options)
    told = _of_checkpoint(*listed) if listed is not None else _of_files(found, options.id)
    if options.json:
        values = {**dataclasses.asdict(found), "gib_in_bfloat16": found.gib_in_bfloat16, "catalog": told}
        print(json.dumps(values))
        return 0
    if listed is None:
        _print(told, console)
    _print(_numbers(found, told.get("template", "")), console)
    return 0


def _facts(options: argparse.Namespace) -> Facts:
    from swift.models.facts import facts

    config = ModelConfig(
        id=options.id,
        hub=options.hub,
        revision=options.revision,
        hub_token=options.hub_token,
        trust_remote_code=options.trust_remote_code,
    )
    return facts(config, progress=not options.json)


def _of_checkpoint(family: Family, repo: Repo) -> dict[str, str]:
    """What the catalog says of a checkpoint that it lists."""
    hubs = ", ".join(name for name in (repo.hf, repo.ms and f"ms://{repo.ms}") if name)
    return {
        **_of_family(family, lambda trait: trait.of(repo.hf or repo.ms)),
        "on the hubs": hubs,
        "to use it": f"--model {repo.name}",
    }


def _of_files(found: Facts, name: str) -> dict[str, str]:
    """What the catalog says of the architecture of a model that it does not list."""
    family = of_architecture(found.model_type) or of_architecture(found.architecture)
    if family is None:
        return {"family": _UNLISTED, "proved": _proved(found.model_type)}
    return _of_family(family, lambda trait: trait.of(name))


def _of_architecture(name: str) -> dict[str, str]:
    """What is known of a model type or class.

    Raises:
        UnknownNameError: Neither the catalog nor transformers has it.
    """
    from swift.models.native import native_type, native_types

    family = of_architecture(name)
    if family is not None:
        return {**_of_family(family, str), "checkpoints": f"{len(family.repos)}: swift models --search {family.name}"}
    native = native_type(name)
    if not native:
        known = sorted({*native_types(), *(family.name for family in all_families())})
        raise UnknownNameError("architecture", name, known, hint="name a model_type or a class, as config.json does")
    return {"family": _UNLISTED, "code": f"in transformers, as {native}", "proved": _proved(native)}


def _of_family(family: Family, told: Callable[[Trait], str]) -> dict[str, str]:
    return {
        "family": f"{family.name} ({', '.join(family.architectures) or 'class unknown'}), {family.modality}",
        "code": _OWN_CODE if family.remote_code else "in transformers",
        "template": told(family.template),
        "tools": told(family.tools) or "not recorded",
        "thinking": told(family.thinking) or "not recorded",
        "boxes": told(family.grounding),
        "proved": _proved(family.name),
    }


def _proved(model_type: str) -> str:
    proof = proof_of(model_type)
    return "not proved yet" if proof is None else f"{proof} ({PROVED_BY})"


def _print(told: Mapping[str, str], console: Console) -> None:
    for name, value in told.items():
        if value:
            console.print(f"{name:<15}{value}", markup=False)


def _numbers(found: Facts, template: str) -> dict[str, str]:
    """What the model's own files say."""
    advice = f"--chat_template {template} suits its family" if template else "name one with --chat_template"
    return {
        "model": found.id + (f" at {found.revision}" if found.revision else ""),
        "architecture": f"{found.architecture or 'not a causal language model'} ({found.model_type})",
        "parameters": f"{found.parameters:,} ({found.gib_in_bfloat16:.2f} GiB in bfloat16)",
        "stored as": found.dtype,
        "layers": f"{found.layers} of hidden size {found.hidden}",
        "vocabulary": f"{found.vocabulary:,}" + (", embedding and head tied" if found.tied else ""),
        "context": f"{found.context:,} tokens" if found.context else "not declared",
        "tokenizer": found.tokenizer,
        "chat template": "yes" if found.chat_template else f"none: a base model; {advice}",
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="swift models show", description="Facts about a model; downloads its configuration and tokenizer only."
    )
    parser.add_argument("id", nargs="?", metavar="ID", help="as for --model")
    parser.add_argument("--architecture", metavar="NAME", help="instead of ID: a model type or class, as qwen3_vl")
    parser.add_argument("--hub", choices=["auto", "hf", "ms"], default="auto", help="where a bare id is looked up")
    parser.add_argument("--revision", "--model_revision", help="branch, tag or commit")
    parser.add_argument("--hub_token", help="access token of the hub")
    parser.add_argument("--trust_remote_code", action="store_true", help="run Python code of the checkpoint")
    parser.add_argument("--plugins", nargs="+", default=[], metavar="FILE", help="your Python files, imported first")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser
