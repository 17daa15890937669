"""Faces of earlier versions of pictures: which they are, and how they leave the collection.

Which they are, the journal knows. Where it does not, because a program from before did not write it down or a run was
killed before it had the answer, the collection is asked for all its faces, once, and told apart by ExternalImageId.
"""

import threading
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from rekognition_emulator.cli.album.journal import Journal, Outcome
from rekognition_emulator.cli.wording import counted

DELETED_MAX: Final = 4_096
DISASSOCIATED_MAX: Final = 100
"""FaceIds of one request. Source: the service model."""


class EarlierFaces:
    """Faces of a collection that are to leave it; safe to use from many threads."""

    def __init__(self, client: Any, collection: str, journal: Journal) -> None:  # noqa: ANN401 - boto3 makes its clients' classes at run time
        self._client = client
        self._collection = collection
        self._journal = journal
        self._lock = threading.Lock()
        self._listed: Mapping[str, Mapping[str, set[str]]] | None = None

    def of(self, path: str, now: Outcome | None = None) -> tuple[set[str], str | None]:
        """Returns the faces that earlier versions of a picture gave, and what is not certain about them.

        Args:
            path: of the picture.
            now: what it is now, whose faces are no earlier ones; None if it is no more.
        """
        known = self._journal.known(path)
        present = set(now.face_ids or ()) if now else set()
        ids = ({*known.stale, *(known.face_ids or ())} if known else set()) - present
        lost = {sent for sent in self._journal.interrupted(path) if not (now and sent.is_of(now))}
        unnamed = known.faces if known and known.face_ids is None else 0
        if not lost and not unnamed:
            return ids, None
        name = known.external_image_id if known else next(iter(lost)).external_image_id
        try:
            images = self._images(name)
        except ClientError as error:
            return ids, f"whether faces of an earlier version stay is unknown: {_words(error)}"
        others = [faces for faces in (found - ids - present for found in images.values()) if faces]
        # Another album may have the same name in this collection: no more pictures are taken for ours than were sent,
        # and of an old journal only one with as many faces as it has counted.
        if 0 < len(others) <= len(lost) or (len(others) == 1 and len(others[0]) == unnamed):
            return ids.union(*others), None
        if others:
            doubtful = " ".join(sorted(set().union(*others)))
            return ids, f"these may be faces of an earlier version, or of another album: {doubtful}"
        return ids, None

    def remove(self, face_ids: Iterable[str]) -> tuple[tuple[str, ...], str | None]:
        """Removes faces from the collection, and before from the users that they belong to.

        Returns:
            Ids of those that are still there, and why.
        """
        left = dict.fromkeys(sorted(face_ids), "")
        try:
            left = self._delete(left)
            for user in sorted(set(left.values()) - {""}):
                self._disassociate(user, [face_id for face_id, holder in left.items() if holder == user])
            left = self._delete(left)
        except ClientError as error:
            return tuple(left), _still_stored(left, _words(error))
        if left:
            holders = sorted(set(left.values()))
            return tuple(left), _still_stored(left, f"by {counted(len(holders), 'user')}, {', '.join(holders)}")
        return (), None

    def _delete(self, face_ids: Iterable[str]) -> dict[str, str]:
        """Returns which faces stay, and whose they are."""
        left = {}
        for some in _batched(face_ids, DELETED_MAX):
            answer = self._client.delete_faces(CollectionId=self._collection, FaceIds=some)
            for refused in answer.get("UnsuccessfulFaceDeletions", []):
                if "FACE_NOT_FOUND" not in refused.get("Reasons", []):
                    left[refused["FaceId"]] = refused.get("UserId", "")
        return left

    def _disassociate(self, user: str, face_ids: Iterable[str]) -> None:
        for some in _batched(face_ids, DISASSOCIATED_MAX):
            try:
                self._client.disassociate_faces(CollectionId=self._collection, UserId=user, FaceIds=some)
            except self._client.exceptions.ResourceNotFoundException:
                return  # the user was deleted meanwhile, and has no faces any more

    def _images(self, name: str) -> Mapping[str, set[str]]:
        """Returns ImageId → FaceIds of what is stored under an ExternalImageId."""
        with self._lock:
            if self._listed is None:
                listed: dict[str, dict[str, set[str]]] = {}
                for page in self._client.get_paginator("list_faces").paginate(CollectionId=self._collection):
                    for face in page["Faces"]:
                        images = listed.setdefault(face.get("ExternalImageId", ""), {})
                        images.setdefault(face["ImageId"], set()).add(face["FaceId"])
                self._listed = listed
        return self._listed.get(name, {})


def _batched(face_ids: Iterable[str], most: int) -> Iterable[list[str]]:
    ids = list(face_ids)
    return (ids[start : start + most] for start in range(0, len(ids), most))


def _still_stored(face_ids: Collection[str], why: str) -> str:
    return f"{counted(len(face_ids), 'face')} of an earlier version still stored: {why}: {' '.join(face_ids)}"


def _words(error: ClientError) -> str:
    return "{Code}: {Message}".format(**error.response["Error"])
