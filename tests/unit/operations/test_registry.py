"""What derives from the records of operations agrees with what names them otherwise."""

from rekognition_emulator.auth.policy import Decision, parse_policy
from rekognition_emulator.auth.presets import preset
from rekognition_emulator.operations.registry import BULK, OPERATIONS, READ_ONLY


def test_the_policy_read_allows_what_changes_nothing() -> None:
    """A new operation is allowed by its name, or forbidden, as its record says."""
    policy = parse_policy(preset("read", "1" * 12))
    allowed = {name for name in OPERATIONS if policy.decide(f"rekognition:{name}", "*") is Decision.ALLOWED}
    assert allowed == READ_ONLY


def test_only_what_albums_are_sent_through_is_bulk() -> None:
    """CompareFaces is asked while somebody stands at a door."""
    assert {"DetectFaces", "IndexFaces"} == BULK
