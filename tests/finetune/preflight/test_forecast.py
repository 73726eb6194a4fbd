"""What a run will need: by the formula, corrected by earlier runs, and with which settings it would fit."""

from dataclasses import replace
from pathlib import Path

import pytest

from finetune.job.hardware import GIB
from finetune.preflight import history
from finetune.preflight.forecast import Forecast
from finetune.preflight.formula import needs
from finetune.preflight.history import Record, figures
from tests.finetune.preflight.cases import AMOUNT, CPU, GPU, SEVEN_B, spec


def test_four_bits_take_about_a_quarter() -> None:
    four, sixteen = (needs(SEVEN_B, spec(bits=bits), AMOUNT, GPU) for bits in (4, 16))
    assert 3.5 < four.parts["weights"] / GIB < 5
    assert 13 < sixteen.parts["weights"] / GIB < 14
    assert four.parts["adapter"] == sixteen.parts["adapter"]


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ({}, {"batch_size": 4}),
        ({"max_length": 256}, {"max_length": 1024}),
        ({}, {"rank": 64}),
        ({}, {"gradient_checkpointing": False}),
        ({}, {"adapter": "full", "bits": 16}),
        ({}, {"adapter": "dora"}),
        ({}, {"packing": True}),
    ],
)
def test_memory_grows_with_what_is_held_at_once(
    less: dict[str, object], more: dict[str, object]
) -> None:
    small, large = (needs(SEVEN_B, spec(**one), AMOUNT, GPU) for one in (less, more))
    assert small.vram < large.vram


@pytest.mark.parametrize(
    ("quicker", "slower"),
    [
        ({"gradient_checkpointing": False}, {}),
        ({}, {"epochs": 3}),
        ({}, {"adapter": "dora"}),
        (
            {"quantization": "Q8_0", "compare_rows": 0},
            {"quantization": "Q4_K_M", "compare_rows": 0},
        ),
        ({"compare_rows": 0}, {}),
    ],
)
def test_time_grows_with_what_is_done(
    quicker: dict[str, object], slower: dict[str, object]
) -> None:
    less, more = (needs(SEVEN_B, spec(**one), AMOUNT, CPU) for one in (quicker, slower))
    assert less.total_seconds < more.total_seconds


def test_what_surely_does_not_fit_comes_with_numbers_and_with_settings_that_would() -> None:
    small = replace(GPU, vram=8 * GIB)
    forecast = Forecast(SEVEN_B, spec(bits=16), AMOUNT, small)
    [short] = forecast.shortfalls()
    assert short.is_sure
    assert (short.resource, short.stage, short.available_bytes) == ("vram", "train", 8 * GIB)
    assert short.needed_bytes > 14 * GIB
    assert {"bits": 4} in [one.settings for one in forecast.would_fit()]
    for way in forecast.would_fit():
        fitting = Forecast(SEVEN_B, spec(**{"bits": 16, **way.settings}), AMOUNT, small)
        assert not fitting.shortfalls()


def test_where_no_single_setting_is_enough_all_together_may_be() -> None:
    amount = replace(AMOUNT, longest=4096)
    wanted = {"bits": 16, "batch_size": 16, "max_length": 4096, "gradient_checkpointing": False}
    forecast = Forecast(SEVEN_B, spec(**wanted), amount, replace(GPU, vram=8 * GIB))
    [way] = forecast.would_fit()
    assert way.settings["bits"] == 4
    assert way.settings["batch_size"] == 1


def test_where_nothing_fits_nothing_is_promised() -> None:
    forecast = Forecast(SEVEN_B, spec(), AMOUNT, replace(GPU, vram=2 * GIB))
    assert forecast.would_fit() == []
    assert forecast.shortfalls()[0].is_sure


