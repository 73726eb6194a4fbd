"""`extra`: every parameter of the libraries by its name, checked without them, and what is ours refused by its name."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from finetune.job.parameters import extra as rules
from finetune.job.parameters import known
from finetune.job.parameters.extra import refused
from finetune.job.parameters.learning import Learning
from finetune.job.spec import TrainingParameters
from finetune.job.stage import StageFailed
from finetune.training.language_model import settings
from tests.finetune.jobs import ROOT
from tests.finetune.test_schedule import spec


@pytest.mark.real
def test_the_list_is_what_the_pinned_libraries_say() -> None:
    program = runpy.run_path(str(ROOT / "scripts" / "list_extra.py"))
    written = Path(known.__file__).read_text("utf-8")
    assert written == program["listed"](), "run `python scripts/list_extra.py --write`"


@pytest.mark.parametrize(
    ("extra", "method"),
    [
        ({"neftune_noise_alpha": 5, "lora": {"layers_to_transform": [0, 1]}}, "sft"),
        ({"optim": "adamw_8bit", "weight_decay": 0.01, "max_grad_norm": 1}, "sft"),
        ({"loss_type": "dft", "dataloader_num_workers": 2}, "sft"),
        ({"loss_type": ["sigmoid", "sft"], "loss_weights": [1, 0.5], "beta": 0.2}, "dpo"),
        ({"lora": {"target_modules": "all-linear", "init_lora_weights": "gaussian"}}, "dpo"),
        ({"lr_scheduler_type": "linear", "router_aux_loss_coef": None}, "pretrain"),
    ],
)
def test_a_parameter_of_the_libraries_is_taken_by_its_name(
    extra: dict[str, Any], method: str
) -> None:
    assert refused(extra, method, "lora") is None
    assert Learning(extra=json.dumps(extra)).extra == extra, "as a form sends it"


@pytest.mark.parametrize(
    ("extra", "name", "says"),
    [
        ({"neftune_noise": 5}, "neftune_noise", "no such parameter"),
        ({"neftune_noise_alpha": "5"}, "neftune_noise_alpha", "expected number or null"),
        ({"weight_decay": True}, "weight_decay", "expected number, not true"),
        ({"optim": "adam"}, "optim", "'adamw_torch'"),
        ({"beta": 0.1}, "beta", "no parameter of method=sft"),
        ({"num_train_epochs": 3}, "num_train_epochs", "use: epochs"),
        ({"output_dir": "/"}, "output_dir", "the job's own directory"),
        ({"push_to_hub": True}, "push_to_hub", "hub"),
        ({"resume_from_checkpoint": "x"}, "resume_from_checkpoint", "resum"),
        ({"use_cpu": True}, "use_cpu", "device"),
        ({"report_to": "wandb"}, "report_to", "service"),
        ({"seed": 1}, "seed", "use: seed"),
        ({"lora": {"r": 8}}, "lora.r", "use: rank"),
        ({"lora": {"use_dora": True}}, "lora.use_dora", "adapter=dora"),
        ({"lora": {"init_lora_weights": "pissa"}}, "lora.init_lora_weights", "changes the base"),
        ({"lora": {"rang": 8}}, "lora.rang", "no such parameter"),
        ({"lora": 8}, "lora", "an object"),
    ],
)
def test_what_is_unknown_of_another_type_or_ours_is_refused_by_its_name(
    extra: dict[str, Any], name: str, says: str
) -> None:
    found = refused(extra, "sft", "lora")
    assert found is not None
    assert found.name == name
    assert says in found.reason
    refusal = Learning(extra=extra).refused()
    assert refusal is not None
    assert refusal.parameter == "extra"


def test_a_whole_model_has_no_adapter_to_say_things_of() -> None:
    assert refused({"lora": {}}, "sft", "full") is not None


def test_what_is_ours_is_known_to_the_libraries() -> None:
    ours = {*rules.INSTEAD, *(name for names in rules.OURS.values() for name in names.split())}
    assert ours <= {*known.TRAINING, *known.SFT, *known.DPO}
    lora = {name for names in rules.LORA_OURS.values() for name in names.split()}
    assert {*rules.LORA_INSTEAD, *lora} <= {*known.LORA}


@pytest.mark.real
def test_what_is_said_reaches_the_trainer(tmp_path: Path) -> None:
    assert settings(spec(extra={"neftune_noise_alpha": 5}), tmp_path).neftune_noise_alpha == 5
    with pytest.raises(StageFailed, match="extra cannot be used"):
        settings(spec(extra={"torch_empty_cache_steps": -1}), tmp_path)


def test_text_that_is_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="no JSON"):
        TrainingParameters(extra="{neftune")
