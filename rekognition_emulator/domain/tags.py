"""Tags: an operator's own notes on a collection, which mean nothing to us."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Final

from rekognition_emulator.actor import Actor
from rekognition_emulator.domain.faces import Collection

TAGS_MAX: Final = 50
"""Per collection. Source: AWS General Reference, "Tagging AWS resources"."""


class TagStore(ABC):
    """The tags of collections, which go with them.

    Every method raises ``CollectionNotFound`` when the collection was deleted since it was read.
    """

    @abstractmethod
    def get_tags(self, collection: Collection) -> dict[str, str]:
        """Returns all tags by key."""

    @abstractmethod
    def add_tags(self, actor: Actor, collection: Collection, tags: Mapping[str, str]) -> None:
        """Adds tags; a key that is there gets the new value.

        Raises:
            TooManyTags: there would be more than ``TAGS_MAX``; none is added.
        """

    @abstractmethod
    def remove_tags(self, actor: Actor, collection: Collection, keys: Sequence[str]) -> None:
        """Removes tags; keys that are not there are ignored."""
