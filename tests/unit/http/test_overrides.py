import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from rekognition_emulator.http.connection import Connection
from rekognition_emulator.http.overrides import OverriddenIsGone, check_overrides


class Base:
    """Of a library."""

    def on_body(self, body: bytes) -> None:
        """Is called by it."""

    def _start(self, task: object) -> None:
        """Likewise, though nobody else should know."""


def test_what_uvicorn_calls_is_there() -> None:
    """With the version that is installed."""
    check_overrides(Connection, "uvicorn")


def test_what_is_there_may_be_overridden() -> None:
    """And what is ours alone may be added, under a private name."""

    class Ours(Base):
        def on_body(self, body: bytes) -> None:
            self._count(body)

        def _start(self, task: object) -> None:
            super()._start(task)

        def _count(self, body: bytes) -> None: ...

    check_overrides(Ours, "uvicorn")


def test_a_method_that_nobody_calls_any_more_is_noticed() -> None:
    """It was renamed in the library."""

    class Ours(Base):
        def on_bytes(self, body: bytes) -> None: ...

    with pytest.raises(OverriddenIsGone, match=r"^uvicorn \S+ will not do: Base has no method on_bytes\(body\)"):
        check_overrides(Ours, "uvicorn")


def test_a_private_method_that_nobody_calls_any_more_is_noticed() -> None:
    """It calls what it overrides, and that is how it is known."""

    class Ours(Base):
        def _begin(self, task: object) -> None:
            super()._begin(task)  # type: ignore[misc]

    with pytest.raises(OverriddenIsGone, match="no method _begin"):
        check_overrides(Ours, "uvicorn")


def test_a_method_that_is_called_with_something_else_is_noticed() -> None:
    """It would fail with the first request."""

    class Ours(Base):
        def on_body(self, body: bytes, last: int) -> None: ...  # type: ignore[override]

    with pytest.raises(OverriddenIsGone, match=r"no method on_body\(body, last\)"):
        check_overrides(Ours, "uvicorn")


@pytest.mark.parametrize("name", ["on_body", "on_headers_complete", "on_message_begin", "on_response_complete"])
def test_each_method_counts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is forgotten: without any of them there would be no bound."""
    monkeypatch.delattr(HttpToolsProtocol, name)
    with pytest.raises(OverriddenIsGone, match=f"HttpToolsProtocol has no method {name}"):
        check_overrides(Connection, "uvicorn")
