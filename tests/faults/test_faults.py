"""What was acknowledged survives kills and lost connections, whole; ``make faults`` takes minutes and more faults."""

import random
from collections.abc import Sequence

import pytest

from tools.faults import campaign
from tools.faults.deployments import Deployment, embedded, external
from tools.faults.workload import Picture, make_pictures

CLIENTS = 3


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    """What clients send."""
    pytest.importorskip("skimage", reason="people are made up from scikit-image's portrait")
    return make_pictures()


def survive(deployment: Deployment, faults: Sequence[campaign.Fault], pictures: list[Picture]) -> None:
    """Lets these things fail, and checks that clients worked all the while."""
    pauses = random.Random(1)
    result = campaign.run(deployment, faults, pictures, clients=CLIENTS, pause_s=lambda: pauses.uniform(0.2, 0.8))
    assert result.problems == []
    assert result.history.outcomes()["IndexFaces"]["acknowledged"] > len(faults)


def test_a_server_with_its_own_database(pictures: list[Picture]) -> None:
    """Killed are a process of two, the database below both, and everything at once."""
    faults = [Deployment.kill_process, Deployment.kill_database, Deployment.kill_everything]
    with embedded(REKOGNITION_PROCESSES="2") as deployment:
        survive(deployment, faults, pictures)


def test_a_server_with_a_database_elsewhere(pictures: list[Picture]) -> None:
    """Its connections break, a process of the database is killed, then the database, then the server."""
    faults = [Deployment.cut_line, Deployment.kill_backend, Deployment.kill_database, Deployment.kill_server]
    with external(REKOGNITION_INDEX="faiss") as deployment:
        survive(deployment, faults, pictures)
