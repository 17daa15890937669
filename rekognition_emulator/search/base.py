"""The interface of vector search.

An index answers only for the store's truth. One that lives inside the store's database needs nothing; one outside
follows the collection's revision: it remembers the revision it holds and pulls what it misses before it answers. So a
search sees every face whose addition has been acknowledged, on every replica, without a message ever being sent.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from rekognition_emulator.domain.faces import Collection, Embedding, Match, UserMatch

Progress = Callable[[int, int], None]
"""(faces that are ready, faces that there are) → None; called now and then, from the thread that does the work."""


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """What an index has at hand of a collection; a search brings the rest by itself.

    Attributes:
        revision: the collection's, up to which it is ready; 0 for an index that holds nothing of it.
        faces: how many it holds.
        size_bytes: what they take, in memory or of the index's own tables; 0 where the store's rows are searched.
        kind: how it searches, as operators call it: ``exact``, ``hnsw``.
    """

    revision: int
    faces: int
    size_bytes: int
    kind: str


class FaceIndex(ABC):
    """Nearest faces and nearest users within one collection."""

    @abstractmethod
    def search(
        self, collection: Collection, probe: Embedding, *, cosine_min: float, limit: int, without: UUID | None = None
    ) -> list[Match]:
        """Finds the faces nearest to a probe.

        Args:
            collection: as just read from the store; its revision is what the answer must include.
            probe: (d,) float32 of unit length, from the collection's own face model.
            cosine_min: −1…1; no match below it.
            limit: at most so many matches; never fewer than exist.
            without: one face to leave out, the probe itself when it is in the collection.

        Returns:
            By descending cosine; equal ones by ascending face id, so that every index answers alike.

        Raises:
            CollectionNotFound: it was deleted meanwhile (an index may also answer with no match then).
            FaceModelChanged: it was given another face model meanwhile (an index may also answer anything then, for
                who asks has to ask the store afterwards in any case).
        """

    @abstractmethod
    def search_users(
        self, collection: Collection, probe: Embedding, *, cosine_min: float, limit: int, without: str | None = None
    ) -> list[UserMatch]:
        """Finds the users nearest to a probe, as ``search`` finds faces; a user without faces is never found.

        Args:
            collection: as for ``search``.
            probe: a face's embedding or another user's.
            cosine_min: as for ``search``.
            limit: as for ``search``.
            without: one user to leave out, the probe itself.

        Returns:
            By descending cosine; equal ones by ascending user id in byte order.

        Raises:
            CollectionNotFound, FaceModelChanged: as for ``search``.
        """

    @abstractmethod
    def prepare(self, collection: Collection, progress: Progress) -> None:
        """Makes all ready that the next search needs, and keeps it; may go on beside searches.

        Raises:
            CollectionNotFound: it was deleted meanwhile.
        """

    @abstractmethod
    def holding(self, collection: Collection) -> IndexStatus:
        """Returns what is at hand of the collection, without fetching anything."""

    @abstractmethod
    def forget(self, collection: Collection) -> None:
        """Drops whatever is held of the collection; the next search or ``prepare`` makes it anew."""

    @abstractmethod
    def close(self) -> None:
        """Ends what goes on in the background. Nothing is asked of the index afterwards."""
