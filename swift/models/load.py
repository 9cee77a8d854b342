"""From located files to configuration, tokenizer and model, by transformers, checked before and after."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from swift.config.model import ModelConfig
from swift.errors import ModelError, SwiftError
from swift.hub.located import Located, say
from swift.hub.network import one_line
from swift.models.auto import GENERATING, Ending, Purpose, auto_class
from swift.models.device import resolve_device, resolve_dtype
from swift.models.gguf import as_folder
from swift.models.quantize import hqq_checkpoint
from swift.models.quantize.checkpoint import method_of, quantization_of
from swift.models.quantize.method import loading, require_loadable
from swift.models.quiet import quiet
from swift.models.weights import require_weights

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["load_config", "load_model", "load_tokenizer", "resolve_device", "resolve_dtype"]

_SHOWN = 3


def load_config(located: Located, *, trust_remote_code: bool = False) -> PreTrainedConfig:
    """The model's configuration.

    Raises:
        ModelError: config.json is absent, damaged, of an unknown architecture, or needs remote code.
    """
    from transformers import AutoConfig

    folder = as_folder(located)
    raw = _read_json(folder / "config.json")
    if not trust_remote_code and raw.get("auto_map") and not _is_known(raw):
        raise _needs_code(located)
    with quiet():
        try:
            config: PreTrainedConfig = AutoConfig.from_pretrained(
                folder, trust_remote_code=trust_remote_code, local_files_only=True
            )
        except Exception as error:  # transformers raises errors of every type for a configuration it cannot use
            raise _config_error(folder, raw, error) from error
    return config


def load_tokenizer(located: Located, *, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """The model's tokenizer.

    Raises:
        ModelError: There is none, it is damaged, or needs remote code.
    """
    from transformers import AutoTokenizer

    folder = as_folder(located)
    with quiet():
        try:
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                folder, trust_remote_code=trust_remote_code, local_files_only=True
            )
        except Exception as error:  # as above; also libraries that some tokenizers need
            if "trust_remote_code" in str(error):
                raise _needs_code(located) from error
            raise ModelError(
                f"the tokenizer in {folder} cannot be loaded: {one_line(error)}", hint="is tokenizer.json there?"
            ) from error
    return tokenizer


def load_model(
    located: Located,
    config: ModelConfig,
    *,
    device: torch.device,
    dtype: torch.dtype,
    attention: str = "auto",
    ending: Ending = GENERATING,
) -> PreTrainedModel:
    """The model, with its towers if it has any, and its weights, in evaluation mode, on `device`.

    Args:
        config: For `trust_remote_code`, `quantization` and `device_map`; with the latter, `device` is not used.
        dtype: Type of the weights.
        attention: Name of an attention implementation that transformers knows; `auto` takes the fastest that
            the architecture can use.
        ending: What it shall end in.

    Raises:
        ModelError: Weights that are absent, cut short, of other shapes, or that the file does not hold; an
            architecture that does not serve the purpose, or without this attention.
        SwiftError: Weights cannot be held as the quantization says; see `require_loadable`.
    """
    folder = as_folder(located)
    hf_config = _configured(located, config, ending)
    _require_files(folder)
    require_loadable(located.id, config, hf_config, device, training=False)
    found = quantization_of(hf_config)
    if found is None or method_of(found) != "hqq":
        return _by_transformers(
            located, config, hf_config, device=device, dtype=dtype, attention=attention, ending=ending
        )
    trust = config.trust_remote_code
    with quiet():
        return hqq_checkpoint.load(
            folder, hf_config, device=device, dtype=dtype, attention=attention, trust_remote_code=trust
        )


def _by_transformers(
    located: Located,
    config: ModelConfig,
    hf_config: PreTrainedConfig,
    *,
    device: torch.device,
    dtype: torch.dtype,
    attention: str,
    ending: Ending,
) -> PreTrainedModel:
    quantized = loading(config, hf_config, device, dtype)
    placed = {} if config.device_map is None else {"device_map": config.device_map}
    with quiet():
        try:
            loaded: Any = auto_class(hf_config, ending.purpose).from_pretrained(
                as_folder(located),
                config=hf_config,
                dtype=dtype,
                attn_implementation=None if attention == "auto" else attention,
                trust_remote_code=config.trust_remote_code,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # refused by us, with the names
                **{**placed, **quantized.options},
            )
        except Exception as error:  # errors of every type again, each about this checkpoint or this machine
            raise _load_error(located, attention, ending.purpose, error) from error
    model: PreTrainedModel = loaded[0]
    _require_all(located, loaded[1], ending)
    if quantized.convert is not None:
        quantized.convert(model)
    # Weights that are placed, as those of quantizing libraries are, may not be moved.
    return model if placed or quantized.options else cast("PreTrainedModel", model.to(device))  # type: ignore[arg-type]


def _configured(located: Located, config: ModelConfig, ending: Ending) -> PreTrainedConfig:
    hf_config = load_config(located, trust_remote_code=config.trust_remote_code)
    if ending.labels is not None:
        hf_config.num_labels = ending.labels
    return hf_config


def _require_files(folder: Path) -> None:
    """Weight files must be there and whole; those in the old format are told."""
    if any(file.suffix == ".bin" for file in require_weights(folder)):
        say(f"{folder} has no safetensors weights: reading .bin files with torch's restricted unpickler")


def _require_all(located: Located, report: dict[str, Any], ending: Ending) -> None:
    """Weights that are not in the files would be random: refused. Those that nothing uses are told.

    Where states are wanted, nothing uses a head, whatever it is for.
    """
    missing = [name for name in report["missing_keys"] if not name.startswith(ending.may_lack)]
    if missing:
        raise ModelError(
            f"the files of {located.id} lack weights: {_some(missing)}",
            hint="the checkpoint is incomplete or of another architecture than config.json says",
        )
    if report["mismatched_keys"]:
        names = [str(entry[0]) for entry in report["mismatched_keys"]]
        raise ModelError(f"weights of {located.id} have other shapes than config.json says: {_some(names)}")
    if report["unexpected_keys"] and ending.purpose != "states":
        say(f"warning: weights of {located.id} that the model does not use: {_some(report['unexpected_keys'])}")


def _some(names: Collection[str]) -> str:
    shown = ", ".join(sorted(names)[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _read_json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{file.parent} has no {file.name}", hint="name the folder that holds it") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} cannot be read: {one_line(error)}", hint="download it again") from error
    if not isinstance(value, dict):
        raise ModelError(f"{file} does not hold a JSON object", hint="download it again")
    return value


def _is_known(values: dict[str, Any]) -> bool:
    """Whether the architecture is transformers' own, so that code of the checkpoint's is not needed."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    return values.get("model_type") in CONFIG_MAPPING


