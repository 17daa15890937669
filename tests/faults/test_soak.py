"""A soak notices what grows; ``make soak`` runs for minutes."""

from dataclasses import replace

import pytest

from tools.faults.soak import CLIENTS, GROWTH_MB_MAX, Reading, growth

FLAT = [Reading(float(second), 300 if second > 10 else 100 + 20 * second, 40, 20, 5) for second in range(60)]


def test_what_settles_is_no_leak() -> None:
    """Networks and pools are made in the beginning."""
    assert growth(FLAT) == []


@pytest.mark.parametrize(
    ("what", "a_second"),
    [
        ("megabytes", GROWTH_MB_MAX / 15),
        ("descriptors", CLIENTS / 15),
        ("threads", CLIENTS / 15),
        ("connections", CLIENTS / 15),
    ],
)
def test_what_grows_slowly_is_a_leak(what: str, a_second: float) -> None:
    """A little a second, until the end."""
    leaking = [
        replace(reading, **{what: type(getattr(reading, what))(getattr(reading, what) + a_second * reading.seconds)})
        for reading in FLAT
    ]
    assert any(problem for problem in growth(leaking))
