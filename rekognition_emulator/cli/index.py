"""``index``: shows, rebuilds, verifies and switches the index of a collection.

Works on the database that the settings name, beside the servers that use it. An index that lives in a server's memory
is not here, but what it has written down is.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from rekognition_emulator.cli.database import data_errors_exit_with_message, open_database, operator
from rekognition_emulator.cli.progress import counting
from rekognition_emulator.cli.start import exits_with_message, read_settings
from rekognition_emulator.domain.errors import CollectionNotFound
from rekognition_emulator.domain.faces import Collection, Owner
from rekognition_emulator.search.base import FaceIndex
from rekognition_emulator.search.recall import CollectionChanging, Recall, measure_recall
from rekognition_emulator.search.registry import INDEXES, IndexUnusable
from rekognition_emulator.search.router import IndexRouter
from rekognition_emulator.settings import Settings
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.transfer import list_names

RECALL_MIN: Final = 0.99
"""Of the 50 nearest faces. An index that finds fewer is not switched to. Source: ours."""

ATTEMPTS: Final = 5
"""To look at a collection while it does not change."""

_CONNECTIONS: Final = 3
"""To hold a lock, to read and to build, all at once."""

SETTINGS: Final = "settings"
"""What ``switch`` calls the index that the server is set to."""

app = typer.Typer(help="See, rebuild, check and change what searches the collections.", no_args_is_help=True)

_Collections = Annotated[list[str] | None, typer.Option(help="A collection's name; may be repeated. Default: all.")]
_Region = Annotated[str | None, typer.Option(help="Only collections of this region.")]
_Probes = Annotated[int, typer.Option(min=1, help="How many faces of a collection are searched for.")]


@dataclass(frozen=True, slots=True)
class _Desk:
    """What the commands work with."""

    settings: Settings
    store: PostgresStore
    index: IndexRouter
    collections: list[Collection]
    bars: Progress

    def bar(self, collection: Collection, doing: str) -> Callable[[int, int], None]:
        """Returns what shows how far something has come."""
        task = self.bars.add_task(f"{collection.name}: {doing}", total=None)
        return lambda done, total: self.bars.update(task, completed=done, total=total)

    def name_of(self, collection: Collection) -> str:
        """Returns the name of the index that searches a collection."""
        return collection.index or self.settings.index


@app.command()
def status(*, collection: _Collections = None, region: _Region = None) -> None:
    """Say of each collection which index searches it, and how much of it is ready."""
    with _desk(collection, region) as desk:
        table = Table("region", "collection", "faces", "users", "index", "searches", "ready", "MB")
        for each in desk.collections:
            holding = desk.index.holding(each)
            ready = f"{holding.faces:,}" if holding.revision < each.revision else "all"
            table.add_row(
                each.owner.region,
                each.name,
                f"{each.face_count:,}",
                f"{each.user_count:,}",
                desk.name_of(each) + ("" if each.index else " (as set)"),
                holding.kind,
                ready,
                f"{holding.size_bytes / 1e6:,.1f}",
            )
        Console().print(table)


@app.command()
def rebuild(*, collection: _Collections = None, region: _Region = None) -> None:
    """Drop what the index holds of collections, and make it anew."""
    with _desk(collection, region) as desk:
        for each in desk.collections:
            desk.index.forget(each)
            desk.index.prepare(each, desk.bar(each, "building"))
            typer.echo(f"{each.name}: built, {desk.index.holding(each).kind}")


@app.command()
def verify(*, collection: _Collections = None, region: _Region = None, probes: _Probes = 50) -> None:
    """Search for some faces of each collection, and compare with all its embeddings, one by one."""
    with _desk(collection, region) as desk:
        recalls = {each.name: _measured(desk, each, desk.index, probes) for each in desk.collections}
    if faulty := [name for name, recall in recalls.items() if not _is_sound(recall)]:
        sys.exit(f"Not as it should be: {', '.join(faulty)}. `index rebuild` makes the index anew.")


@app.command()
def switch(
    *,
    to: Annotated[str, typer.Option(metavar="|".join([*INDEXES, SETTINGS]), help="The index that is to search.")],
    collection: _Collections = None,
    region: _Region = None,
    probes: _Probes = 50,
) -> None:
    """Make another index ready, check it, and have it search from the next request on, on every server."""
    if to not in {*INDEXES, SETTINGS}:
        raise typer.BadParameter(f"{to} is none of {', '.join([*INDEXES, SETTINGS])}", param_hint="--to")
    with _desk(collection, region) as desk:
        index = desk.index.named(desk.settings.index if to == SETTINGS else to)
        for each in desk.collections:
            index.prepare(each, desk.bar(each, "building"))
            if not _is_sound(_measured(desk, each, index, probes)):
                sys.exit(f"{each.name} stays with {desk.name_of(each)}.")
            actor = operator("index switch", each.owner.account, each.owner.region)
            desk.store.choose_index(actor, each, None if to == SETTINGS else to)
            typer.echo(f"{each.name}: searched by {desk.settings.index if to == SETTINGS else to}")


def _measured(desk: _Desk, collection: Collection, index: FaceIndex, probes: int) -> Recall:
    """Measures, and says what came out."""
    for _ in range(ATTEMPTS):
        present = desk.store.get_collection(collection.owner, collection.name)
        try:
            recall = measure_recall(desk.store, index, present, probes, desk.bar(present, "comparing"))
        except CollectionChanging:
            continue
        text = f"{collection.name}: {recall.found:,} of {recall.wanted:,} nearest faces of {recall.probes:,} probes"
        typer.echo(f"{text} found, recall {recall.rate:.4f}" + (f"; {recall.alien} alien" if recall.alien else ""))
        return recall
    sys.exit(f"{collection.name} changes all the time: verify it when fewer pictures come in.")


def _is_sound(recall: Recall) -> bool:
    return recall.rate >= RECALL_MIN and not recall.alien


@contextmanager
def _desk(names: list[str] | None, region: str | None) -> Iterator[_Desk]:
    from rekognition_emulator.app import open_index  # noqa: PLC0415 - the other commands do without HTTP

    settings = read_settings()
    with (
        exits_with_message(IndexUnusable),
        data_errors_exit_with_message(),
        open_database(settings, _CONNECTIONS) as pool,
        closing(open_index(settings, pool)) as index,
        counting() as bars,
    ):
        store = PostgresStore(pool)
        listed = [
            (where, name)
            for where, name in list_names(pool, settings.account_id)
            if region in {None, where} and name in (names or [name])
        ]
        if missing := set(names or ()) - {name for _, name in listed}:
            raise CollectionNotFound(min(missing))
        collections = [store.get_collection(Owner(settings.account_id, where), name) for where, name in listed]
        yield _Desk(settings, store, index, collections, bars)
