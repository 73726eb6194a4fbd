"""`extra`: every parameter of TRL, transformers and PEFT that has no name of ours, by its own, checked without them.

    {"neftune_noise_alpha": 5, "optim": "adamw_8bit", "lora": {"layers_to_transform": [0, 1]}}

What decides where files lie, where a run goes on, what it runs on and what the export can carry is ours, and refused by
its name.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from finetune.job.parameters.known import DPO, LORA, SFT, TRAINING

LORA_NAME = "lora"
"""The name under which the adapter's parameters stand."""

INSTEAD = {
    **dict.fromkeys(("per_device_train_batch_size", "per_device_eval_batch_size"), "batch_size"),
    **dict.fromkeys(("num_train_epochs", "max_steps"), "epochs"),
    **dict.fromkeys(
        ("activation_checkpointing", "gradient_checkpointing"), "gradient_checkpointing"
    ),
    **dict.fromkeys(("seed", "data_seed"), "seed"),
    **dict.fromkeys(("packing", "packing_strategy", "eval_packing", "padding_free"), "packing"),
    **dict.fromkeys(("max_length", "truncation_mode"), "max_length"),
    **dict.fromkeys(("assistant_only_loss", "completion_only_loss"), "loss"),
    **dict.fromkeys(("chat_template_path", "eos_token", "pad_token"), "chat_template"),
    **dict.fromkeys(
        ("save_steps", "eval_steps", "save_strategy", "eval_strategy"), "checkpoint_steps"
    ),
    **dict.fromkeys(
        ("load_best_model_at_end", "metric_for_best_model", "greater_is_better"), "checkpoint"
    ),
    "learning_rate": "learning_rate",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
    "warmup_steps": "warmup_ratio",
}
OURS = {
    "the device and the precision are found by what the machine has": (
        "bf16 fp16 bf16_full_eval fp16_full_eval use_cpu model_init_kwargs accelerator_config parallelism_config "
        "deepspeed fsdp fsdp_config local_rank ddp_backend ddp_broadcast_buffers ddp_bucket_cap_mb "
        "ddp_find_unused_parameters ddp_static_graph ddp_timeout average_tokens_across_devices"
    ),
    "every checkpoint is kept as the job's life needs it: see checkpoint_steps and checkpoint": (
        "save_only_model save_on_each_node save_total_limit eval_delay eval_on_start enable_jit_checkpoint"
    ),
    "resuming is the job's: see POST /jobs/{id}/resume": (
        "resume_from_checkpoint ignore_data_skip restore_callback_states_from_checkpoint"
    ),
    "nothing is sent to a hub": (
        "push_to_hub hub_token hub_private_repo hub_model_id hub_strategy hub_always_push hub_revision "
        "trackio_space_id trackio_bucket_id trackio_static_space_id trust_remote_code"
    ),
    "what is reported, and where, is the service's: see the events of a job and docs/settings.md": (
        "report_to run_name project logging_strategy logging_steps logging_first_step log_on_each_node log_level "
        "log_level_replica logging_nan_inf_filter disable_tqdm include_num_input_tokens_seen debug "
        "skip_memory_metrics include_for_metrics batch_eval_metrics prediction_loss_only eval_use_gather_object "
        "eval_do_concat_batches"
    ),
    "rows are made into tokens here": (
        "dataset_text_field dataset_kwargs dataset_num_proc shuffle_dataset remove_unused_columns label_names "
        "length_column_name"
    ),
    "everything of a run lies in the job's own directory": "output_dir",
    "the stages of a job are fixed": "do_train do_eval do_predict",
    "batch_size is halved once where GPU memory runs out": "auto_find_batch_size",
    "the wanted answers are held against the base with the adapter switched off, at each step": (
        "precompute_ref_log_probs precompute_ref_batch_size sync_ref_model ref_model_mixup_alpha "
        "ref_model_sync_steps"
    ),
}
LORA_INSTEAD = {
    "r": "rank",
    "lora_alpha": "lora_alpha",
    "lora_dropout": "lora_dropout",
    "use_rslora": "adapter=rslora",
    "use_dora": "adapter=dora",
    "trainable_token_indices": "chat_template=chatml, which trains what it adds",
}
LORA_OURS = {
    "the adapter is written and read here": (
        "task_type peft_type auto_mapping peft_version base_model_name_or_path revision inference_mode "
        "runtime_config fan_in_fan_out"
    ),
    "it would make another model than a base with an adapter merged into it, which is what is exported": (
        "alora_invocation_tokens arrow_config bias corda_config eva_config kasa_config layer_replication "
        "loftq_config lora_bias lora_ga_config megatron_config megatron_core monteclora_config qalora_group_size "
        "use_bdlora use_qalora velora_config"
    ),
}
_CHANGES_BASE = (
    "it changes the base's weights, and the adapter alone would not be what was trained; use true, 'gaussian' or "
    "'orthogonal'"
)
_SAFE_BEGINNINGS = (True, "gaussian", "orthogonal")
_WORD = re.compile(r"'[^']*'|\w+")
_TYPES: Mapping[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}


@dataclass(frozen=True, slots=True)
class Refused:
    """A name in `extra` that cannot be had, and why."""

    name: str
    reason: str


def read_extra(value: object) -> object:
    """JSON text as what it says; anything else as it is. Raises `ValueError`."""
    if not isinstance(value, str):
        return value
    return json.loads(value) if value.strip() else {}


def refused(extra: Mapping[str, Any], method: str, adapter: str) -> Refused | None:
    """The first name that is not known, is ours, or has a value of another type; None when all can be had."""
    known = {**TRAINING, **(DPO if method == "dpo" else SFT)}
    for name, value in extra.items():
        if name == LORA_NAME:
            found = _refused_of_lora(value, adapter)
        else:
            found = _refused(name, value, known, INSTEAD, OURS)
            if found and name not in known and name in {**DPO, **SFT}:
                found = Refused(name, f"it is no parameter of method={method}")
        if found:
            return found
    return None


def _refused_of_lora(value: Any, adapter: str) -> Refused | None:
    if not isinstance(value, dict):
        return Refused(LORA_NAME, f"an object is expected, not {_shown(value)}")
    if adapter == "full":
        return Refused(LORA_NAME, "with adapter=full there is no adapter")
    for name, chosen in value.items():
        found = _refused(name, chosen, LORA, LORA_INSTEAD, LORA_OURS)
        if not found and name == "init_lora_weights" and chosen not in _SAFE_BEGINNINGS:
            found = Refused(name, _CHANGES_BASE)
        if found:
            return Refused(f"{LORA_NAME}.{found.name}", found.reason)
    return None


def _refused(
    name: str,
    value: Any,
    known: Mapping[str, str],
    instead: Mapping[str, str],
    ours: Mapping[str, str],
) -> Refused | None:
    if name not in known:
        return Refused(name, "no such parameter in the installed TRL, transformers or PEFT")
    if name in instead:
        return Refused(name, f"it is ours; use: {instead[name]}")
    for reason, names in ours.items():
        if name in names.split():
            return Refused(name, f"it is ours: {reason}")
    wanted = _WORD.findall(known[name])
    if any(_fits(value, word) for word in wanted):
        return None
    return Refused(name, f"expected {' or '.join(wanted)}, not {_shown(value)}")


def _fits(value: Any, word: str) -> bool:
    if word.startswith("'"):
        return bool(value == word.strip("'"))
    if isinstance(value, bool):
        return word == "boolean"
    return isinstance(value, _TYPES[word])


def _shown(value: Any) -> str:
    return json.dumps(value)[:80]
