"""F16 files whose weights are not what was trained: each is caught, and the reason says what differs."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.finetune.faults.conftest import Bench
from tests.finetune.faults.spoiling import Array, Change, learned_times, noisy, only, swapped

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

RARE = [1400, 1401]


def zeroed(data: Array) -> Array:
    return np.zeros_like(data)


def rare_zeroed(data: Array) -> Array:
    data[RARE] = 0
    return data


def rare_swapped(data: Array) -> Array:
    data[RARE] = data[RARE[::-1]]
    return data


def halves_exchanged(data: Array) -> Array:
    """As when rotated pairs are laid out for another kind of attention."""
    return np.concatenate([data[32:64], data[:32], data[64:]])


SPEAKS = "The GGUF speaks differently"
KNOWS = "The GGUF knows a token differently"

FAULTS: list[tuple[str, Callable[[Bench], Change], str]] = [
    ("the base's weights", lambda b: learned_times(b.base, 0), SPEAKS),
    ("alpha ignored", lambda b: learned_times(b.base, 0.5), SPEAKS),
    ("alpha a quarter too large", lambda b: learned_times(b.base, 1.25), SPEAKS),
    ("rank-stabilised and scaled as if not", lambda b: learned_times(b.base, 0.25), SPEAKS),
    ("scaled as rank-stabilised and not", lambda b: learned_times(b.base, 4), SPEAKS),
    ("5 % noise", lambda _: noisy(0.05), SPEAKS),
    ("a zeroed layer", lambda _: only("blk.3.", zeroed), SPEAKS),
    ("zeroed norms", lambda _: only("blk.3.attn_norm", zeroed), SPEAKS),
    (
        "two layers' tensors swapped",
        lambda b: swapped(b.exact, "blk.2.ffn_up.weight", "blk.3.ffn_up.weight"),
        SPEAKS,
    ),
    ("pairs of a head in another order", lambda _: only("blk.1.attn_k", halves_exchanged), SPEAKS),
    ("rows of rare tokens zeroed", lambda _: only("token_embd", rare_zeroed), KNOWS),
    ("rows of rare tokens swapped", lambda _: only("token_embd", rare_swapped), KNOWS),
]


@pytest.mark.parametrize(
    ("spoil", "title"), [case[1:] for case in FAULTS], ids=[case[0] for case in FAULTS]
)
def test_it_is_caught(bench: Bench, spoil: Callable[[Bench], Change], title: str) -> None:
    found = bench.exact_against_the_trained(bench.spoiled(spoil(bench)))
    assert title in [refusal.title for refusal in found]


def test_the_reason_names_the_token_and_the_place(bench: Bench) -> None:
    (speaks,) = bench.exact_against_the_trained(bench.spoiled(learned_times(bench.base, 1.25)))
    assert "of what row" in speaks.detail
    assert "the bound is 0.05" in speaks.detail
    (knows,) = bench.exact_against_the_trained(bench.spoiled(only("token_embd", rare_zeroed)))
    assert "token 1400" in knows.detail
