"""A kind of job that counts, one number in each step, in a table of its own."""

from collections.abc import Callable
from dataclasses import dataclass

from rekognition_emulator.jobs.run import JobKind, JobRun
from rekognition_emulator.storage.transactions import JoiningPool


@dataclass(frozen=True)
class Counting:
    """How far to count."""

    until: int = 10


def counting(pool: JoiningPool, between: Callable[[int], object] = lambda _: None) -> JobKind[Counting]:
    """Returns a kind that writes one number in each step, and calls ``between`` before each, with that number."""

    def work(payload: Counting, run: JobRun) -> None:
        while run.done < payload.until:
            between(run.done)
            with run.step(), pool.connection() as connection:
                connection.execute("INSERT INTO counted (number) VALUES (%s)", [run.done])
                run.save({"number": run.done}, done=run.done + 1, total=payload.until)

    return JobKind("counting", Counting, work, attempts_max=3)
