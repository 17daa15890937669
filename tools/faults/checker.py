"""Holds what is there in the end against what clients were told.

Each object is one client's, which asks for one thing after the other. So its requests can be replayed: what was
acknowledged is certain, what nobody knows leaves both possibilities, and the end has to be one that is possible.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tools.faults.history import Event, Outcome, State

RETRY_ERRORS = {
    "CreateCollection": "ResourceAlreadyExistsException",
    "DeleteCollection": "ResourceNotFoundException",
}
"""What a retry is told whose first attempt was done: the API has no token for these."""

STORAGE_ERROR = "InvalidS3ObjectException"
"""What IndexFaces is told while the storage does not give its picture away, and then nothing is done."""


def check(history: Sequence[Event], state: State, faces_in: Mapping[str, int]) -> list[str]:
    """Returns what is wrong: nothing, if what was acknowledged is there and everything is whole.

    Args:
        history: all requests, those of each client in their order.
        state: the end.
        faces_in: how many faces each picture shows.
    """
    return [
        *_refusals(history),
        *_pictures(history, state, faces_in),
        *_users(history, state),
        *_collections(history, state),
        *_whole(state),
        *_searches(history),
    ]


def _refusals(history: Sequence[Event]) -> Iterator[str]:
    for event in history:
        allowed = {RETRY_ERRORS.get(event.operation), STORAGE_ERROR if event.operation == "IndexFaces" else None}
        if event.outcome is Outcome.REFUSED and event.error not in allowed:
            yield f"{event.operation} of {event.subject} was refused: {event.error}"


@dataclass
class _Picture:
    """What may be there of a picture: one of these sets of FaceIds, or new ones that nobody was told."""

    possible: set[frozenset[str]] = field(default_factory=lambda: {frozenset()})
    or_unknown: bool = False

    def replay(self, event: Event) -> None:
        if event.operation == "IndexFaces":
            if event.is_acknowledged:
                self.possible, self.or_unknown = {event.found}, False
            elif event.error != STORAGE_ERROR:
                self.or_unknown = True
        elif event.operation == "DeleteFaces":
            if event.is_acknowledged:
                self.possible, self.or_unknown = {frozenset()}, False
            else:
                self.possible.add(frozenset())

    def may_be(self, faces: frozenset[str], *, is_new: bool) -> bool:
        """Whether these faces are possible, be it that they are new ones."""
        return is_new or faces in self.possible


def _pictures(history: Sequence[Event], state: State, faces_in: Mapping[str, int]) -> Iterator[str]:
    pictures: dict[str, _Picture] = {}
    for event in history:
        if event.operation not in {"IndexFaces", "DeleteFaces"}:
            continue
        picture = pictures.setdefault(event.subject, _Picture())
        if event.operation == "IndexFaces" and event.is_acknowledged:
            if len(event.found) != faces_in[event.subject]:
                yield f"{event.subject} was acknowledged with {len(event.found)} faces"
            if not picture.may_be(event.found, is_new=picture.or_unknown or frozenset() in picture.possible):
                yield f"{event.subject} was indexed again and got other faces"
        picture.replay(event)
    for name, picture in pictures.items():
        there = state.faces.get(name, frozenset())
        if not picture.may_be(there, is_new=picture.or_unknown and len(there) == faces_in[name]):
            expected = " or ".join(str(len(ids)) for ids in sorted(picture.possible, key=len))
            yield f"{name} has {len(there)} faces that should not be so; possible: {expected}"
    for name in state.faces.keys() - pictures.keys():
        yield f"{name} was never sent"


@dataclass
class _User:
    """Whether a user may be there and may not be, and whose faces are certainly or possibly theirs."""

    may_exist: bool = False
    may_not: bool = True
    sure: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)

    def loses(self, faces: frozenset[str], *, is_certain: bool) -> None:
        if is_certain:
            self.unsure -= faces
        else:
            self.unsure |= self.sure & faces
        self.sure -= faces

    def problem(self, faces: frozenset[str] | None) -> str | None:
        """Returns what is wrong with a user who has these faces, or is not there."""
        if faces is None:
            return None if self.may_not else "is lost"
        if not self.may_exist:
            return "is there again"
        if missing := self.sure - faces:
            return f"has lost {len(missing)} faces"
        if foreign := faces - self.sure - self.unsure:
            return f"has {len(foreign)} faces that were never given or are taken away"
        return None

    def replay(self, event: Event) -> None:
        if event.operation in {"CreateUser", "DeleteUser"}:
            exists = event.operation == "CreateUser"
            self.may_exist, self.may_not = (
                (exists, not exists)
                if event.is_acknowledged
                else (self.may_exist or exists, self.may_not or not exists)
            )
            if event.operation == "DeleteUser" and event.is_acknowledged:
                self.sure, self.unsure = set(), set()
        elif event.operation == "AssociateFaces" and event.is_acknowledged:
            self.sure |= event.found
            self.unsure -= event.found
        elif event.operation == "AssociateFaces":
            self.unsure |= event.faces - self.sure
        elif event.operation == "DisassociateFaces":
            self.loses(event.faces, is_certain=event.is_acknowledged)


def _users(history: Sequence[Event], state: State) -> Iterator[str]:
    users: dict[str, _User] = {}
    for event in history:
        if event.operation in {"CreateUser", "DeleteUser", "AssociateFaces", "DisassociateFaces"}:
            users.setdefault(event.subject, _User()).replay(event)
            if event.operation == "AssociateFaces" and event.is_acknowledged and event.found != event.faces:
                yield f"{event.subject} was given {len(event.found)} of {len(event.faces)} faces"
        elif event.operation == "DeleteFaces":
            for user in users.values():
                user.loses(event.faces, is_certain=event.is_acknowledged)
    for name, user in users.items():
        if problem := user.problem(state.users.get(name)):
            yield f"{name} {problem}"
    for name in state.users.keys() - users.keys():
        yield f"{name} was never created"


def _collections(history: Sequence[Event], state: State) -> Iterator[str]:
    possible: dict[str, set[bool]] = {}
    for event in history:
        if event.operation not in RETRY_ERRORS:
            continue
        exists = event.operation == "CreateCollection"
        known = event.is_acknowledged or event.error == RETRY_ERRORS[event.operation]
        possible[event.subject] = {exists} if known else possible.get(event.subject, {False}) | {exists}
    for name, either in possible.items():
        if (name in state.collections) not in either:
            yield f"collection {name} is {'there again' if name in state.collections else 'lost'}"
    for name in state.collections - possible.keys():
        yield f"collection {name} was never created"


def _whole(state: State) -> Iterator[str]:
    """What must hold whatever was asked."""
    everybody = frozenset[str]().union(*state.faces.values())
    if state.face_count != len(everybody):
        yield f"FaceCount is {state.face_count}, and {len(everybody)} faces are listed"
    if state.user_count != len(state.users):
        yield f"UserCount is {state.user_count}, and {len(state.users)} users are listed"
    if state.searched != everybody:
        yield (
            f"a search misses {len(everybody - state.searched)} faces "
            f"and finds {len(state.searched - everybody)} that are gone"
        )
    given = [face_id for faces in state.users.values() for face_id in faces]
    if len(given) != len(set(given)):
        yield "a face belongs to two users"
    if orphans := set(given) - everybody:
        yield f"users have {len(orphans)} faces that are gone"


def _searches(history: Sequence[Event]) -> Iterator[str]:
    """What was acknowledged before a search began, the search knows, whoever asked for either."""
    there: dict[str, float] = {}
    going: dict[str, float] = {}
    gone: dict[str, float] = {}
    for event in sorted(history, key=lambda event: event.ended):
        if event.operation == "IndexFaces" and event.is_acknowledged:
            there.update({face_id: event.ended for face_id in event.found if face_id not in there})
        if event.operation == "DeleteFaces":
            for face_id in event.faces:
                going[face_id] = min(event.began, going.get(face_id, event.began))
                if event.is_acknowledged:
                    gone[face_id] = min(event.ended, gone.get(face_id, event.ended))
    for event in history:
        if event.operation != "SearchFaces" or not event.is_acknowledged:
            continue
        must = {
            face_id
            for face_id, since in there.items()
            if since < event.began and going.get(face_id, event.ended + 1) > event.ended
        }
        if missed := must - event.found - event.faces:
            yield f"a search of {event.subject} missed {len(missed)} faces that were there"
        if late := {face_id for face_id in event.found if gone.get(face_id, event.began) < event.began}:
            yield f"a search of {event.subject} found {len(late)} faces that were gone"