def _needs_code(located: Located) -> ModelError:
    return ModelError(
        f"{located.id} needs Python code that comes with it, which is not run",
        hint="read that code, and if you trust it: --trust_remote_code true",
    )


def _config_error(folder: Path, raw: dict[str, Any], error: Exception) -> SwiftError:
    import transformers

    kind = raw.get("model_type")
    if kind is None:
        return ModelError(f"{folder / 'config.json'} has no model_type", hint="is it a model's configuration?")
    if not _is_known(raw):
        return ModelError(
            f"the architecture {kind!r} is unknown to transformers {transformers.__version__}",
            hint="pip install --upgrade transformers",
        )
    return ModelError(f"{folder / 'config.json'} cannot be used: {one_line(error)}")


def _load_error(located: Located, attention: str, purpose: Purpose, error: Exception) -> SwiftError:
    text = one_line(error)
    if "attention" in text.lower() or "flash_attn" in text:
        return ModelError(f"{located.id} cannot use the attention {attention!r}: {text}", hint="--attn_impl eager")
    if "Unrecognized configuration class" in text:
        if purpose == "labels":
            return ModelError(f"{located.id} is of an architecture that has no head for labels or scores")
        return ModelError(f"{located.id} is no model that generates text", hint="only those can be tuned")
    return ModelError(f"{located.id} cannot be loaded: {text}")
