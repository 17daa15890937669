import asyncio
import threading
from collections.abc import Iterator

import pytest

from rekognition_emulator.http import readiness as module
from rekognition_emulator.http.readiness import KEPT_SECONDS, Readiness


class Database:
    """Answers when it is let, and counts how often and how many at a time have asked."""

    def __init__(self) -> None:
        self.answer = True
        self.asked = self.at_once = self.at_once_max = 0
        self.answers = threading.Event()
        self.answers.set()

    def __call__(self) -> bool:
        """Answers one question."""
        self.asked += 1
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        assert self.answers.wait(10)
        self.at_once -= 1
        return self.answer


@pytest.fixture
def database() -> Iterator[Database]:
    """One that answers at once; whoever waits for it is let go in the end."""
    made = Database()
    yield made
    made.answers.set()


def test_the_database_is_asked_once_a_second(database: Database) -> None:
    """Its answer, good or bad, is given again for that long and no longer."""
    now = 100.0

    async def scenario() -> list[bool]:
        nonlocal now
        readiness = Readiness(database, lambda: now)
        told = [await readiness.is_ready() for _ in range(1000)]
        assert (set(told), database.asked) == ({True}, 1)
        database.answer = False
        now += KEPT_SECONDS - 0.01
        told = [await readiness.is_ready()]
        now += 0.01
        told += [await readiness.is_ready(), await readiness.is_ready()]
        database.answer = True
        now += KEPT_SECONDS
        return [*told, await readiness.is_ready()]

    assert asyncio.run(scenario()) == [True, False, False, True]
    assert database.asked == 3


def test_a_thousand_that_ask_at_once_take_one_connection(database: Database) -> None:
    """Also while the database is slow, and without keeping the event loop from anything else."""
    database.answers.clear()

    async def scenario() -> list[bool]:
        readiness = Readiness(database)
        waiting = [asyncio.create_task(readiness.is_ready()) for _ in range(1000)]
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in waiting)
        database.answers.set()
        return await asyncio.gather(*waiting)

    assert asyncio.run(scenario()) == [True] * 1000
    assert (database.asked, database.at_once_max) == (1, 1)


def test_an_error_is_not_kept() -> None:
    """What nobody foresaw is raised to whoever asks, and asked again."""
    is_broken = True

    def ask() -> bool:
        if is_broken:
            raise ZeroDivisionError
        return True

    async def scenario() -> bool:
        nonlocal is_broken
        readiness = Readiness(ask)
        with pytest.raises(ZeroDivisionError):
            await readiness.is_ready()
        is_broken = False
        return await readiness.is_ready()

    assert asyncio.run(scenario())


def test_a_database_that_says_nothing_does_not_serve(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks is told so soon; nothing asks again before the first question is answered, and then it serves."""
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.05)
    database.answers.clear()

    async def scenario() -> list[bool]:
        now = [0.0]
        readiness = Readiness(database, lambda: now[0])
        told = [await readiness.is_ready()]
        now[0] += KEPT_SECONDS
        told.append(await readiness.is_ready())
        database.answers.set()
        now[0] += KEPT_SECONDS
        await asyncio.sleep(0.05)
        return [*told, await readiness.is_ready()]

    assert asyncio.run(scenario()) == [False, False, True]
    assert database.asked == 1
