"""Several examples in one sequence must not see each other, which not every model can: it is tried, not believed."""

from typing import Any

import torch
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from finetune.job.stage import StageFailed

EXAMPLE_TOKENS = 12
MOST_INFLUENCE = 1e-4
MOST_DISPLACEMENT = 0.05
"""Of the logits' size; what 8 bits and half precision do is well below it."""


def influence(model: Any) -> tuple[float, float]:
    """How much the logits of an example change, relative to their size: with another example packed before it, and
    between being packed and being alone.
    """
    size = int(model.get_input_embeddings().weight.shape[0])
    generator = torch.Generator().manual_seed(0)
    first, other, example = torch.randint(
        0, size, (3, EXAMPLE_TOKENS), generator=generator
    ).tolist()
    was_training = model.training
    model.eval()
    behind_first, behind_other, alone = (
        _logits(model, tokens, [EXAMPLE_TOKENS] * (len(tokens) // EXAMPLE_TOKENS))
        for tokens in (first + example, other + example, example)
    )
    model.train(was_training)
    scale = alone.abs().max().clamp(min=1e-6)
    return (
        float((behind_first - behind_other).abs().max() / scale),
        float((behind_first - alone).abs().max() / scale),
    )


def _logits(model: Any, tokens: list[int], lengths: list[int]) -> torch.Tensor:
    """Of the last example, as the trainer would give the model all of them."""
    collate: Any = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)
    batch = collate([{"input_ids": tokens, "labels": tokens, "seq_lengths": lengths}])
    batch = {
        name: value.to(model.device) if isinstance(value, torch.Tensor) else value
        for name, value in batch.items()
        if name != "labels"
    }
    with torch.inference_mode():
        logits: torch.Tensor = model(**batch, use_cache=False).logits
    return logits[0, -EXAMPLE_TOKENS:].float()


def require_isolation(model: Any) -> None:
    """Refuse packing where the model lets packed examples see each other. Raises `StageFailed`."""
    most = MOST_DISPLACEMENT if getattr(model, "is_loaded_in_8bit", False) else MOST_INFLUENCE
    try:
        seen, displaced = influence(model)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = f"it does not take packed rows ({type(error).__name__}: {error})"
    else:
        if seen <= most and displaced <= MOST_DISPLACEMENT:
            return
        reason = f"in it an example depends on those packed before it (logits by {max(seen, displaced):.1%})"
    raise StageFailed(
        "This base cannot be trained packed",
        f"{type(model).__name__}: {reason}. Use packing=false.",
    )
