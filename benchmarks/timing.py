"""Times, and what a search has missed, summed up."""

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import TypeVar

import numpy as np

T = TypeVar("T")


@dataclass(frozen=True)
class Times:
    """How long something took, again and again.

    Attributes:
        latencies: seconds of each time.
        seconds: from the first to the last of them; less than their sum where several ran at once.
    """

    latencies: Sequence[float]
    seconds: float

    HEAD = ("least", "p50", "p95", "p99", "a second")

    def ms(self, percentile: float) -> float:
        """Returns a percentile, 0…100, in milliseconds."""
        return float(np.percentile(self.latencies, percentile)) * 1000

    def row(self) -> list[str]:
        """Returns the columns of ``HEAD``: milliseconds, and how many were done each second.

        The least is what it takes while nothing else wants the cores.
        """
        percentiles = [figure(self.ms(percentile)) for percentile in (0, 50, 95, 99)]
        return [*percentiles, figure(len(self.latencies) / self.seconds)]


def figure(value: float) -> str:
    """Writes a number with as many digits as can mean something: 0.42, 4.2, 42, 4,200."""
    decimals = 2 if abs(value) < 1 else 1 if abs(value) < 10 else 0
    return f"{value:,.{decimals}f}"


def timed(run: Callable[[], object]) -> float:
    """Returns the seconds that one run took."""
    start = perf_counter()
    run()
    return perf_counter() - start


def repeated(run: Callable[[int], object], *, seconds: float, times_min: int) -> Times:
    """Runs something with 0, 1, 2 … for so long, and so often at least."""
    latencies: list[float] = []
    start = perf_counter()
    for number in itertools.count():
        latencies.append(timed(partial(run, number)))
        if perf_counter() - start >= seconds and number + 1 >= times_min:
            break
    return Times(latencies, perf_counter() - start)


def in_turn(runs: Mapping[str, Callable[[int], object]], rounds: int) -> dict[str, Times]:
    """Runs all with 0, 1, 2 …, in turn, so that a busy minute of the machine meets all of them."""
    latencies: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        for name, run in runs.items():
            latencies[name].append(timed(partial(run, number)))
    return {name: Times(each, sum(each)) for name, each in latencies.items()}


def together(run: Callable[[int], object], threads: int, seconds: float) -> Times:
    """Runs something with 0, 1, 2 … from several threads for so long."""
    latencies: list[float] = []
    numbers = itertools.count()
    start = perf_counter()

    def work() -> None:
        while perf_counter() - start < seconds:
            number = next(numbers)
            latencies.append(timed(partial(run, number)))

    with ThreadPoolExecutor(threads) as executor:
        for ending in [executor.submit(work) for _ in range(threads)]:
            ending.result()
    return Times(latencies, perf_counter() - start)


def recall(found: Sequence[Collection[T]], nearest: Sequence[Collection[T]]) -> float:
    """Returns which part of the nearest was found, 0…1, over all searches; 1 where there is nothing to find."""
    wanted = sum(map(len, nearest))
    hits = sum(len({*one} & {*true}) for one, true in zip(found, nearest, strict=True))
    return hits / wanted if wanted else 1.0
