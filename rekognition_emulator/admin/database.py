"""The database as a whole: verified, and rid of what deletions have left on the disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg_pool import ConnectionPool

from rekognition_emulator.actor import Actor
from rekognition_emulator.progress import Progress
from rekognition_emulator.storage.erasure import Erased, erase
from rekognition_emulator.storage.integrity import Checked, check_collections, check_tables


@dataclass(frozen=True, slots=True)
class VerifiedDatabase:
    """What was looked at, and what is wrong with it.

    Attributes:
        collections: how many there are.
        faces: how many all of them have.
        faulty: those with which something is wrong.
        table_faults: what is wrong with the rest, a sentence each.
    """

    collections: int
    faces: int
    faulty: Sequence[Checked]
    table_faults: Sequence[str]

    @property
    def fault_count(self) -> int:
        """How many things are wrong."""
        return sum(len(each.faults) for each in self.faulty) + len(self.table_faults)


@dataclass(frozen=True, slots=True)
class ErasedData:
    """What came of an erasure, and what may still hold something.

    Attributes:
        database: what came of it there.
        snapshots: files of indexes that were removed; they are made again when they are needed.
        milvus_folder: of files that are not ours to rewrite, and that are made again without servers; None if none are.
        set_aside: databases that restoring has put away.
    """

    database: Erased
    snapshots: int
    milvus_folder: Path | None
    set_aside: Sequence[Path]

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left for somebody else to do."""
        database = self.database
        in_database = database.samples and database.log_bytes is not None and not database.held_segments
        return in_database and self.milvus_folder is None and not self.set_aside


def verify_database(pool: ConnectionPool, progress: Progress) -> VerifiedDatabase:
    """Checks every collection, each as it is at one moment, and what holds of all tables.

    Args:
        pool: to the database.
        progress: told how many collections were checked.
    """
    collections = faces = 0
    faulty = []
    for checked in check_collections(pool):
        collections += 1
        faces += checked.face_count
        progress(collections, None)
        if checked.faults:
            faulty.append(checked)
    return VerifiedDatabase(collections, faces, faulty, check_tables(pool))


def erase_deleted(pool: ConnectionPool, actor: Actor, data_dir: Path, progress: Progress) -> ErasedData:
    """Removes from the disk what deleted faces, users and collections have left there.

    Args:
        pool: to the database.
        actor: who wants it.
        data_dir: of the server, where indexes and the embedded database lie.
        progress: told before each of ``storage.erasure.STEPS`` how many are done.

    Raises:
        ErasureBlocked: a transaction goes on that may still see what was deleted.
        OSError: a file cannot be removed.
    """
    erased = erase(pool, actor, progress)
    snapshots = list((data_dir / "indexes" / "faiss").glob("*"))
    for file in snapshots:
        file.unlink(missing_ok=True)
    milvus = data_dir / "indexes" / "milvus"
    set_aside = [path for path in sorted(data_dir.glob("postgres.*")) if path.is_dir()]
    return ErasedData(erased, len(snapshots), milvus if milvus.exists() else None, set_aside)
