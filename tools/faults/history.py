"""What clients did and were told."""

import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError


class Outcome(Enum):
    """How a request ended for its caller, after all retries of the SDK."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    """An error of the caller's, 4xx, that SDKs do not retry."""
    UNKNOWN = "unknown"
    """The SDK gave up: it may have been done or not."""


@dataclass(frozen=True)
class Event:
    """One request.

    Attributes:
        operation: as in the API.
        subject: the picture, the user or the collection that it was about; a client's alone.
        faces: FaceIds that the request named.
        began, ended: seconds of one clock for all clients.
        found: FaceIds that the answer named.
        error: the code of an error.
    """

    operation: str
    subject: str
    faces: frozenset[str]
    began: float
    ended: float
    outcome: Outcome
    found: frozenset[str] = frozenset()
    error: str | None = None

    @property
    def is_acknowledged(self) -> bool:
        """Whether the caller was told that it is done."""
        return self.outcome is Outcome.ACKNOWLEDGED


@dataclass
class IdempotencyKey:
    """A request that is under way; whoever makes it says what the answer named."""

    found: frozenset[str] = frozenset()
    event: Event | None = None


@dataclass
class History:
    """What all clients did, each event after those that its client had done before."""

    events: list[Event] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def attempt(self, operation: str, subject: str, faces: Collection[str] = ()) -> Iterator[IdempotencyKey]:
        """Notes down how what is done here ends; errors of the SDK go no further."""
        attempt, began = IdempotencyKey(), time.monotonic()
        outcome, error = Outcome.ACKNOWLEDGED, None
        try:
            yield attempt
        except ClientError as refused:
            error = str(refused.response["Error"]["Code"])
            status = refused.response["ResponseMetadata"]["HTTPStatusCode"]
            is_final = status < 500 and error not in {"ThrottlingException", "ProvisionedThroughputExceededException"}
            outcome = Outcome.REFUSED if is_final else Outcome.UNKNOWN
        except BotoCoreError as lost:
            outcome, error = Outcome.UNKNOWN, type(lost).__name__
        except BaseException as broken:
            outcome, error = Outcome.UNKNOWN, type(broken).__name__
            raise
        finally:
            attempt.event = Event(
                operation, subject, frozenset(faces), began, time.monotonic(), outcome, attempt.found, error
            )
            with self._lock:
                self.events.append(attempt.event)

    def outcomes(self) -> Mapping[str, Counter[str]]:
        """Returns how often each operation ended in which way."""
        counted: dict[str, Counter[str]] = {}
        for event in self.events:
            counted.setdefault(event.operation, Counter())[event.outcome.value] += 1
        return dict(sorted(counted.items()))


@dataclass(frozen=True)
class State:
    """What is there in the end, as the API tells it.

    Attributes:
        faces: FaceIds of each picture.
        users: FaceIds of each user.
        collections: names of those that clients made for themselves.
        face_count, user_count: as DescribeCollection has them.
        searched: what a search with one face finds if it asks for everybody, that face included.
    """

    faces: Mapping[str, frozenset[str]]
    users: Mapping[str, frozenset[str]]
    collections: frozenset[str]
    face_count: int
    user_count: int
    searched: frozenset[str]


def read_state(client: Any, collection: str) -> State:
    """Reads it through the API."""
    faces: dict[str, set[str]] = {}
    for page in client.get_paginator("list_faces").paginate(CollectionId=collection):
        for face in page["Faces"]:
            faces.setdefault(face["ExternalImageId"], set()).add(face["FaceId"])
    names = [
        user["UserId"]
        for page in client.get_paginator("list_users").paginate(CollectionId=collection)
        for user in page["Users"]
    ]
    users = {
        name: frozenset(
            face["FaceId"]
            for page in client.get_paginator("list_faces").paginate(CollectionId=collection, UserId=name)
            for face in page["Faces"]
        )
        for name in names
    }
    collections = [
        name for page in client.get_paginator("list_collections").paginate() for name in page["CollectionIds"]
    ]
    described = client.describe_collection(CollectionId=collection)
    probe = next((face_id for ids in faces.values() for face_id in sorted(ids)), None)
    searched = {probe, *search(client, collection, probe)} if probe else set()
    return State(
        faces={name: frozenset(ids) for name, ids in faces.items()},
        users=users,
        collections=frozenset(collections) - {collection},
        face_count=described["FaceCount"],
        user_count=described["UserCount"],
        searched=frozenset(searched),
    )


def search(client: Any, collection: str, face_id: str) -> set[str]:
    """Returns the FaceIds of all other faces that a search with one finds."""
    answer = client.search_faces(CollectionId=collection, FaceId=face_id, FaceMatchThreshold=0, MaxFaces=4096)
    return {match["Face"]["FaceId"] for match in answer["FaceMatches"]}
