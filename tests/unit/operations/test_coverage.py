"""The tables of what is served are complete and true."""

from rekognition_emulator.api import rekognition as api
from rekognition_emulator.operations.coverage import _ABSENT, attribute_coverage, coverage
from rekognition_emulator.operations.registry import OPERATIONS


def test_every_operation_is_served_or_has_one_reason_why_not() -> None:
    """All 75, none twice, and none with both a handler and a reason."""
    absent = [operation for operations in _ABSENT.values() for operation in operations]
    assert len(absent) == len(set(absent))
    assert set(absent) | set(OPERATIONS) == set(api.Operations.__annotations__)
    assert not set(absent) & set(OPERATIONS)
    assert len(list(coverage())) == 75


def test_every_member_of_a_face_has_a_source() -> None:
    """A member that AWS adds to FaceDetail makes the table fail until somebody says where it comes from."""
    assert [member for member, _ in attribute_coverage()] == list(api.FaceDetail.__annotations__)
