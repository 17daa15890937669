"""The checker finds what must never happen, and nothing else."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tools.faults.checker import STORAGE_ERROR, check
from tools.faults.history import Event, Outcome, State

FACES_IN = {"kept": 2, "deleted": 1, "doubtful": 3, "half deleted": 1}

_TIMES = iter(range(1, 1000))


def done(operation: str, subject: str, faces: str = "", found: str = "") -> Event:
    """A request that was acknowledged, after all before it; FaceIds are letters."""
    began = float(next(_TIMES))
    return Event(operation, subject, frozenset(faces), began, began + 0.5, Outcome.ACKNOWLEDGED, found=frozenset(found))


def lost(operation: str, subject: str, faces: str = "") -> Event:
    """A request of which nobody knows."""
    return replace(done(operation, subject, faces), outcome=Outcome.UNKNOWN, error="EndpointConnectionError")


def refused(operation: str, subject: str, error: str) -> Event:
    """A request that was refused."""
    return replace(done(operation, subject), outcome=Outcome.REFUSED, error=error)


HISTORY = [
    done("IndexFaces", "kept", found="ab"),
    done("IndexFaces", "deleted", found="c"),
    done("IndexFaces", "half deleted", found="h"),
    done("SearchFaces", "kept", "a", found="bch"),
    lost("IndexFaces", "doubtful"),
    done("DeleteFaces", "deleted", "c"),
    lost("DeleteFaces", "half deleted", "h"),
    done("SearchFaces", "kept", "a", found="b"),
    done("IndexFaces", "kept", found="ab"),
    done("CreateUser", "ada"),
    done("AssociateFaces", "ada", "ab", found="ab"),
    done("DisassociateFaces", "ada", "b"),
    done("CreateUser", "ben"),
    done("DeleteUser", "ben"),
    lost("CreateUser", "eve"),
    done("CreateCollection", "there"),
    done("CreateCollection", "gone"),
    refused("DeleteCollection", "gone", "ResourceNotFoundException"),
    refused("IndexFaces", "doubtful", STORAGE_ERROR),
]
STATE = State(
    faces={"kept": frozenset("ab")},
    users={"ada": frozenset("a")},
    collections=frozenset({"there"}),
    face_count=2,
    user_count=1,
    searched=frozenset("ab"),
)


def with_faces(state: State, **faces: str) -> State:
    """Another end, whole in itself: with these faces of pictures besides, whose names have ``_`` for spaces."""
    named = {name.replace("_", " "): frozenset(ids) for name, ids in faces.items()}
    everybody = {**state.faces, **named}
    ids = frozenset[str]().union(*everybody.values())
    return replace(state, faces=everybody, face_count=len(ids), searched=ids)


@pytest.mark.parametrize(
    "state",
    [
        STATE,
        with_faces(STATE, doubtful="xyz"),
        with_faces(STATE, half_deleted="h"),
        replace(STATE, users={**STATE.users, "eve": frozenset()}, user_count=2),
    ],
)
def test_what_may_be_is_no_problem(state: State) -> None:
    """Of what nobody knows, both ends are right."""
    assert check(HISTORY, state, FACES_IN) == []


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda state: with_faces(state, kept=""), "kept has 0 faces"),
        (lambda state: with_faces(state, kept="a"), "kept has 1 faces"),
        (lambda state: with_faces(state, kept="abz"), "kept has 3 faces"),
        (lambda state: with_faces(state, kept="xy"), "kept has 2 faces"),
        (lambda state: with_faces(state, deleted="c"), "deleted has 1 faces"),
        (lambda state: with_faces(state, doubtful="xy"), "doubtful has 2 faces"),
        (lambda state: with_faces(state, doubtful="uvwxyz"), "doubtful has 6 faces"),
        (lambda state: with_faces(state, stranger="x"), "stranger was never sent"),
        (lambda state: replace(state, users={}, user_count=0), "ada is lost"),
        (lambda state: replace(state, users={"ada": frozenset()}), "ada has lost 1 faces"),
        (lambda state: replace(state, users={"ada": frozenset("ab")}), "ada has 1 faces that were never given"),
        (
            lambda state: replace(state, users={**state.users, "ben": frozenset()}, user_count=2),
            "ben is there again",
        ),
        (
            lambda state: replace(state, users={**state.users, "tom": frozenset()}, user_count=2),
            "tom was never created",
        ),
        (
            lambda state: replace(state, users={**state.users, "eve": frozenset("a")}, user_count=2),
            "a face belongs to two users",
        ),
        (lambda state: replace(state, users={"ada": frozenset("ac")}), "users have 1 faces that are gone"),
        (lambda state: replace(state, collections=frozenset()), "collection there is lost"),
        (lambda state: replace(state, collections=frozenset({"there", "gone"})), "collection gone is there again"),
        (lambda state: replace(state, collections=frozenset({"there", "odd"})), "collection odd was never created"),
        (lambda state: replace(state, face_count=3), "FaceCount is 3"),
        (lambda state: replace(state, user_count=2), "UserCount is 2"),
        (lambda state: replace(state, searched=frozenset("a")), "a search misses 1 faces"),
        (lambda state: replace(state, searched=frozenset("abc")), "and finds 1 that are gone"),
    ],
)
def test_an_end_that_must_not_be_is_found(spoil: Callable[[State], State], says: str) -> None:
    """Whatever is lost, half there, doubled, back again or out of nowhere is named."""
    assert any(says in problem for problem in check(HISTORY, spoil(STATE), FACES_IN))


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (done("IndexFaces", "kept", found="xy"), "kept was indexed again and got other faces"),
        (done("IndexFaces", "kept", found="a"), "kept was acknowledged with 1 faces"),
        (done("SearchFaces", "kept", "a"), "missed 1 faces that were there"),
        (done("SearchFaces", "kept", "a", found="bc"), "found 1 faces that were gone"),
        (done("AssociateFaces", "ada", "ab", found="a"), "ada was given 1 of 2 faces"),
        (refused("CreateUser", "ada", "ConflictException"), "CreateUser of ada was refused"),
    ],
)
def test_an_answer_that_must_not_be_is_found(event: Event, says: str) -> None:
    """Whatever the end looks like."""
    assert any(says in problem for problem in check([*HISTORY, event], STATE, FACES_IN))
