"""Several examples in one sequence must not see each other, which not every model can: it is tried, not believed."""

from typing import Any

import torch
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from finetune.job.stage import StageFailed

EXAMPLE_TOKENS = 12
MOST_DIFFERENCE = 0.02
"""Of logits in float32; what half precision does is scaled by how large they are."""


def difference(model: Any, pad: int) -> float:
    """How much the logits of an example change, relative to their size, when another one is packed before it."""
    size = int(model.get_input_embeddings().weight.shape[0])
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, size, (2, EXAMPLE_TOKENS), generator=generator).tolist()
    collate: Any = DataCollatorForLanguageModeling(pad_token_id=pad, padding_free=True)
    packed = {
        "input_ids": tokens[0] + tokens[1],
        "labels": tokens[0] + tokens[1],
        "seq_lengths": [EXAMPLE_TOKENS, EXAMPLE_TOKENS],
    }
    alone = {"input_ids": tokens[1], "labels": tokens[1], "seq_lengths": [EXAMPLE_TOKENS]}
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        theirs, ours = (
            model(
                **{
                    name: value.to(model.device) if isinstance(value, torch.Tensor) else value
                    for name, value in collate([example]).items()
                    if name != "labels"
                },
                use_cache=False,
            )
            .logits[0, -EXAMPLE_TOKENS:]
            .float()
            for example in (packed, alone)
        )
    model.train(was_training)
    return float((theirs - ours).abs().max() / ours.abs().max().clamp(min=1e-6))


def require_isolation(model: Any, pad: int) -> None:
    """Refuse packing where the model lets packed examples see each other. Raises `StageFailed`."""
    try:
        found = difference(model, pad)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = f"it does not take packed rows ({type(error).__name__}: {error})"
    else:
        if found <= MOST_DIFFERENCE:
            return
        reason = f"in it packed examples see each other (logits change by {found:.0%})"
    raise StageFailed(
        "This base cannot be trained packed",
        f"{type(model).__name__}: {reason}. Use packing=false.",
    )
