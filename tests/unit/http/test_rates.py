from hypothesis import given
from hypothesis import strategies as st

from rekognition_emulator.http.rate_limits import EVERY_OTHER, RATE_MAX, RATE_MIN, RateLimiter

ACCOUNT = "123456789012"
SECOND_NS = 1_000_000_000


class Clock:
    """Stands still until it is moved; it began long ago."""

    def __init__(self) -> None:
        self.now_ns = 10**15

    def __call__(self) -> int:
        """Returns its time."""
        return self.now_ns

    def move(self, seconds: float) -> None:
        """Moves it on."""
        self.now_ns += round(seconds * SECOND_NS)


def taken(rates: RateLimiter, count: int, account: str = ACCOUNT, operation: str | None = "IndexFaces") -> int:
    """Asks so often and returns how often that was granted."""
    return sum(rates.try_acquire(account, operation) for _ in range(count))


@given(st.floats(RATE_MIN, 1000), st.lists(st.tuples(st.integers(0, 30), st.floats(0, 3)), max_size=30))
def test_no_more_get_through_than_the_rate_and_a_second_at_once(rate: float, asked: list[tuple[int, float]]) -> None:
    """Whenever an account asks, and in whatever bursts: between any two moments, so from each burst on."""
    clock = Clock()
    rates = RateLimiter({"IndexFaces": rate}, clock)
    granted: list[tuple[float, int]] = []
    elapsed = 0.0
    for count, pause in asked:
        granted.append((elapsed, taken(rates, count)))
        clock.move(pause)
        elapsed += pause
    for place, (start, _) in enumerate(granted):
        for end in range(place, len(granted)):
            seconds = granted[end][0] - start
            most = rate * seconds + max(rate, 1)
            assert sum(count for _, count in granted[place : end + 1]) <= most + 1e-3


@given(st.floats(2, RATE_MAX), st.floats(1, 5), st.integers(1, 400))
def test_who_asks_steadily_gets_the_whole_rate(rate: float, surplus: float, count: int) -> None:
    """However much more often than that, from an empty bucket on: what is refused costs nothing."""
    clock = Clock()
    rates = RateLimiter({"IndexFaces": rate}, clock)
    while rates.try_acquire(ACCOUNT, "IndexFaces"):
        pass
    granted = 0
    for _ in range(count):
        clock.move(1 / (rate * surplus))
        granted += rates.try_acquire(ACCOUNT, "IndexFaces")
    assert granted >= count / surplus - 1.01


def test_a_second_is_there_at_once_and_comes_back() -> None:
    """Also after a long pause no more than that."""
    clock = Clock()
    rates = RateLimiter({"IndexFaces": 7}, clock)
    assert taken(rates, 20) == 7
    clock.move(1 / 7)
    assert taken(rates, 20) == 1
    clock.move(86_400)
    assert taken(rates, 20) == 7


def test_a_limit_below_one_a_second_grants_one_at_a_time() -> None:
    """So it is no refusal of everything."""
    clock = Clock()
    rates = RateLimiter({"IndexFaces": 0.25}, clock)
    assert taken(rates, 3) == 1
    clock.move(3.9)
    assert taken(rates, 3) == 0
    clock.move(0.2)
    assert taken(rates, 3) == 1


def test_accounts_and_operations_have_each_their_own() -> None:
    """One account's flood is no other's, and an album leaves the searches of its account alone."""
    rates = RateLimiter({"IndexFaces": 2, EVERY_OTHER: 3}, Clock())
    assert taken(rates, 9) == 2
    assert taken(rates, 9, account="999999999999") == 2
    assert [taken(rates, 9, operation=each) for each in ("SearchFaces", "ListFaces")] == [3, 3]


def test_what_is_not_named_has_no_limit() -> None:
    """And takes no memory."""
    rates = RateLimiter({"IndexFaces": 1}, Clock())
    assert taken(rates, 1000, operation="SearchFaces") == taken(rates, 1000, operation=None) == 1000
    assert not rates.is_exhausted(ACCOUNT, "SearchFaces")
    assert len(rates) == 0
    assert taken(RateLimiter({}, Clock()), 1000) == 1000


def test_asking_whether_one_is_left_takes_none() -> None:
    """So whoever only claims to be of an account uses up nothing of it."""
    clock = Clock()
    rates = RateLimiter({"IndexFaces": 2}, clock)
    assert not any(rates.is_exhausted(ACCOUNT, "IndexFaces") for _ in range(100))
    assert taken(rates, 5) == 2
    assert rates.is_exhausted(ACCOUNT, "IndexFaces")
    assert not rates.is_exhausted(ACCOUNT, "SearchFaces")
    clock.move(0.5)
    assert not rates.is_exhausted(ACCOUNT, "IndexFaces")


def test_full_buckets_are_forgotten() -> None:
    """However many accounts come by, only those of the last moment are remembered, and none is forgotten too early."""
    clock = Clock()
    rates = RateLimiter({EVERY_OTHER: 10}, clock)
    for number in range(10_000):
        assert taken(rates, 1, account=f"{number:012}") == 1
        clock.move(0.001)
        assert len(rates) <= 101
    assert taken(rates, 20, account=f"{9_999:012}") == 9


def test_names_that_are_no_operation_share_a_bucket() -> None:
    """Callers cannot make up buckets."""
    rates = RateLimiter({EVERY_OTHER: 5}, Clock())
    assert taken(rates, 9, operation=None) == 5
    assert len(rates) == 1