def test_what_may_not_fit_is_no_refusal() -> None:
    needed = Forecast(SEVEN_B, spec(), AMOUNT, GPU).needs.vram
    [short] = Forecast(SEVEN_B, spec(), AMOUNT, replace(GPU, vram=needed - 1)).shortfalls()
    assert not short.is_sure


def test_files_that_are_only_looked_into_need_no_memory_of_their_own() -> None:
    forecast = Forecast(SEVEN_B, spec(), AMOUNT, replace(GPU, ram=8 * GIB, ram_free=8 * GIB))
    assert forecast.needs.ram["quantize"] > 14 * GIB
    assert not [short for short in forecast.shortfalls() if short.is_sure]


def test_a_full_disk_is_a_shortfall_of_its_own() -> None:
    forecast = Forecast(SEVEN_B, spec(), AMOUNT, replace(GPU, disk_free=GIB))
    [short] = forecast.shortfalls()
    assert (short.resource, short.stage) == ("disk", None)


def test_on_a_cpu_without_avx512_sixteen_bits_are_faster() -> None:
    forecast = Forecast(SEVEN_B, spec(bits=4), AMOUNT, replace(CPU, avx512=False))
    assert {"bits": 16} in [one.settings for one in forecast.faster()]
    tight = replace(CPU, avx512=False, ram=16 * GIB)
    assert {"bits": 16} not in [
        one.settings for one in Forecast(SEVEN_B, spec(bits=4), AMOUNT, tight).faster()
    ]


def test_on_a_gpu_larger_batches_of_short_rows_are_faster() -> None:
    short = replace(AMOUNT, tokens=60_000, longest=90)
    assert "batch_size" in [
        name
        for one in Forecast(SEVEN_B, spec(compare_rows=0), short, GPU).faster()
        for name in one.settings
    ]


def of_runs(factor: float, parameters: int, kind: str = CPU.kind, bits: int = 4) -> Record:
    """A run that took so many times what the formula said."""
    said = figures(needs(SEVEN_B, spec(bits=bits), AMOUNT, CPU))
    real = {name: value * factor for name, value in said.items()}
    return Record(kind, "cpu", "seven", parameters, bits, said, real)


def test_the_next_prediction_on_this_machine_is_corrected_by_the_last() -> None:
    plain = Forecast(SEVEN_B, spec(), AMOUNT, CPU)
    seen = Forecast(SEVEN_B, spec(), AMOUNT, CPU, [of_runs(2.0, SEVEN_B.parameters)])
    ratio = seen.needs.seconds["train"] / plain.needs.seconds["train"]
    assert 1.7 < ratio <= 2.0
    assert seen.by_formula == plain.needs


def test_runs_that_are_alike_count_most_and_other_machines_not_at_all() -> None:
    near, far = of_runs(2.0, SEVEN_B.parameters), of_runs(0.5, SEVEN_B.parameters // 50)
    elsewhere = of_runs(5.0, SEVEN_B.parameters, kind="gpu: other")
    plain = Forecast(SEVEN_B, spec(), AMOUNT, CPU).needs.seconds["train"]
    seen = Forecast(SEVEN_B, spec(), AMOUNT, CPU, [far, elsewhere, near]).needs.seconds["train"]
    assert 1.6 < seen / plain < 2.0


def test_a_run_that_was_something_else_corrects_nothing() -> None:
    strange = of_runs(100.0, SEVEN_B.parameters)
    seen = Forecast(SEVEN_B, spec(), AMOUNT, CPU, [strange])
    assert seen.needs.seconds == seen.by_formula.seconds


def test_what_is_written_is_read_again_and_damage_is_passed_over(tmp_path: Path) -> None:
    record = of_runs(2.0, 10)
    history.add(tmp_path, record)
    with (tmp_path / history.FILE).open("a") as file:
        file.write('{"kind": 1}\n[]\n\n{"cut')
    [found] = history.read(tmp_path)
    assert (found.real, found.formula) == (record.real, record.formula)
    assert history.read(tmp_path / "nowhere") == []
