"""A case of the suite: what is asked, and what must come of it.

A case is a function that talks to the service and asserts, or one row of a table: a request and what is expected of its
answer. Its source says why we believe it:

    recording:<name>   an answer of the service that somebody captured
    guide              the developer guide or the API reference
    model              the service's API model
    contract           behaviour of the service or of its framework that was reported or measured elsewhere
    ours               nothing public settles it; this is our choice
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from conformance.answer import Answer
from conformance.service import Request, Service

Check = Callable[[Answer], None]
Story = Callable[[Service], None]
EachStory = Callable[[Service, Any], None]
CallStory = Callable[[Service, str, Request], None]


@dataclass(frozen=True)
class Case:
    """One behaviour.

    Attributes:
        family: the file it stands in.
        operation: the row of the report it counts for: an operation, or what all of them share.
        name: what is true if it passes; unique for one family and operation.
        source: see above.
        play: raises an AssertionError if the service behaves otherwise.
    """

    family: str
    operation: str
    name: str
    source: str
    play: Story

    @property
    def id(self) -> str:
        """The case's name for people and machines."""
        return f"{self.family}/{self.operation}/{self.name}"


@dataclass
class Family:
    """The cases of one file."""

    name: str
    cases: list[Case] = field(default_factory=list)

    def case(self, operation: str, source: str) -> Callable[[Story], Story]:
        """Makes a function a case; the first paragraph of its docstring is the case's name."""

        def register(story: Story) -> Story:
            self.cases.append(Case(self.name, operation, _sentence(story), source, story))
            return story

        return register

    def each(self, operation: str, source: str, values: Mapping[str, Any]) -> Callable[[EachStory], EachStory]:
        """Makes a function a case for each of these values, which it is given after the service."""

        def register(story: EachStory) -> EachStory:
            for name, value in values.items():
                play = partial(_play, story, value)
                self.cases.append(Case(self.name, operation, f"{_sentence(story)}: {name}", source, play))
            return story

        return register

    def operations(self, source: str, requests: Mapping[str, Request]) -> Callable[[CallStory], CallStory]:
        """Makes a function a case for each of these operations, which it is given with its request."""

        def register(story: CallStory) -> CallStory:
            for operation, request in requests.items():
                play = partial(_play_call, story, operation, request)
                self.cases.append(Case(self.name, operation, _sentence(story), source, play))
            return story

        return register

    def exchange(self, operation: str, name: str, request: Request, expected: Check, source: str) -> None:
        """Adds a row of a table: one request, and what is expected of its answer."""
        self.cases.append(
            Case(self.name, operation, name, source, lambda service: expected(service.call(operation, request)))
        )

    def raw_exchange(
        self,
        operation: str,
        name: str,
        body: bytes | Mapping[str, Any],
        expected: Check,
        source: str,
    ) -> None:
        """Adds a row whose body no SDK would send."""
        self.cases.append(
            Case(self.name, operation, name, source, lambda service: expected(service.raw(operation, body)))
        )


def _play(story: EachStory, value: object, service: Service) -> None:
    story(service, value)


def _play_call(story: CallStory, operation: str, request: Request, service: Service) -> None:
    story(service, operation, request)


def _sentence(story: Callable[..., None]) -> str:
    assert story.__doc__, f"{story.__module__}.{story.__name__} does not say what it protects"
    return " ".join(story.__doc__.split("\n\n")[0].split()).rstrip(".")
