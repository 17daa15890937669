"""Networks that are opened when they are first wanted."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from rekognition_emulator.inference.details.on_demand import RETRY_S, OnDemand


def test_it_is_opened_once() -> None:
    """However many want it at first, at once."""
    together = Barrier(8)
    opened: list[None] = []

    def load() -> str:
        opened.append(None)
        return "network"

    network = OnDemand("mesh", load)

    def get(_: int) -> str | None:
        together.wait(10)
        return network.get()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(get, range(8))) == {"network"}
    assert len(opened) == 1


def test_what_failed_is_tried_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that was full may have room again; until then nothing is tried and the next estimator is asked."""
    failures = iter([OSError("no room"), None])

    def load() -> str:
        if error := next(failures):
            raise error
        return "network"

    network = OnDemand("mesh", load)
    assert [network.get(), network.get()] == [None, None]
    tried_again = time.monotonic() + RETRY_S
    seen = [network.is_hopeless]
    monkeypatch.setattr(time, "monotonic", lambda: tried_again)
    seen += [network.is_hopeless, network.get() == "network", network.is_hopeless]
    assert seen == [True, False, True, False]
