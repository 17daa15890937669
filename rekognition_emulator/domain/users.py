"""Users, who group faces of a collection and are matched as one.

A user is matched by one vector: the mean of its faces' embeddings, of unit length again. Averaging is how a set of
pictures becomes one template ever since networks embed faces, because what differs between them (pose, light, age)
cancels out and the person remains; sources: Cao et al., "VGGFace2", 2018; Crosswhite et al., "Template Adaptation for
Face Verification and Identification", 2017. The nearest of a user's faces was refused: one face of somebody else among
a hundred would make the user match that person for ever.

A similarity to a user is read off the curve that was measured between single faces. That errs on the safe side: of
comparisons of strangers among 32 people, with the embedded engine, 0.08 % reach 60 face to face, 0.02 % face to a user
of two faces and none to one of three.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from rekognition_emulator.actor import Actor
from rekognition_emulator.domain.errors import UserFull
from rekognition_emulator.domain.faces import Collection, Embedding, Page

FACES_PER_USER_MAX: Final = 100
"""Source: API reference of AssociateFaces."""


@dataclass(frozen=True, slots=True)
class User:
    """A user as it is at the moment of asking; whoever has no face cannot be found."""

    user_id: str
    face_count: int


@dataclass(frozen=True, slots=True)
class UnknownFace:
    """Refused: the collection holds no such face."""

    face_id: UUID


@dataclass(frozen=True, slots=True)
class FaceOfAnother:
    """Refused: the face is another user's."""

    face_id: UUID
    user_id: str


@dataclass(frozen=True, slots=True)
class UnlikeFace:
    """Refused: the face is not near enough to the user, as the user was before."""

    face_id: UUID
    cosine: float


@dataclass(frozen=True, slots=True)
class SurplusFace:
    """Refused: the user has as many faces as one may have."""

    face_id: UUID


@dataclass(frozen=True, slots=True)
class Association:
    """What came of associating faces with a user; each in the order asked for. Who was there before is in neither."""

    user: User
    associated: Sequence[UUID]
    refused: Sequence[UnknownFace | FaceOfAnother | UnlikeFace | SurplusFace]


@dataclass(frozen=True, slots=True)
class Disassociation:
    """What came of taking faces from a user; each in the order asked for. Faces of nobody are in neither."""

    user: User
    disassociated: Sequence[UUID]
    refused: Sequence[UnknownFace | FaceOfAnother]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A face of the collection that a user is to have.

    Attributes:
        holder: the user whose face it is; None for nobody's.
        cosine: −1…1, of the face to the user as the user is; None while the user has no face.
    """

    holder: str | None
    cosine: float | None


def judge_association(
    user: User, face_ids: Sequence[UUID], stored: Mapping[UUID, Candidate], near_enough: Callable[[float], bool]
) -> Association:
    """Decides which faces a user gets.

    Args:
        user: as it is.
        face_ids: the faces asked for; an id that is repeated counts once.
        stored: those of them that the collection holds.
        near_enough: whether a face of this cosine to the user, −1…1, may be the user's.

    Raises:
        UserFull: the user has as many faces as one may have.
    """
    room = FACES_PER_USER_MAX - user.face_count
    if room <= 0:
        raise UserFull(user.user_id, FACES_PER_USER_MAX)
    associated: list[UUID] = []
    refused: list[UnknownFace | FaceOfAnother | UnlikeFace | SurplusFace] = []
    for face_id in dict.fromkeys(face_ids):
        match stored.get(face_id):
            case None:
                refused.append(UnknownFace(face_id))
            case Candidate(holder=user.user_id):
                pass
            case Candidate(holder=str() as holder):
                refused.append(FaceOfAnother(face_id, holder))
            case Candidate(cosine=float() as cosine) if not near_enough(cosine):
                refused.append(UnlikeFace(face_id, cosine))
            case _ if len(associated) == room:
                refused.append(SurplusFace(face_id))
            case _:
                associated.append(face_id)
    return Association(User(user.user_id, user.face_count + len(associated)), associated, refused)


def judge_disassociation(user: User, face_ids: Sequence[UUID], holders: Mapping[UUID, str | None]) -> Disassociation:
    """Decides which faces a user loses.

    Args:
        user: as it is.
        face_ids: the faces asked for; an id that is repeated counts once.
        holders: those of them that the collection holds, with the users whose faces they are; None for nobody's.
    """
    disassociated: list[UUID] = []
    refused: list[UnknownFace | FaceOfAnother] = []
    for face_id in dict.fromkeys(face_ids):
        if face_id not in holders:
            refused.append(UnknownFace(face_id))
        elif (holder := holders[face_id]) == user.user_id:
            disassociated.append(face_id)
        elif holder is not None:
            refused.append(FaceOfAnother(face_id, holder))
    return Disassociation(User(user.user_id, user.face_count - len(disassociated)), disassociated, refused)


class UserStore(ABC):
    """The users of collections. What it acknowledges is durable.

    Methods that take a ``Collection`` address it by ``key``; they raise ``CollectionNotFound`` when it was deleted
    since it was read, even if another of the same name exists by now, and ``FaceModelChanged`` when it was given
    another face model since.
    """

    @abstractmethod
    def create_user(self, actor: Actor, collection: Collection, user_id: str) -> None:
        """Creates a user without faces.

        Raises:
            UserExists: the collection has one of this id.
        """

    @abstractmethod
    def delete_user(self, actor: Actor, collection: Collection, user_id: str) -> None:
        """Deletes a user; its faces stay, as nobody's.

        Raises:
            UserNotFound: the collection has none of this id.
        """

    @abstractmethod
    def list_users(self, collection: Collection, *, after: str | None, limit: int) -> Page[User]:
        """Returns users by ascending id, in byte order, those greater than ``after``."""

    @abstractmethod
    def get_user_embedding(self, collection: Collection, user_id: str) -> Embedding | None:
        """Returns the vector by which a user is matched; None while it has no face.

        Raises:
            UserNotFound: the collection has none of this id.
        """

    @abstractmethod
    def associate_faces(
        self,
        actor: Actor,
        collection: Collection,
        user_id: str,
        face_ids: Sequence[UUID],
        *,
        near_enough: Callable[[float], bool],
    ) -> Association:
        """Gives faces to a user, all at once, as ``judge_association`` decides.

        Raises:
            UserNotFound: the collection has none of this id.
            UserFull: the user has as many faces as one may have.
        """

    @abstractmethod
    def disassociate_faces(
        self, actor: Actor, collection: Collection, user_id: str, face_ids: Sequence[UUID]
    ) -> Disassociation:
        """Takes faces from a user, all at once, as ``judge_disassociation`` decides; they stay in the collection.

        Raises:
            UserNotFound: the collection has none of this id.
        """
