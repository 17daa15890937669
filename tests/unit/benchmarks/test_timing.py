import pytest

from benchmarks.timing import Times, figure, in_turn, recall, repeated, together


def test_percentiles_are_of_single_times_and_the_rate_of_the_whole() -> None:
    """Where several run at once, more are done in a second than one after another could be."""
    times = Times([number / 1000 for number in range(1, 101)], seconds=0.5)
    assert times.ms(50) == pytest.approx(50.5)
    assert times.ms(99) == pytest.approx(99.01)
    assert times.row() == ["1.0", "50", "95", "99", "200"]


@pytest.mark.parametrize(
    ("found", "nearest", "expected"),
    [
        ([["a", "b"]], [["b", "a"]], 1.0),
        ([["a"], []], [["a", "b"], ["c", "d"]], 0.25),
        ([["a", "x", "y"]], [["a", "b"]], 0.5),
        ([[], ["x"]], [[], []], 1.0),
    ],
)
def test_recall_is_the_part_of_the_nearest_that_came(
    found: list[list[str]], nearest: list[list[str]], expected: float
) -> None:
    """Order does not matter, surplus answers do not help, and missing ones count in whichever search."""
    assert recall(found, nearest) == expected


def test_every_run_gets_its_number_as_often_as_was_asked_for() -> None:
    """Runs find their probe by number, so none may be skipped or come twice."""
    numbers: list[int] = []
    times = repeated(numbers.append, seconds=0, times_min=7)
    assert numbers == list(range(7))
    assert len(times.latencies) == 7
    turns: list[tuple[str, int]] = []
    in_turn({name: lambda number, name=name: turns.append((name, number)) for name in "ab"}, 2)  # type: ignore[misc]
    assert turns == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    shared: list[int] = []
    times = together(shared.append, threads=3, seconds=0.01)
    assert sorted(shared) == list(range(len(times.latencies)))


def test_failure_in_a_thread_is_not_lost() -> None:
    """A bench whose requests fail must not report how fast they failed."""
    with pytest.raises(ZeroDivisionError):
        together(lambda number: 1 // (number - number), threads=2, seconds=1)


@pytest.mark.parametrize(("value", "text"), [(0.423, "0.42"), (4.23, "4.2"), (42.3, "42"), (4230.0, "4,230")])
def test_figures_have_as_many_digits_as_mean_something(value: float, text: str) -> None:
    """A table of times is read at a glance."""
    assert figure(value) == text
