"""An adapter by itself, in PEFT's plain layout: what PEFT loads without us, and vLLM beside a model."""

from __future__ import annotations

import shutil
from pathlib import Path

import orjson
from safetensors import safe_open

from swift.engines.folders import Plan
from swift.engines.vllm import lora_rank
from swift.errors import CheckpointError, ConfigError, ModelError
from swift.exporting.certificate.certificate import Check
from swift.hub import Located
from swift.models.load import load_config, load_tokenizer
from swift.models.locate import locate_model
from swift.models.quantize.method import skeleton
from swift.models.quiet import quiet
from swift.tuners.attach import read_adapter_config
from swift.tuners.extra import extra_config

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def require_plain_adapter(plan: Plan) -> Path:
    """The one adapter of a plan, which must be of a kind that PEFT has.

    Raises:
        ConfigError: There are none or several.
        ModelError: It is of a kind of ours.
        CheckpointError: It is damaged.
    """
    if len(plan.adapters) != 1:
        many = "there is no adapter" if not plan.adapters else f"{len(plan.adapters)} adapters are named"
        raise ConfigError(f"--to peft writes one adapter, and {many}", hint="name one with --adapters")
    folder = next(iter(plan.adapters.values()))
    if extra_config(folder) is not None:
        kind = str(orjson.loads((folder / CONFIG).read_bytes())["peft_type"])
        raise ModelError(f"the adapter in {folder} is of a kind that PEFT does not have ({kind})", hint="--to hf")
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(f"{folder} has no {WEIGHTS}", hint="save it again, with safetensors")
    return folder


def write_adapter(plan: Plan, folder: Path) -> None:
    """Configuration, weights, tokenizer and template of the plan's adapter; its base by the name that others know."""
    source = next(iter(plan.adapters.values()))
    values = orjson.loads((source / CONFIG).read_bytes())
    here = Path(plan.model.id).expanduser()
    values |= {
        "base_model_name_or_path": str(here.resolve()) if here.exists() else plan.model.id.removeprefix("hf://"),
        "revision": plan.model.revision,
        "inference_mode": True,
    }
    for name, value in values.items():
        if name == "target_modules" and isinstance(value, list):
            values[name] = sorted(value)
    (folder / CONFIG).write_bytes(orjson.dumps(values, option=orjson.OPT_INDENT_2))
    shutil.copyfile(source / WEIGHTS, folder / WEIGHTS)
    located = locate_model(plan.model)
    own = located if plan.tokenizer is None else Located(plan.tokenizer, "folder", str(plan.tokenizer), None)
    with quiet():
        load_tokenizer(own, trust_remote_code=plan.model.trust_remote_code).save_pretrained(folder)


def adapter_checks(plan: Plan, folder: Path) -> list[Check]:
    """Whether PEFT would find in the files what it looks for, and whether vLLM takes such an adapter."""
    wanted = _wanted(plan, folder)
    with safe_open(folder / WEIGHTS, "pt") as file:
        found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    detail = f"all {len(found)} tensors have the names and shapes that PEFT looks for"
    if wrong:
        detail = f"{wrong[0]} has shape {found.get(wrong[0])}, PEFT looks for {wanted.get(wrong[0])}"
    return [Check("PEFT", not wrong, detail), Check("vLLM", True, _vllm(folder))]


def _wanted(plan: Plan, folder: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors that PEFT makes for this configuration; no weights are read."""
    import torch
    from peft import get_peft_model, get_peft_model_state_dict

    trust = plan.model.trust_remote_code
    model = skeleton(load_config(locate_model(plan.model), trust_remote_code=trust), trust_remote_code=trust)
    with quiet(), torch.device("meta"):
        tuned = get_peft_model(model, read_adapter_config(folder))
        state = get_peft_model_state_dict(tuned, save_embedding_layers=False)
    return {name: tuple(value.shape) for name, value in state.items()}


def _vllm(folder: Path) -> str:
    """What to tell of vLLM: the rank that it must allow, or why it does not take the adapter."""
    try:
        return f"takes it beside the model, with --enable-lora --max-lora-rank {lora_rank('here', folder)} or more"
    except ConfigError as error:
        return error.message
