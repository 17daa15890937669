"""Retries of an operation whose collection was given another face model meanwhile.

An operation reads its collection first, and works for some milliseconds or seconds with that collection's face model.
Where the embeddings have been exchanged meanwhile, the store notices before anything is answered or changed, and the
operation begins anew. Locking the collection for as long as an operation takes was refused: every writer would wait.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from rekognition_emulator.domain.errors import FaceModelChanged
from rekognition_emulator.operations.context import Context

Handler = Callable[[Context, Any], Any]


def retry_on_model_change(handler: Handler) -> Handler:
    """Makes a handler begin anew, once, when its collection was given another face model meanwhile."""

    @wraps(handler)
    def answer(context: Context, request: Any) -> Any:  # noqa: ANN401 - it has any operation's types
        try:
            return handler(context, request)
        except FaceModelChanged:
            return handler(context, request)

    return answer
