"""Approximate search inside the database: a graph of its own for each giant collection.

A graph (HNSW; Malkov and Yashunin, 2016) holds one collection: it is a partial index of pgvector's. One graph over all
collections was refused, because a search in one of them first meets everybody else's faces: with pgvector's defaults
9 of 50 matches came back. Half precision makes it half as large; what it finds is compared anew in full precision.

Graphs are made on a connection of their own, while everything else goes on, and by one server at a time: an advisory
lock, which ends with its connection, says who. PostgreSQL uses a graph as soon as it is complete, on all servers.
"""

import re
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import psycopg
import structlog
from pgvector import HalfVector
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from rekognition_emulator.domain.faces import Embedding

NEIGHBOURS: Final = 16
"""``m``: of each face in the graph. pgvector's default."""

BUILD_CANDIDATES: Final = 64
"""``ef_construction``: faces looked at when one gets its neighbours. pgvector's default."""

SCAN_FACES_MAX: Final = 100_000
"""``max_scan_tuples``: a scan that has to go on ends here. 25 times the most that a search may ask for, because rows
that were deleted and not yet vacuumed count, too."""

SCAN_MEMORY_FACTOR: Final = 16
"""``scan_mem_multiplier`` of ``work_mem``, 4 MB by default. A scan for 4,096 matches ended early with less than 8."""

BUILD_MEMORY_BYTES: Final = 2 * 1024**3
"""For a graph that is being made, unless the database's own ``maintenance_work_mem`` is larger; no more is taken than
it needs. Beyond it pgvector goes on on disk, several times slower. It is enough for a million faces of 512 dimensions:
1,024 bytes each for the embedding, some 800 for neighbours."""

LOCK_PAUSE_S: Final = 1.0
"""While another server makes the same graph. Waiting inside the database was refused: what makes an index concurrently
waits in turn for everybody who waits there."""

RETRY_S: Final = 600.0
"""After a failure, which is logged: a full disk is not empty again at once."""

CONNECT_TIMEOUT_S: Final = 5
"""For the connection on which a graph is made."""

CANCEL_PAUSE_S: Final = 0.1
"""Between two requests to end what is being made: the first may come just before a statement begins."""

log = structlog.get_logger(__name__)


ID_COLUMNS: Final = {"faces": "face_id", "users": "user_id"}
"""What is searched: tables with the columns ``collection_id`` and ``embedding``, and their ids."""

_NAME: Final = re.compile(r"(faces|users)_hnsw_(\d+)_(\d+)")


@dataclass(frozen=True, slots=True)
class Graph:
    """Names the graph of one collection's rows.

    Attributes:
        table: ``faces`` or ``users``.
        key: the collection's.
        dimension: of the embeddings. A part of the name, so that a collection whose embeddings are made anew by
            another face model gets another graph, and never a row that does not fit into the one that it has.
    """

    table: str
    key: int
    dimension: int

    @property
    def name(self) -> str:
        """What the database calls it."""
        return f"{self.table}_hnsw_{self.key}_{self.dimension}"

    def is_complete(self, connection: Connection[TupleRow]) -> bool:
        """Says whether searches can use it."""
        query = "SELECT FROM pg_index WHERE indexrelid = to_regclass(%s) AND indisvalid"
        return connection.execute(query, [self.name]).fetchone() is not None

    def nearest(
        self, connection: Connection[TupleRow], probe: Embedding, count: int, width: int
    ) -> list[tuple[Any, float]]:
        """Finds rows that are near to a probe.

        Args:
            connection: to the database or a copy of it.
            probe: (d,) float32 of unit length.
            count: how many to return.
            width: rows among which the search keeps its way (``ef_search``), at most 1,000; again as many are looked
                at whenever more than these have to be returned.

        Returns:
            Ids and cosines, in no order; fewer than ``count`` if the graph has no more, or where a scan ends early.
        """
        # The key and the dimension are literals, because the planner uses a partial index only for a query that it
        # can prove to stay within; the count is one, because the planner has to know that it is small.
        query = sql.SQL("""
            SELECT {column}, least(1, greatest(-1, -(embedding <#> %(probe)b))) FROM {table}
            WHERE collection_id = {key} AND vector_dims(embedding) = {dimension}
            ORDER BY embedding::halfvec({dimension}) <#> %(half)b LIMIT {count}
        """).format(
            column=sql.Identifier(ID_COLUMNS[self.table]),
            table=sql.Identifier(self.table),
            key=self.key,
            dimension=self.dimension,
            count=count,
        )
        with connection.pipeline(), connection.transaction():
            # Without sorting, the graph is the only way to that order. In relaxed order nothing is thrown away that
            # comes a little late; what is found is ranked anew in any case.
            connection.execute(
                """
                SELECT set_config('enable_sort', 'off', true), set_config('hnsw.iterative_scan', 'relaxed_order', true),
                       set_config('hnsw.ef_search', %s, true), set_config('hnsw.max_scan_tuples', %s, true),
                       set_config('hnsw.scan_mem_multiplier', %s, true)
                """,
                [str(width), str(SCAN_FACES_MAX), str(SCAN_MEMORY_FACTOR)],
            )
            found = connection.execute(query, {"probe": probe, "half": HalfVector(probe)}, binary=True, prepare=False)
            return found.fetchall()

    def create(self, connection: Connection[TupleRow]) -> None:
        """Makes it, beside readers and writers. What a server that was killed has left half made has to be gone."""
        # On one core, because the others serve; and helpers share memory in a file system that containers keep small.
        connection.execute(
            """
            SELECT set_config('max_parallel_maintenance_workers', '0', false), set_config('maintenance_work_mem',
                greatest(pg_size_bytes(current_setting('maintenance_work_mem')), %s) / 1024 || 'kB', false)
            """,
            [BUILD_MEMORY_BYTES],
        )
        connection.execute(
            sql.SQL("""
                CREATE INDEX CONCURRENTLY {name} ON {table}
                USING hnsw ((embedding::halfvec({dimension})) halfvec_ip_ops)
                WITH (m = {neighbours}, ef_construction = {candidates})
                WHERE collection_id = {key} AND vector_dims(embedding) = {dimension}
            """).format(
                name=sql.Identifier(self.name),
                table=sql.Identifier(self.table),
                key=self.key,
                dimension=self.dimension,
                neighbours=NEIGHBOURS,
                candidates=BUILD_CANDIDATES,
            )
        )
        # The planner needs no samples of embeddings, and they would be one more place from which a face has to go.
        name = sql.Identifier(self.name)
        connection.execute(sql.SQL("ALTER INDEX {} ALTER COLUMN 1 SET STATISTICS 0").format(name))

    def drop(self, connection: Connection[TupleRow]) -> None:
        """Removes it, complete or not, beside readers and writers."""
        connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(self.name)))

    def size_bytes(self, connection: Connection[TupleRow]) -> int:
        """Returns what it takes on disk; 0 where it is not there."""
        row = connection.execute("SELECT coalesce(pg_relation_size(to_regclass(%s)), 0)", [self.name]).fetchone()
        assert row is not None
        return int(row[0])

    def rows_done(self, connection: Connection[TupleRow]) -> int:
        """Returns how many rows it has already got, whoever makes it; 0 where nobody does."""
        query = "SELECT tuples_done FROM pg_stat_progress_create_index WHERE index_relid = to_regclass(%s)"
        row = connection.execute(query, [self.name]).fetchone()
        return 0 if row is None else int(row[0])

    def try_lock(self, connection: Connection[TupleRow]) -> bool:
        """Says whether this connection alone may now make or drop it; until ``unlock``, or the connection's end."""
        row = connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [self.name]).fetchone()
        return row is not None and bool(row[0])

    def unlock(self, connection: Connection[TupleRow]) -> None:
        """Lets others make or drop it."""
        connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [self.name])


