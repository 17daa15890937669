"""The index ``pgvector``: search inside the database.

Exact, over the rows of one collection, up to a size. Above it a graph of that collection (``hnsw``) proposes candidates
as soon as it is made; until then, and wherever candidates do not suffice, the exact search answers.
"""

from concurrent.futures import wait
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from rekognition_emulator.domain.errors import FaceModelChanged
from rekognition_emulator.domain.faces import Collection, Embedding, Match, UserMatch
from rekognition_emulator.search.base import FaceIndex, IndexStatus, Progress
from rekognition_emulator.search.hnsw import ID_COLUMNS, Builder, Graph, drop_graphs
from rekognition_emulator.search.replica import Replica

EXACT_MAX: Final = 50_000
"""Faces, or users, of a collection up to which search is exact.

Source: ours, on two busy cores with made-up people of ten faces each, 128 and 512 dimensions. An exact search takes
0.7 to 1 ms for 1,000 faces: 11 ms for 15,000, 40 to 50 ms for 50,000; one that a graph answers at the first look
takes 5 to 10 ms. A graph would thus pay from some 10,000 faces on, were it not for the others: each makes the database
plan every statement on faces 5 µs longer and write every face 4 µs longer. So only the few giants get one. Half
precision without a graph was refused: 1.2 to 1.9 times as fast, for half as much again on disk.
"""

FEW: Final = 100
"""Candidates for a first look, which suffices where a threshold leaves fewer matches: as a rule."""

FEW_WIDTH: Final = 400
"""``ef_search`` of the first look. Source: ours, as above: of all faces above a similarity of 80 it finds 99.5 % among
200,000 of 512 dimensions (200: 98.7 %), and all among 50,000 and among 200,000 of 128."""

MANY: Final = 4_000
"""Candidates at least where the first look has not seen the end, so that strangers are asked for, among whom a graph
finds its way least. Source: ours, as above: the true nearest 50 of 50,000 at 512 dimensions are held by 66 candidates
to 99.0 %, by 2,000 to 99.8 %, by 4,600 entirely; those of 200,000 by 4,000 to 99.4 %."""

MANY_WIDTH: Final = 1_000
"""``ef_search`` of the second look; pgvector allows no more."""

