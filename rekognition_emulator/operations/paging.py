"""Opaque page tokens over a keyset cursor.

A token names the last key that was sent, never an offset: items that come or go between two pages move nothing else.
It is bound to its list by a check, so that a token of another list, operation or account is refused.

The API allows a token 255 characters, as many as a collection's name may have, and base64 would need 263 for the
longest name and its check. So a token is one number, written with the 66 characters that mean nothing in a URL; for the
few names for which that is not enough, with 70, of which four mean something in a URL but not in its query.
"""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from rekognition_emulator.api.rekognition import InvalidPaginationTokenException
from rekognition_emulator.operations.defaults import PAGE_DEFAULT

TOKEN_CHARS_MAX: Final = 255
"""Source: the service model."""

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


_ALPHANUMERIC: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_UNRESERVED: Final = _ALPHANUMERIC + "-_.~"
"""Source: RFC 3986, section 2.3."""
_COLLECTION_NAMES: Final = _Digits(_ALPHANUMERIC + "-_.")
_ALL_NAMES: Final = _Digits(_ALPHANUMERIC + "-_.:")
"""What a collection's name, and what a face's id or a user's id may consist of as well."""


@dataclass(frozen=True, slots=True)
class _Format:
    """A way to write tokens: with which characters, for which names, and with a check of how many bits."""

    characters: _Digits
    names: _Digits
    check_bits: int

    def write(self, cursor: str, scope: tuple[str, ...]) -> str:
        digest = hashlib.sha256("\0".join((cursor, *scope)).encode()).digest()
        check = int.from_bytes(digest[:4], "big") >> (32 - self.check_bits)
        return self.characters.format((self.names.parse(f"{_NAME_LEAD}{cursor}") << self.check_bits) + check)

    def read(self, token: str) -> str:
        return self.names.format(self.characters.parse(token) >> self.check_bits).removeprefix(_NAME_LEAD)


_USUAL: Final = _Format(_Digits(_UNRESERVED), _ALL_NAMES, 32)
_OF_LONG_NAMES: Final = _Format(_Digits(_UNRESERVED + ":@,/"), _COLLECTION_NAMES, 24)
"""From 250 characters on: 70 characters and 24 bits are what 255 of the 65 in a collection's name leave room for."""

_EARLIER: Final = _Format(_Digits(_ALPHANUMERIC + "-_.:/@+=%,^"), _ALL_NAMES, 32)
"""Of versions up to 0.1, whose tokens are still read: somebody may be between two pages while the server changes."""


def page_size(max_results: int | None) -> int:
    """Returns how many items a page holds at most; 0 and absent both mean the default."""
    return max_results or PAGE_DEFAULT


def write_token(cursor: str, *scope: str) -> str:
    """Returns the token that continues after ``cursor``, a name or an id, in the list ``scope``."""
    token = _USUAL.write(cursor, scope)
    return token if len(token) <= TOKEN_CHARS_MAX else _OF_LONG_NAMES.write(cursor, scope)


def read_token(token: str | None, *scope: str) -> str | None:
    """Returns the cursor in a token of the list ``scope``; None if there is no token.

    Raises:
        InvalidPaginationTokenException: it is not one of ours, or belongs to another list.
    """
    if token is None:
        return None
    for form in (_USUAL, _OF_LONG_NAMES, _EARLIER):
        with suppress(ValueError):  # a character that is in none of its tokens or names
            cursor = form.read(token)
            if token in {write_token(cursor, *scope), _EARLIER.write(cursor, scope)}:
                return cursor
    raise InvalidPaginationTokenException("Invalid Pagination Token")
