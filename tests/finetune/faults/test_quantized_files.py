"""Quantized files that are not the F16 file made smaller: each is caught, and the reason names the tensor."""

from collections.abc import Callable
from pathlib import Path

import pytest

from finetune.gguf_file import llama_cpp_folder
from finetune.stages.quantize import quantize_file
from tests.finetune.faults.conftest import Bench
from tests.finetune.faults.spoiling import Change, learned_times, noisy, only, rewritten, swapped
from tests.finetune.faults.test_f16_files import rare_swapped, rare_zeroed, zeroed

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

WEIGHTS = "The quantized GGUF holds other weights"

FAULTS: list[tuple[str, Callable[[Bench], Change], str]] = [
    ("made of the base", lambda b: learned_times(b.base, 0), "blk."),
    ("made of another scale", lambda b: learned_times(b.base, 1.25), "blk."),
    ("with 10 % noise", lambda _: noisy(0.10), "Tensor"),
    ("with a zeroed layer", lambda _: only("blk.3.", zeroed), "blk.3."),
    ("with zeroed norms", lambda _: only("blk.3.attn_norm", zeroed), "blk.3.attn_norm"),
    (
        "with two layers' tensors swapped",
        lambda b: swapped(b.exact, "blk.2.ffn_up.weight", "blk.3.ffn_up.weight"),
        "ffn_up",
    ),
    ("with rows of rare tokens zeroed", lambda _: only("token_embd", rare_zeroed), "token_embd"),
    ("with rows of rare tokens swapped", lambda _: only("token_embd", rare_swapped), "token_embd"),
]


def smaller(bench: Bench, source: Path) -> Path:
    target = bench.folder / "smaller.gguf"
    quantize_file(source, target, "Q4_K_M")
    return target


@pytest.mark.parametrize(
    ("spoil", "named"), [case[1:] for case in FAULTS], ids=[case[0] for case in FAULTS]
)
def test_it_is_caught(bench: Bench, spoil: Callable[[Bench], Change], named: str) -> None:
    first, *_ = bench.quantized_against_both(smaller(bench, bench.spoiled(spoil(bench))))
    assert first.title == WEIGHTS
    assert named in first.detail


def test_flipped_bits_are_caught(bench: Bench, tmp_path: Path) -> None:
    llama_cpp_folder()
    import gguf

    data = bytearray(bench.quantized.read_bytes())
    reader = gguf.GGUFReader(bench.quantized)
    tensor = next(one for one in reader.tensors if one.name == "blk.2.ffn_up.weight")
    data[tensor.data_offset + 144 * 7 + 1] ^= 0x40  # an exponent's bit in one block's scale
    target = tmp_path / "flipped.gguf"
    target.write_bytes(data)
    first, *_ = bench.quantized_against_both(target)
    assert first.title == WEIGHTS
    assert "blk.2.ffn_up.weight" in first.detail


def test_a_header_changed_by_quantizing_is_caught(bench: Bench) -> None:
    other = {"llama.rope.freq_base": 500_000.0}
    spoiled = rewritten(bench.exact, bench.folder / "header.gguf", fields=other)
    first, *_ = bench.quantized_against_both(smaller(bench, spoiled))
    assert first.title == "The quantized GGUF says something else of itself"
    assert "freq_base is 500000.0 and 10000.0" in first.detail


def test_the_good_file_is_not_refused(bench: Bench) -> None:
    assert bench.quantized_against_both(bench.quantized) == []
