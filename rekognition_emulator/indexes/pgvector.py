"""Changes when a search inside the database is done in another way.

Exact, over the rows of one collection, up to a size. Above it a graph of that collection (``hnsw``) proposes candidates
as soon as it is made; until then, and wherever candidates do not suffice, the exact search answers.
"""

from concurrent.futures import wait
from typing import Any, Final
from uuid import UUID

from psycopg import Connection, sql
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from rekognition_emulator.faces.gallery import Collection, Embedding, Match, UserMatch
from rekognition_emulator.faces.index import FaceIndex, Holding, Progress
from rekognition_emulator.indexes.hnsw import ID_COLUMNS, Builder, Graph, drop_graphs
from rekognition_emulator.indexes.replica import Replica

EXACT_MAX: Final = 50_000
"""Faces, or users, of a collection up to which search is exact."""

FEW: Final = 100
"""Matches for which the graph is asked first; most thresholds leave fewer, whatever a request's limit is."""

PROGRESS_PAUSE_S: Final = 0.5
"""Between two reports while a graph is made."""

_DIMENSION: Final = sql.SQL("""
SELECT vector_dims(embedding) FROM {table} WHERE collection_id = %s AND embedding IS NOT NULL LIMIT 1
""")

_EXACT: Final = sql.SQL("""
SELECT {column}, cosine FROM (
    SELECT {column}, least(1, greatest(-1, -(embedding <#> %(probe)b))) AS cosine
    FROM {table} WHERE collection_id = %(key)s AND embedding IS NOT NULL
    OFFSET 0 -- or else the planner copies the expression to each place where it is used
) AS gallery
WHERE cosine >= %(cosine_min)s AND {column} IS DISTINCT FROM %(without)s
ORDER BY cosine DESC, {column} LIMIT %(limit)s
""")


class PgvectorIndex(FaceIndex):
    """Searches the store's own tables, so there is nothing of its own that could be out of date.

    Args:
        pool: to the database.
        replica: a copy of it that searches read from, where there is one.
        exact_max: up to so many faces, or users, of a collection search is exact.
    """

    def __init__(self, pool: ConnectionPool, replica: Replica | None = None, *, exact_max: int = EXACT_MAX) -> None:
        self._pool = pool
        self._replica = replica
        self._exact_max = exact_max
        assert isinstance(pool.conninfo, str), "as open_pool makes it"
        self._builder = Builder(pool.conninfo)

    def search(
        self, collection: Collection, probe: Embedding, *, cosine_min: float, limit: int, without: UUID | None = None
    ) -> list[Match]:
        return [Match(*near) for near in self._nearest(collection, "faces", probe, cosine_min, limit, without)]

    def search_users(
        self, collection: Collection, probe: Embedding, *, cosine_min: float, limit: int, without: str | None = None
    ) -> list[UserMatch]:
        return [UserMatch(*near) for near in self._nearest(collection, "users", probe, cosine_min, limit, without)]

    def prepare(self, collection: Collection, progress: Progress) -> None:
        for graph in self._graphs(collection):
            made = self._builder.begin(graph)
            while wait([made], PROGRESS_PAUSE_S).not_done:
                with self._pool.connection() as connection:
                    progress(min(graph.rows_done(connection), collection.face_count), collection.face_count)
            made.result()
        progress(collection.face_count, collection.face_count)

    def holding(self, collection: Collection) -> Holding:
        with self._pool.connection() as connection:
            graphs = [graph for graph in self._graphs(collection) if graph.is_complete(connection)]
            size_bytes = sum(graph.size_bytes(connection) for graph in graphs)
        return Holding(collection.revision, collection.face_count, size_bytes, "hnsw" if graphs else "exact")

    def forget(self, collection: Collection) -> None:
        with self._builder.connect() as connection:
            drop_graphs(connection, collection.key)

    def close(self) -> None:
        self._builder.close()

    def _graphs(self, collection: Collection) -> list[Graph]:
        """Returns the graphs that the collection should have."""
        graphs = []
        for table in self._large_tables(collection):
            with self._pool.connection() as connection:
                row = connection.execute(_DIMENSION.format(table=sql.Identifier(table)), [collection.key]).fetchone()
            if row is not None:
                graphs.append(Graph(table, collection.key, row[0]))
        return graphs

    def _large_tables(self, collection: Collection) -> list[str]:
        rows = {"faces": collection.face_count, "users": collection.user_count}
        return [table for table, count in rows.items() if count > self._exact_max]

    def _nearest(  # noqa: PLR0913, PLR0917 # what a search is asked for, and the table that it is asked of
        self,
        collection: Collection,
        table: str,
        probe: Embedding,
        cosine_min: float,
        limit: int,
        without: object,
    ) -> list[tuple[Any, float]]:
        """Returns ids and cosines of a table's rows, by descending cosine, equal ones by ascending id."""
        graph = Graph(table, collection.key, len(probe)) if table in self._large_tables(collection) else None

        def ask(connection: Connection[TupleRow]) -> list[tuple[Any, float]]:
            if graph is not None:
                if not graph.is_complete(connection):
                    self._builder.begin(graph)
                elif (found := _approximate(connection, graph, probe, cosine_min, limit, without)) is not None:
                    return found
            parameters = {"key": collection.key, "probe": probe, "cosine_min": cosine_min, "limit": limit}
            query = _EXACT.format(table=sql.Identifier(table), column=sql.Identifier(ID_COLUMNS[table]))
            return connection.execute(query, {**parameters, "without": without}, binary=True).fetchall()

        if self._replica is not None and (found := self._replica.ask(collection, ask)) is not None:
            return found
        with self._pool.connection() as connection:
            return ask(connection)


def _approximate(  # noqa: PLR0913, PLR0917 # as ``_nearest``
    connection: Connection[TupleRow], graph: Graph, probe: Embedding, cosine_min: float, limit: int, without: object
) -> list[tuple[Any, float]] | None:
    """Returns the same from the graph's candidates; None where these do not reach below what would be answered.

    They do not if there are too few of them, or if so many rows are equally near that they cut through their midst.
    """
    for wanted in sorted({min(FEW, limit), limit}):
        # Those that are left out, and some for the order in which half precision has put them.
        candidates = graph.nearest(connection, probe, count=wanted + wanted // 8 + 10)
        near = [(name, cosine) for name, cosine in candidates if cosine >= cosine_min and name != without]
        near = sorted(near, key=lambda one: (-one[1], one[0]))[:limit]
        answered_min = near[-1][1] if len(near) == limit else cosine_min
        if candidates and min(cosine for _, cosine in candidates) < answered_min:
            return near
    return None
