"""Page tokens: opaque, bound to their list, and never longer than the API allows."""

import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rekognition_emulator.api.rekognition import InvalidPaginationTokenException
from rekognition_emulator.operations.paging import page_size, read_token, write_token

LETTERS = string.ascii_letters + string.digits + "_.-"
NAMES = st.text(LETTERS + ":", min_size=1, max_size=128) | st.text(LETTERS, min_size=1, max_size=255)


@given(NAMES, NAMES)
def test_a_token_gives_its_cursor_back(name: str, scope: str) -> None:
    """Whatever a collection, a user or a face is called."""
    assert read_token(write_token(name, "list", scope), "list", scope) == name


@pytest.mark.parametrize("character", "0aZ_.-")
@pytest.mark.parametrize("length", range(245, 256))
def test_the_longest_name_fits(character: str, length: int) -> None:
    """A collection's name may have 255 characters, and so may a token."""
    scope = ("ListCollections", "000000000000", "us-east-1")
    token = write_token(character * length, *scope)
    assert len(token) <= 255
    assert read_token(token, *scope) == character * length


@given(NAMES)
def test_a_token_is_the_same_in_a_url(name: str) -> None:
    """Programs hand it on in links, where a plus would arrive as a space."""
    token = write_token(name, "list")
    assert quote(token, safe=":@,/") == token


EARLIER = {
    "wedding": "1C9Z+H%6=d6t7",
    "a": "2cIpo1e",
    "0": "1:DUtB1",
    "ada:lovelace": "Q6pPnks-.wbWRAN58",
    "0e5f4c2a-0a47-4b9e-8d6a-1f2f3a4b5c6d": "420eWVj0HSizHN%k,Xnj0Z:+qjY^GrduqR.%_NnYE",
}


@pytest.mark.parametrize("name", EARLIER)
def test_tokens_of_the_version_before_are_read(name: str) -> None:
    """Whoever is between two pages while the server is brought up to date goes on."""
    assert read_token(EARLIER[name], "ListCollections", "000000000000", "us-east-1") == name
    with pytest.raises(InvalidPaginationTokenException):
        read_token(EARLIER[name], "ListCollections", "000000000000", "us-east-2")


@given(NAMES | st.text(LETTERS, min_size=245, max_size=255), st.text(max_size=255))
def test_what_is_no_token_of_the_list_is_refused(name: str, nonsense: str) -> None:
    """Another list's token, a changed one, and anything that somebody made up."""
    token = write_token(name, "list", "here")
    changed = token[:-1] + ("0" if token[-1] != "0" else "1")
    for wrong in {changed, token + "0", "0" + token, token[1:], write_token(name, "list", "there"), nonsense} - {token}:
        with pytest.raises(InvalidPaginationTokenException):
            read_token(wrong, "list", "here")


def test_no_token_means_the_beginning() -> None:
    """The first page is asked for without one; 0 and nothing both mean the default size."""
    assert read_token(None, "list") is None
    assert page_size(None) == page_size(0) == 1000
    assert page_size(7) == 7
