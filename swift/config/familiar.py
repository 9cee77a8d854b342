"""Flags and values of other systems' scripts: which of ours they mean, or why they mean nothing here. Only data.

A name is looked up here only when the command has no option of that name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ANY = "*"


@dataclass(frozen=True, slots=True)
class Familiar:
    """A flag that users bring along.

    Attributes:
        sentence: Why it changes nothing, or what to do instead.
        accepts: Values for which nothing needs to change: the flag is accepted with a note. `(ANY,)` is every value.
        becomes: Value to (our flag, our value). `ANY` stands for every value, passed on as it is.
            A value that is neither here nor accepted is refused, with the sentence as the way out.
        also: Further flags of ours that it sets, where they are not given.
    """

    sentence: str
    accepts: tuple[str, ...] = ()
    becomes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    also: Mapping[str, str] = field(default_factory=dict)


def _nothing(sentence: str, *accepts: str) -> Familiar:
    return Familiar(sentence, accepts=accepts or (ANY,))


def _same(name: str) -> Familiar:
    return Familiar(f"it is --{name}", becomes={ANY: (name, ANY)})


_WHOLE_MODEL = "several devices each hold the whole model for now (NPROC_PER_NODE starts a process on each)"
_NO_WRAPPER = "several processes add up their gradients without DDP, and need no such option"

FLAGS: dict[str, Familiar] = {
    # Mean something here under another name.
    "train_type": _same("tuner_type"),
    "sft_type": _same("tuner_type"),
    "lr": _same("learning_rate"),
    "epochs": _same("num_train_epochs"),
    "model_id_or_path": _same("model"),
    "model_name_or_path": _same("model"),
    "cutoff_len": _same("max_length"),
    "bf16": Familiar("the type is set by --torch_dtype", ("false",), {"true": ("torch_dtype", "bfloat16")}),
    "fp16": Familiar("the type is set by --torch_dtype", ("false",), {"true": ("torch_dtype", "float16")}),
    "use_cpu": Familiar("the device is set by --device", ("false",), {"true": ("device", "cpu")}),
    "no_cuda": Familiar("the device is set by --device", ("false",), {"true": ("device", "cpu")}),
    "eval_url": Familiar(
        "it is --engine openai --base_url", becomes={ANY: ("base_url", ANY)}, also={"engine": "openai"}
    ),
    "eval_generation_config": Familiar("use --temperature, --top_p, --top_k, --max_new_tokens and --stop_words"),
    "to_ollama": Familiar("it is --to ollama", ("false",), {"true": ("to", "ollama")}),
    "strict": Familiar(
        "a bad row stops the run or is dropped: --on_data_error error|drop",
        becomes={"true": ("on_data_error", "error"), "false": ("on_data_error", "drop")},
    ),
    # Say what is the case anyway.
    "add_version": _nothing("--output_dir is used as given; no version folder is added"),
    "create_checkpoint_symlink": _nothing("the links `best` and `last` are always there"),
    "check_model": _nothing("nothing is reported to any server"),
    "lazy_tokenize": _nothing("rows are tokenized by worker processes and kept on disk, not in memory"),
    "load_args": _nothing("infer and export read what they need from the run folder"),
    "logging_first_step": _nothing("the first step is always logged", "true"),
    "logging_strategy": _nothing("lines are logged every --logging_steps", "steps"),
    "logging_dir": _nothing("logs go into the run folder"),
    "save_strategy": _nothing("checkpoints are saved every --save_steps and at the end", "steps"),
    "eval_strategy": _nothing("evaluation runs every --eval_steps, whenever there are validation rows", "steps", "no"),
    "evaluation_strategy": _nothing(
        "evaluation runs every --eval_steps, whenever there are validation rows", "steps", "no"
    ),
    "do_train": _nothing("the command says what is done", "true"),
    "do_eval": _nothing("evaluation runs whenever there are validation rows"),
    "load_best_model_at_end": _nothing("the best checkpoint is kept and linked as `best`"),
    "save_safetensors": _nothing("weights are always saved as safetensors", "true"),
    "safe_serialization": _nothing("weights are always saved as safetensors", "true"),
    "save_on_each_node": _nothing("the first process saves", "false"),
    "remove_unused_columns": _nothing("columns that no data shape uses are not read"),
    "dataloader_pin_memory": _nothing("batches are prepared in a thread beside the training step"),
    "dataloader_persistent_workers": _nothing("batches are prepared in a thread beside the training step"),
    "dataloader_prefetch_factor": _nothing("batches are prepared in a thread beside the training step"),
    "dataloader_drop_last": _nothing("the last, smaller step of an epoch is a real step", "false"),
    "packing_num_proc": _nothing("packing takes no worker processes"),
    "packing_strategy": _nothing("packs are filled best-fit", "binpack"),
    "template_backend": _nothing("the checkpoint's own chat template is used; --chat_template FILE replaces it"),
    "template": _nothing("the checkpoint's own chat template is used; --chat_template FILE replaces it"),
    "model_type": _nothing("the architecture is read from the checkpoint"),
    "task_type": _nothing("conversations and plain text train a causal language model", "causal_lm"),
    "tuner_backend": _nothing("adapters are PEFT adapters", "peft"),
    "padding_side": _nothing("padding, where there is any, never changes a result"),
    "use_logits_to_keep": _nothing("logits are computed only where there is a target"),
    "use_liger_kernel": _nothing(
        "norms, gated activations and LoRA are fused and the loss is computed in chunks, without that library; "
        "--torch_compile true fuses more"
    ),
    "torch_compile_backend": _nothing("layers are compiled with inductor", "inductor"),
    "torch_compile_mode": _nothing("layers are compiled for sizes that change", "default"),
    "callbacks": Familiar(
        "they are options, such as --tuner_type lisa; your own listeners come from --plugins",
        accepts=("graceful_exit",),
        becomes={"activation_cpu_offload": ("activation_cpu_offload", "true")},
    ),
    "acc_strategy": _nothing("accuracy is counted by token", "token"),
    "gradient_checkpointing_kwargs": _nothing("checkpointing is always of the non-reentrant kind"),
    "sequence_parallel_size": _nothing(_WHOLE_MODEL, "1"),
    "ddp_backend": _nothing("processes talk over NCCL on CUDA, and over gloo elsewhere"),
    "ddp_timeout": _nothing("a process waits for the others as long as they live"),
    "ddp_find_unused_parameters": _nothing(_NO_WRAPPER),
    "ddp_bucket_cap_mb": _nothing(_NO_WRAPPER),
    "local_rank": _nothing("it is read from the variables that torchrun sets"),
    "quant_batch_size": _nothing("rows are looked at one at a time"),
    "write_batch_size": _nothing("every answer is written as soon as it is there"),
    "num_beams": _nothing("answers are sampled, or greedy at --temperature 0", "1"),
    "use_chat_template": _nothing("chat templates are for `swift sft`, plain text is for `swift pt`", "true"),
    "vllm_enable_lora": _nothing("adapters are loaded beside the model wherever there are any"),
    "vllm_max_lora_rank": _nothing("it is read from the adapters"),
    "vllm_enforce_eager": Familiar(
        """--engine_args '["--enforce-eager"]' does that; on a CPU it is so anyway""", accepts=("false",)
    ),
    "vllm_max_num_seqs": Familiar("""use --engine_args '["--max-num-seqs", "N"]', or --engine_concurrency N"""),
    "vllm_limit_mm_per_prompt": Familiar("""use --engine_args '["--limit-mm-per-prompt", "{...}"]'"""),
    # Would change the run: refused, with the way out.
    "load_data_args": Familiar("name the rows with --val_dataset", ("false",)),
    "val_dataset_sample": Familiar("write --val_dataset NAME#ROWS"),
    "ignore_args_error": Familiar("take out the flags that this command does not have", ("false",)),
    "packing_length": Familiar("packs are as long as --max_length"),
    "lr_scheduler_kwargs": Familiar("use --min_lr_ratio, --lr_power or --wsd_decay_ratio"),
    "deepspeed": Familiar(f"leave it out: {_WHOLE_MODEL}"),
    "fsdp": Familiar(f"leave it out: {_WHOLE_MODEL}"),
}

VALUES: dict[str, dict[str, str]] = {
    "chat.truncation": {"delete": "drop"},
    "generation.top_k": {"-1": "0"},
    "engine.type": {"pt": "transformers", "lmdeploy_turbomind": "lmdeploy"},
    "model.attention": {"flash_attn": "flash_attention_2", "flash_attention": "flash_attention_2"},
    "model.dtype": {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"},
    "optimizer.name": {
        **dict.fromkeys(("adamw_torch", "adamw_torch_fused", "adamw_torch_xla", "adamw_hf"), "adamw"),
        "adamw_torch_4bit": "torchao_adamw_4bit",
        "adamw_torch_8bit": "torchao_adamw_8bit",
        "adamw_bnb_8bit": "adamw_8bit",
        "paged_adamw_32bit": "paged_adamw",
        "lion_32bit": "lion",
        "paged_lion_32bit": "paged_lion",
        "paged_ademamix_32bit": "paged_ademamix",
        "rmsprop_bnb": "rmsprop",
        "rmsprop_bnb_8bit": "rmsprop_8bit",
        "galore_adamw": "galore",
        "apollo_adamw": "apollo",
        "stable_adamw": "stableadamw",
        "schedulefreeadamw": "schedule_free_adamw",
        "schedulefreeradam": "schedule_free_radam",
        "schedulefreesgd": "schedule_free_sgd",
        "adammini": "adam_mini",
        "adam-mini": "adam_mini",
    },
    "schedule.name": {"constant_with_warmup": "constant", "warmup_stable_decay": "wsd"},
}
"""Dotted name of an option to other systems' spellings of its values, and ours."""
