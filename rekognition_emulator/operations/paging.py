"""Opaque page tokens over a keyset cursor: changes when a token has to carry more than the last key of a page.

A token names the last key that was sent, never an offset: items that come or go between two pages move nothing else.
It is bound to its list by a check, so that a token of another list, operation or account is refused.

The API allows a token 255 characters, as many as a collection's name may have, and base64 would need 263 for the
longest name and its check. So a token is one number, written with all 73 characters that need no quoting in JSON, a URL
query or a shell.
"""

import hashlib
from typing import Final

from rekognition_emulator.api.rekognition import InvalidPaginationTokenException
from rekognition_emulator.operations.choices import PAGE_DEFAULT

_CHECK_BITS: Final = 32

_NAME_LEAD: Final = "1"
"""Stands before every name, so that one which begins with the digit zero keeps it."""


class _Digits:
    """Whole numbers, written in as many digits as there are characters."""

    def __init__(self, characters: str) -> None:
        self._characters = characters

    def parse(self, text: str) -> int:
        number = 0
        for character in text:
            number = number * len(self._characters) + self._characters.index(character)
        return number

    def format(self, number: int) -> str:
        digits = []
        while number:
            number, digit = divmod(number, len(self._characters))
            digits.append(self._characters[digit])
        return "".join(reversed(digits))


_TOKENS: Final = _Digits("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.:/@+=%,^")
_NAMES: Final = _Digits("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.:")
"""What a collection's name, a face's id or a user's id may consist of."""


def page_size(max_results: int | None) -> int:
    """Returns how many items a page holds at most; 0 and absent both mean the default."""
    return max_results or PAGE_DEFAULT


def write_token(cursor: str, *scope: str) -> str:
    """Returns the token that continues after ``cursor``, a name or an id, in the list ``scope``."""
    number = _NAMES.parse(f"{_NAME_LEAD}{cursor}")
    return _TOKENS.format((number << _CHECK_BITS) + _check(cursor, scope))


def read_token(token: str | None, *scope: str) -> str | None:
    """Returns the cursor in a token of the list ``scope``; None if there is no token.

    Raises:
        InvalidPaginationTokenException: it is not one of ours, or belongs to another list.
    """
    if token is None:
        return None
    try:
        cursor = _NAMES.format(_TOKENS.parse(token) >> _CHECK_BITS).removeprefix(_NAME_LEAD)
        if token == write_token(cursor, *scope):
            return cursor
    except ValueError:
        pass
    raise InvalidPaginationTokenException("Invalid Pagination Token")


def _check(cursor: str, scope: tuple[str, ...]) -> int:
    digest = hashlib.sha256("\0".join((cursor, *scope)).encode()).digest()
    return int.from_bytes(digest[: _CHECK_BITS // 8], "big")
