"""The indexes that search collections: looked at, made again, measured against the truth, and exchanged.

Works beside the servers that use the same database. An index that lives in a server's memory is not here, but what it
has written to the disk is.
"""

from dataclasses import dataclass
from typing import Final

from rekognition_emulator.actor import Actor
from rekognition_emulator.admin.errors import Refused
from rekognition_emulator.domain.faces import Collection
from rekognition_emulator.progress import Progress
from rekognition_emulator.search.base import FaceIndex, IndexStatus
from rekognition_emulator.search.recall import CollectionChanging, Recall, measure_recall
from rekognition_emulator.search.router import IndexRouter
from rekognition_emulator.storage.postgres import PostgresStore

RECALL_MIN: Final = 0.99
"""Of the 50 nearest faces. An index that finds fewer is not switched to. Source: ours."""

ATTEMPTS: Final = 5
"""To look at a collection while it does not change."""

PROBES: Final = 50
"""Faces of a collection that are searched for, unless somebody asks for more."""


class IndexUnsound(Refused):
    """An index finds too little, or what is not there, to be switched to.

    Attributes:
        recall: what was measured.
    """

    def __init__(self, collection: Collection, recall: Recall) -> None:
        super().__init__(f"The index finds too little of {collection.name} to search it.")
        self.recall = recall


@dataclass(frozen=True, slots=True)
class CollectionIndex:
    """What searches a collection, and what is ready of it.

    Attributes:
        index: its name.
        is_chosen: whether it was chosen for this collection; otherwise it is the one that servers are set to.
        status: what is at hand; all of it, or less than ``collection`` has.
    """

    collection: Collection
    index: str
    is_chosen: bool
    status: IndexStatus

    @property
    def is_ready(self) -> bool:
        """Whether everything is at hand that the next search needs."""
        return self.status.revision >= self.collection.revision


def describe_index(index: IndexRouter, collection: Collection, default: str) -> CollectionIndex:
    """Returns what searches a collection, without making anything ready.

    Args:
        index: of the settings.
        collection: as just read.
        default: the name of the index that servers are set to.
    """
    return CollectionIndex(
        collection, collection.index or default, collection.index is not None, index.holding(collection)
    )


def rebuild_index(index: FaceIndex, collection: Collection, progress: Progress) -> IndexStatus:
    """Drops what an index holds of a collection, and makes it again; returns what came of it."""
    index.forget(collection)
    index.prepare(collection, progress)
    return index.holding(collection)


def verify_index(
    store: PostgresStore, index: FaceIndex, collection: Collection, probes_max: int, progress: Progress
) -> Recall:
    """Searches for some faces of a collection, and compares with all its embeddings, one by one.

    Args:
        store: the truth.
        index: what is measured.
        collection: which.
        probes_max: how many faces are searched for.
        progress: told how many faces were compared; begins again where the collection has changed.

    Raises:
        CollectionNotFound: it was deleted meanwhile.
        Refused: it changed at each of ``ATTEMPTS``.
    """
    for _ in range(ATTEMPTS):
        present = store.get_collection(collection.owner, collection.name)
        try:
            return measure_recall(store, index, present, probes_max, progress)
        except CollectionChanging:
            continue
    raise Refused(f"{collection.name} changes all the time: verify it when fewer pictures come in.")


def is_sound(recall: Recall) -> bool:
    """Says whether an index finds enough, and nothing that is not there."""
    return recall.rate >= RECALL_MIN and not recall.alien


def switch_index(  # noqa: PLR0913 - what a switch takes
    store: PostgresStore,
    index: IndexRouter,
    actor: Actor,
    collection: Collection,
    name: str | None,
    *,
    default: str,
    probes_max: int,
    building: Progress,
    comparing: Progress,
) -> Recall:
    """Has another index search a collection from the next request on, on every server, once it has proved sound.

    Args:
        store: of collections.
        index: of the settings.
        actor: who wants it; the region is that of the collection.
        collection: which.
        name: of the index; None for the one that each server is set to.
        default: the name of that one.
        probes_max: how many faces are searched for to measure it.
        building: told how many faces are ready.
        comparing: told how many faces were compared.

    Raises:
        IndexUnsound: it finds too little; nothing was changed.
        IndexUnusable: it cannot be had here.
        CollectionNotFound, Refused: as for ``verify_index``.
    """
    chosen = index.named(name or default)
    chosen.prepare(collection, building)
    recall = verify_index(store, chosen, collection, probes_max, comparing)
    if not is_sound(recall):
        raise IndexUnsound(collection, recall)
    store.choose_index(actor, collection, name)
    return recall
