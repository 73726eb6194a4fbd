"""Coordinates for the page's drawings: a loss curve, and means with their intervals. Standard library only."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 28


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid: where it lies, and what stands beside it."""

    place: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines in one frame; `lines` holds the points of each as SVG writes them."""

    lines: dict[str, str]
    dots: dict[str, list[tuple[float, float, str]]]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    marked: float | None


def chart(
    lines: dict[str, Sequence[tuple[int, float]]], marked_step: int | None = None
) -> Chart | None:
    """Losses over steps; None while there are none."""
    finite = {
        name: [(step, value) for step, value in points if math.isfinite(value)]
        for name, points in lines.items()
        if points
    }
    every = [point for points in finite.values() for point in points]
    if not every:
        return None
    last = max(step for step, _ in every)
    highest = max(value for _, value in every)
    y_values = ticks(0.0, highest)
    top = max(y_values[-1], highest) or 1.0

    def at_x(step: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * step / max(last, 1), 1)

    def at_y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top, 1)

    return Chart(
        lines={
            name: " ".join(f"{at_x(step)},{at_y(value)}" for step, value in points)
            for name, points in finite.items()
        },
        dots={
            name: [(at_x(step), at_y(value), f"step {step}: {value:.4g}") for step, value in points]
            for name, points in finite.items()
            if len(points) <= 60
        },
        x_ticks=[Tick(at_x(step), f"{step:g}") for step in ticks(0, last) if step <= last],
        y_ticks=[Tick(at_y(value), f"{value:g}") for value in y_values if value <= top],
        marked=at_x(marked_step) if marked_step is not None else None,
    )


def ticks(low: float, high: float) -> list[float]:
    """About five round numbers from `low` on that reach `high`."""
    span = (high - low) or 1.0
    rough = span / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    return [round(low + step * number, 10) for number in range(math.ceil(span / step) + 1)]


@dataclass(frozen=True, slots=True)
class Bar:
    """An interval on a line on which 0 lies in the middle: percentages of its width."""

    low: float
    width: float
    mean: float


def bar(mean: float, low: float | None, high: float | None, reach: float) -> Bar:
    """An interval, where `reach` is the farthest value that is drawn."""
    reach = reach or 1.0

    def at(value: float) -> float:
        return round(50 + 50 * max(-1.0, min(1.0, value / reach)), 2)

    begin, end = at(mean if low is None else low), at(mean if high is None else high)
    return Bar(begin, round(end - begin, 2), at(mean))
