from typing import Any, cast

import pytest

from rekognition_emulator.api import rekognition as api
from rekognition_emulator.api.operation import Operation
from rekognition_emulator.domain.errors import CollectionNotFound, FaceModelChanged
from rekognition_emulator.operations.context import Context
from rekognition_emulator.operations.error_map import translate_error
from rekognition_emulator.operations.registry import OPERATIONS, SERVED
from rekognition_emulator.operations.retry import retry_on_model_change

CONTEXT = cast("Context", None)


def test_every_operation_is_served_steadily() -> None:
    """No handler reaches clients that would fail because a collection gets another face model."""
    assert SERVED.keys() == OPERATIONS.keys()
    records = cast("dict[str, Operation[Context, Any, Any]]", OPERATIONS)
    assert all(SERVED[name] is not record.handler for name, record in records.items())


@pytest.mark.parametrize(("changes", "error"), [(0, None), (1, None), (2, FaceModelChanged)])
def test_an_operation_begins_anew_once(changes: int, error: type[Exception] | None) -> None:
    """One change during a request goes unnoticed; at two, clients are asked to come again."""
    calls = []

    def handler(_: Context, request: Any) -> Any:
        calls.append(request)
        if len(calls) <= changes:
            raise FaceModelChanged("album")
        return {"answer": len(calls)}

    if error:
        with pytest.raises(error) as raised:
            retry_on_model_change(handler)(CONTEXT, {})
        assert isinstance(translate_error(raised.value, "SearchFaces"), api.ThrottlingException)
    else:
        assert retry_on_model_change(handler)(CONTEXT, {}) == {"answer": changes + 1}


def test_other_errors_are_not_tried_again() -> None:
    """What a caller did wrong is answered at once."""
    calls = []

    def handler(_: Context, request: Any) -> Any:
        calls.append(request)
        raise CollectionNotFound("album")

    with pytest.raises(CollectionNotFound):
        retry_on_model_change(handler)(CONTEXT, {})
    assert len(calls) == 1
