"""Plays cases and says what became of them."""

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from conformance.answer import Answer
from conformance.case import Case
from conformance.service import NotOffered, NotRun, Service, Session

HERE: Final = Path(__file__).parent
SHOWN_CHARS: Final = 600
"""Of the request and of the answer that a failure shows."""


class State(StrEnum):
    """How a case can end."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_OFFERED = "not offered"
    NOT_RUN = "not run"
    DIFFERS = "differs"
    """AWS itself behaves otherwise than we chose to, where nothing public settled it."""


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        text: why it did not pass; empty if it did.
    """

    case: Case
    state: State
    text: str
    seconds: float


Listener = Callable[[Case, Sequence[Answer]], None]


def run(session: Session, cases: Sequence[Case], threads: int, listener: Listener | None = None) -> list[Outcome]:
    """Plays the cases, several at a time, and returns the outcomes in their order.

    Args:
        session: what they share.
        cases: in the order in which they start.
        threads: how many are played at a time.
        listener: is told what each case exchanged with the service, one case at a time.
    """
    lock = threading.Lock()

    def play(case: Case) -> Outcome:
        service = Service(session, session.target.region)
        outcome = _play(case, service)
        if listener:
            with lock:
                listener(case, service.exchanges)
        return outcome

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(play, cases))


def _play(case: Case, service: Service) -> Outcome:
    started = time.perf_counter()
    state, text = State.PASSED, ""
    try:
        case.play(service)
    except NotOffered as what:
        state, text = State.NOT_OFFERED, str(what)
    except NotRun as why:
        state, text = State.NOT_RUN, str(why)
    except Exception as error:  # noqa: BLE001 # an unexpected answer makes a case fail in any way it likes
        state = State.DIFFERS if service.target.is_aws and case.source == "ours" else State.FAILED
        text = _explain(error, service.exchanges)
    return Outcome(case, state, text, time.perf_counter() - started)


def _explain(error: Exception, exchanges: Sequence[Answer]) -> str:
    """Returns the assertion that failed and what was said last."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if HERE in Path(frame.filename).parents]
    lines = [f"{Path(frame.filename).relative_to(HERE)}:{frame.lineno}: {frame.line}" for frame in frames[-2:]]
    kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
    if str(error):
        lines.append(f"{kind}{error}"[: 2 * SHOWN_CHARS])
    if exchanges:
        last = exchanges[-1]
        lines.append(f"asked   {last.operation} {last.request}"[:SHOWN_CHARS])
        lines.append(f"answer  {last.status} {last.content.decode('utf-8', 'replace')}"[:SHOWN_CHARS])
    return "\n".join(lines)