def graphs(connection: Connection[TupleRow]) -> list[Graph]:
    """Returns all graphs that there are, complete or not, also those of deleted collections."""
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'i' AND relname LIKE '%\\_hnsw\\_%' AND pg_table_is_visible(oid)"
    ).fetchall()
    names = [name for (relname,) in rows if (name := _NAME.fullmatch(relname))]
    return [Graph(name[1], int(name[2]), int(name[3])) for name in names]


def drop_graphs(connection: Connection[TupleRow], key: int) -> None:
    """Drops those graphs of a collection that are not being made at the moment."""
    for graph in graphs(connection):
        if graph.key == key and graph.try_lock(connection):
            graph.drop(connection)
            graph.unlock(connection)


class Builder:
    """Makes graphs in the background, one after the other."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hnsw")
        self._lock = threading.Lock()
        self._made: dict[Graph, Future[None]] = {}
        self._not_before: dict[Graph, float] = {}
        self._closed = threading.Event()
        self._connection: Connection[TupleRow] | None = None

    def has_seen(self, graph: Graph) -> bool:
        """Says whether it was begun here before, and may still be under way."""
        return graph in self._made

    def begin(self, graph: Graph) -> Future[None]:
        """Sees to it that a graph is made, and clears away those of deleted collections.

        Returns:
            What is done when the graph is there, whichever server has made it. After a failure the same is returned
            for a while, rather than failing again.
        """
        with self._lock:
            made = self._made.get(graph)
            if made is None or (made.done() and time.monotonic() > self._not_before.get(graph, 0)):
                made = self._made[graph] = self._thread.submit(self._make, graph)
            return made

    def connect(self) -> Connection[TupleRow]:
        """Opens a connection for what takes its time."""
        return psycopg.connect(self._database_url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S)

    def close(self) -> None:
        """Ends what is being made: half a graph is dropped and made anew by the next server that needs it."""
        self._closed.set()
        self._thread.shutdown(wait=False, cancel_futures=True)
        while not all(made.done() for made in self._made.values()):
            if connection := self._connection:
                connection.cancel_safe()
            time.sleep(CANCEL_PAUSE_S)

    def _make(self, graph: Graph) -> None:
        started = time.monotonic()
        try:
            with self.connect() as connection:
                self._connection = connection
                while not graph.try_lock(connection):
                    if self._closed.wait(LOCK_PAUSE_S):
                        return
                if not graph.is_complete(connection) and not self._closed.is_set():
                    graph.drop(connection)  # half made by a server that was killed
                    graph.create(connection)
                    log.info("a collection has its graph", graph=graph.name, seconds=round(time.monotonic() - started))
                graph.unlock(connection)
                _drop_graphs_of_deleted_collections(connection)
        except psycopg.Error as error:
            self._not_before[graph] = time.monotonic() + RETRY_S
            if not self._closed.is_set():
                log.warning("a collection gets no graph", graph=graph.name, why=str(error))
            raise
        finally:
            self._connection = None


def _drop_graphs_of_deleted_collections(connection: Connection[TupleRow]) -> None:
    """Not when a collection is deleted: dropping waits for whoever reads the table, such as a backup."""
    keys = {graph.key for graph in graphs(connection)}
    exist = connection.execute("SELECT id FROM collections WHERE id = ANY(%s)", [list(keys)]).fetchall()
    for key in keys - {key for (key,) in exist}:
        drop_graphs(connection, key)
