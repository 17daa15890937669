"""What cases expect, in the words of the contract.

Every function returns a check: something that takes an answer and raises an AssertionError.
"""

import re
from collections.abc import Callable
from itertools import permutations
from typing import Any, Final

from conformance.answer import Answer

Check = Callable[[Answer], None]

NOT_NULL: Final = "Member must not be null"


def length_min(least: int) -> str:
    """Returns the constraint on too few characters, bytes or elements."""
    return f"Member must have length greater than or equal to {least}"


def length_max(most: int) -> str:
    """Returns the constraint on too many characters, bytes or elements."""
    return f"Member must have length less than or equal to {most}"


def value_min(value: int) -> str:
    """Returns the constraint on too small a number."""
    return f"Member must have value greater than or equal to {value}"


def value_max(value: int) -> str:
    """Returns the constraint on too large a number."""
    return f"Member must have value less than or equal to {value}"


def pattern(text: str) -> str:
    """Returns the constraint on a string's form."""
    return f"Member must satisfy regular expression pattern: {text}"


def one_of(values: list[str]) -> str:
    """Returns the constraint on an enum."""
    return f"Member must satisfy enum value set: [{', '.join(values)}]"


def element(*constraints: str) -> str:
    """Returns the constraint on a list because of one of its elements."""
    return f"Member must satisfy constraint: [{', '.join(constraints)}]"


def violation(path: str, value: str | None, constraint: str) -> str:
    """Returns one part of a ValidationException's text; ``value`` as Java prints it."""
    shown = "null" if value is None else f"'{value}'"
    return f"Value {shown} at '{path}' failed to satisfy constraint: {constraint}"


def heap_buffer(length: int) -> str:
    """Returns a blob as the service prints it."""
    return f"java.nio.HeapByteBuffer[pos=0 lim={length} cap={length}]"


def members(*names: str) -> Check:
    """Expects a success with exactly these members."""

    def check(answer: Answer) -> None:
        assert answer.status == 200, f"{answer.status} {answer.content[:300]!r}"
        assert set(answer.body) == set(names), f"members are {sorted(answer.body)}"

    return check


def body(expected: bytes) -> Check:
    """Expects a success with this body, to the byte."""

    def check(answer: Answer) -> None:
        assert (answer.status, answer.content) == (200, expected), answer.content[:300]

    return check


def error(code: str, text: str | re.Pattern[str] | None = None) -> Check:
    """Expects an error of the service.

    Args:
        code: what ``__type`` and ``Code`` say.
        text: the message; ``{CollectionId}`` stands for that member of the request; None if any will do.
    """

    def check(answer: Answer) -> None:
        assert answer.error == code, f"{answer.status} {answer.content[:300]!r} instead of {code}"
        message = answer.body["Message"]
        if isinstance(text, re.Pattern):
            assert text.fullmatch(message), message
        elif text is not None:
            wanted = re.sub(r"\{([A-Z]\w+)\}", lambda found: str(answer.sent[found[1]]), text)
            assert message == wanted, f"{message!r} instead of {wanted!r}"

    return check


def invalid(*violations: str) -> Check:
    """Expects a ValidationException that lists exactly these violations; AWS promises no order."""
    errors = "error" if len(violations) == 1 else "errors"

    def check(answer: Answer) -> None:
        assert answer.error == "ValidationException", (
            f"{answer.status} {answer.content[:300]!r} is no ValidationException"
        )
        texts = {
            f"{len(violations)} validation {errors} detected: {'; '.join(order)}" for order in permutations(violations)
        }
        assert answer.body["message"] in texts, f"{answer.body['message']!r} instead of {min(texts)!r}"

    return check


def not_invalid(answer: Answer) -> None:
    """Expects anything that the validation let through."""
    assert answer.error not in {"ValidationException", "SerializationException", "InternalServerError"}, answer.content[
        :300
    ]


def unreadable(text: str | None) -> Check:
    """Expects a SerializationException with this text, or with none."""

    def check(answer: Answer) -> None:
        assert answer.error == "SerializationException", f"{answer.status} {answer.content[:300]!r}"
        expected = {"__type": "SerializationException"} | ({} if text is None else {"Message": text})
        assert answer.body == expected, answer.body

    return check


def found(**expected: Any) -> Check:  # noqa: ANN401 # any JSON value
    """Expects a success in which these members have these values."""

    def check(answer: Answer) -> None:
        for member, value in expected.items():
            assert answer[member] == value, f"{member} is {answer[member]!r}"

    return check
