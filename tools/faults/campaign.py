"""Lets clients work while one thing after the other fails, and checks what is left."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from botocore.exceptions import BotoCoreError, ClientError

from tools.faults.checker import check
from tools.faults.deployments import Deployment
from tools.faults.history import History, State, read_state
from tools.faults.workload import COLLECTION, Client, Picture, make_client

RECOVERY_S_MAX = 60
"""After that a campaign is given up."""

PROBE_PAUSE_S = 0.05

Fault = Callable[[Deployment], None]


@dataclass
class Result:
    """What came of a campaign.

    Attributes:
        recoveries: of each fault by name, seconds until a change was acknowledged again: from a kill on, with what had
            to be started again started within, or from the end of what lasts for a while.
        problems: what should not be so.
    """

    history: History
    state: State
    recoveries: list[tuple[str, float]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def run(
    deployment: Deployment,
    faults: Sequence[Fault],
    pictures: list[Picture],
    *,
    clients: int,
    pause_s: Callable[[], float],
) -> Result:
    """Has so many clients work while these faults happen, each a pause after the one before has been survived."""
    make_client(deployment.url).create_collection(CollectionId=COLLECTION)
    history = History()
    working = [
        Client(number, deployment.url, history, pictures, in_s3=deployment.storage is not None)
        for number in range(clients)
    ]
    recoveries = []
    for client in working:
        client.start()
    try:
        for fault in faults:
            time.sleep(pause_s())
            recoveries.append((fault.__name__, _recovery(deployment, fault)))
        time.sleep(pause_s())
    finally:
        for client in working:
            client.stop()
    for client in working:
        client.join(RECOVERY_S_MAX)
    state = read_state(make_client(deployment.url), COLLECTION)
    faces_in = {name: faces for client in working for name, faces in client.faces_in.items()}
    result = Result(history, state, recoveries, check(history.events, state, faces_in))
    result.problems += [f"{client.name} ended with {client.crash!r}" for client in working if client.crash]
    result.problems += [f"{client.name} hangs" for client in working if client.is_alive()]
    if code := deployment.stop():
        result.problems.append(f"the server ended with {code}")
    if said := deployment.verify():
        result.problems.append(said)
    return result


def is_kill(fault: Fault) -> bool:
    """Whether it ends a process; the others last for a while."""
    return fault.__name__.startswith("kill")


def _recovery(deployment: Deployment, fault: Fault) -> float:
    """Lets something fail, and returns the seconds from the kill or the end of it until a change was acknowledged."""
    began = time.monotonic()
    fault(deployment)
    if not is_kill(fault):
        began = time.monotonic()
    probe = make_client(deployment.url, attempts_max=1)
    while True:
        try:
            arn = probe.describe_collection(CollectionId=COLLECTION)["CollectionARN"]
            probe.tag_resource(ResourceArn=arn, Tags={"probe": str(began)})
        except (BotoCoreError, ClientError):
            if time.monotonic() > began + RECOVERY_S_MAX:
                raise
            time.sleep(PROBE_PAUSE_S)
        else:
            return time.monotonic() - began
