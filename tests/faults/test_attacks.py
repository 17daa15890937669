"""Attacks leave a server as it was, and its callers served; ``python -m tools.faults.attacks`` attacks for a minute."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tools.faults.attacks import attack, report


@pytest.mark.timeout(180)
def test_a_server_holds() -> None:
    """Whoever is proved is served each time, memory stays, and nothing unproved changes anything."""
    # Not below pytest's own folder: as root, the database's user must be able to enter every parent.
    with TemporaryDirectory(prefix="rekognition-test-") as folder:
        Path(folder).chmod(0o755)
        attacked = attack(Path(folder), seconds=4)
    print("\n".join(report(attacked)))  # noqa: T201 - what it found shows where it fails
    assert attacked.problems == []
    assert min(attacked.served.values()) > 1
