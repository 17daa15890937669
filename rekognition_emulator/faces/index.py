"""The seam to vector search: changes when a search has to be able to ask for more.

An index answers only for the store's truth. One that lives inside the store's database needs nothing; one outside
follows the collection's revision: it remembers the revision it holds and pulls what it misses before it answers. So a
search sees every face whose addition has been acknowledged, on every replica, without a message ever being sent.
"""

from abc import ABC, abstractmethod
from uuid import UUID

from rekognition_emulator.faces.gallery import Collection, Embedding, Match, UserMatch


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
            CollectionNotFound: it was deleted meanwhile (an index may also answer with no match then).
        """
