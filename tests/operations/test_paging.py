"""Page tokens: opaque, bound to their list, and never longer than the API allows."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rekognition_emulator.api.rekognition import InvalidPaginationTokenException
from rekognition_emulator.operations.paging import page_size, read_token, write_token

NAMES = st.text(string.ascii_letters + string.digits + "_.-:", min_size=1, max_size=255)


@given(NAMES, NAMES)
def test_a_token_gives_its_cursor_back(name: str, scope: str) -> None:
    """Whatever a collection, a user or a face is called."""
    assert read_token(write_token(name, "list", scope), "list", scope) == name


@pytest.mark.parametrize("character", "0aZ_.-")
def test_the_longest_name_fits(character: str) -> None:
    """A collection's name may have 255 characters, and so may a token."""
    assert len(write_token(character * 255, "ListCollections", "000000000000", "us-east-1")) <= 255


@given(NAMES)
def test_a_token_needs_no_quotes(name: str) -> None:
    """Neither in JSON nor in a shell nor in a URL's query."""
    assert not set(write_token(name, "list")) & set("\"'\\`$&|;<>()*?[]#~! \t\n")


@given(NAMES, st.text(max_size=255))
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