PROGRESS_PAUSE_S: Final = 0.5
"""Between two reports while a graph is made."""


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
        rows = Graph("faces", collection.key, len(probe))
        return [Match(*near) for near in self._ask(collection, _Question(rows, probe, cosine_min, limit, without))]

    def search_users(
        self, collection: Collection, probe: Embedding, *, cosine_min: float, limit: int, without: str | None = None
    ) -> list[UserMatch]:
        rows = Graph("users", collection.key, len(probe))
        return [UserMatch(*near) for near in self._ask(collection, _Question(rows, probe, cosine_min, limit, without))]

    def prepare(self, collection: Collection, progress: Progress) -> None:
        for graph in self._graphs(collection):
            made = self._builder.begin(graph)
            while wait([made], PROGRESS_PAUSE_S).not_done:
                with self._pool.connection() as connection:
                    progress(min(graph.rows_done(connection), collection.face_count), collection.face_count)
            made.result()
        progress(collection.face_count, collection.face_count)

    def holding(self, collection: Collection) -> IndexStatus:
        graphs = self._graphs(collection)
        with self._pool.connection() as connection:
            complete = [graph for graph in graphs if graph.is_complete(connection)]
            size_bytes = sum(graph.size_bytes(connection) for graph in complete)
        return IndexStatus(collection.revision, collection.face_count, size_bytes, "hnsw" if complete else "exact")

    def forget(self, collection: Collection) -> None:
        with self._builder.connect() as connection:
            drop_graphs(connection, collection.key)

    def close(self) -> None:
        self._builder.close()

    def _graphs(self, collection: Collection) -> list[Graph]:
        """Returns the graphs that the collection should have."""
        with self._pool.connection() as connection:
            dimensions = {
                table: connection.execute(_DIMENSION.format(table=sql.Identifier(table)), [collection.key]).fetchone()
                for table in ID_COLUMNS
                if self._is_large(collection, table)
            }
        return [Graph(table, collection.key, row[0]) for table, row in dimensions.items() if row is not None]

    def _is_large(self, collection: Collection, table: str) -> bool:
        return {"faces": collection.face_count, "users": collection.user_count}[table] > self._exact_max

    def _ask(self, collection: Collection, question: "_Question") -> list[tuple[Any, float]]:
        """Returns ids and cosines, by descending cosine, equal ones by ascending id."""
        large = self._is_large(collection, question.rows.table)

        def answer(connection: Connection[TupleRow]) -> list[tuple[Any, float]]:
            if large:
                complete = question.rows.is_complete(connection)
                if not complete or not self._builder.has_seen(question.rows):
                    self._builder.begin(question.rows)
                if complete and (near := question.ask_graph(connection)) is not None:
                    return near
            return question.ask_all(connection)

        if self._replica is not None and (near := self._replica.ask(collection, answer)) is not None:
            return near
        with self._pool.connection() as connection:
            try:
                return answer(connection)
            except psycopg.errors.DataException as error:
                # The probe meets embeddings of another length: the only way in which data can be wrong here.
                raise FaceModelChanged(collection.name) from error


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """What a search asks of a collection's faces or users; ``rows`` names them, also where they have no graph."""

    rows: Graph
    probe: Embedding
    cosine_min: float
    limit: int
    without: UUID | str | None

    def ask_all(self, connection: Connection[TupleRow]) -> list[tuple[Any, float]]:
        """Compares all rows."""
        query = _EXACT.format(table=sql.Identifier(self.rows.table), column=sql.Identifier(ID_COLUMNS[self.rows.table]))
        parameters = {
            "key": self.rows.key,
            "probe": self.probe,
            # Rounding may take an opposite a little below a cosine of -1.
            "distance_max": -self.cosine_min if self.cosine_min > -1 else 2.0,
            "without": self.without,
            "limit": self.limit,
        }
        return connection.execute(query, parameters, binary=True).fetchall()

    def ask_graph(self, connection: Connection[TupleRow]) -> list[tuple[Any, float]] | None:
        """Compares what the graph proposes.

        Returns:
            None where that does not reach below what would be answered: there are too few candidates, or so many rows
            are equally near that the candidates end in their midst.
        """
        candidates = self.rows.nearest(connection, self.probe, FEW, FEW_WIDTH)
        if not any(cosine < self.cosine_min for _, cosine in candidates):
            # Some more than wanted, for half precision has put them into a slightly different order.
            candidates = self.rows.nearest(connection, self.probe, max(MANY, self.limit + self.limit // 8), MANY_WIDTH)
        near = [(name, cosine) for name, cosine in candidates if cosine >= self.cosine_min and name != self.without]
        near = sorted(near, key=lambda one: (-one[1], one[0]))[: self.limit]
        answered_min = near[-1][1] if len(near) == self.limit else self.cosine_min
        return near if any(cosine < answered_min for _, cosine in candidates) else None


_DIMENSION: Final = sql.SQL("""
SELECT vector_dims(embedding) FROM {table} WHERE collection_id = %s AND embedding IS NOT NULL LIMIT 1
""")

_EXACT: Final = sql.SQL("""
SELECT {column}, least(1, greatest(-1, -distance)) FROM (
    SELECT {column}, embedding <#> %(probe)b AS distance
    FROM {table} WHERE collection_id = %(key)s AND embedding IS NOT NULL
    OFFSET 0 -- or else the planner copies the expression to each place where it is used
) AS gallery
WHERE distance <= %(distance_max)s AND {column} IS DISTINCT FROM %(without)s
ORDER BY distance, {column} LIMIT %(limit)s
""")
