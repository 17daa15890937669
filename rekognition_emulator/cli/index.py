"""``index``: shows, rebuilds, verifies and switches the index of a collection."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import Progress as Bars
from rich.table import Table

from rekognition_emulator.admin.collections import find_collections
from rekognition_emulator.admin.indexes import (
    PROBES,
    IndexUnsound,
    describe_index,
    is_sound,
    rebuild_index,
    switch_index,
    verify_index,
)
from rekognition_emulator.cli.database import data_errors_exit_with_message, open_database, operator
from rekognition_emulator.cli.progress import bar, counting
from rekognition_emulator.cli.start import exits_with_message, read_settings
from rekognition_emulator.domain.faces import Collection
from rekognition_emulator.search.recall import Recall
from rekognition_emulator.search.registry import INDEXES, IndexUnusable, find_index
from rekognition_emulator.search.router import IndexRouter
from rekognition_emulator.settings import Settings
from rekognition_emulator.storage.postgres import PostgresStore

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
    bars: Bars


@app.command()
def status(*, collection: _Collections = None, region: _Region = None) -> None:
    """Say of each collection which index searches it, and how much of it is ready."""
    with _desk(collection, region) as desk:
        table = Table("region", "collection", "faces", "users", "index", "searches", "ready", "MB")
        for each in desk.collections:
            described = describe_index(desk.index, each, desk.settings.index_url.name)
            table.add_row(
                each.owner.region,
                each.name,
                f"{each.face_count:,}",
                f"{each.user_count:,}",
                described.index + ("" if described.is_chosen else " (as set)"),
                described.status.kind,
                "all" if described.is_ready else f"{described.status.faces:,}",
                f"{described.status.size_bytes / 1e6:,.1f}",
            )
        Console().print(table)


@app.command()
def rebuild(*, collection: _Collections = None, region: _Region = None) -> None:
    """Drop what the index holds of collections, and make it anew."""
    with _desk(collection, region) as desk:
        for each in desk.collections:
            built = rebuild_index(desk.index, each, bar(desk.bars, f"{each.name}: building"))
            typer.echo(f"{each.name}: built, {built.kind}")


@app.command()
def verify(*, collection: _Collections = None, region: _Region = None, probes: _Probes = PROBES) -> None:
    """Search for some faces of each collection, and compare with all its embeddings, one by one."""
    faulty = []
    with _desk(collection, region) as desk:
        for each in desk.collections:
            recall = verify_index(desk.store, desk.index, each, probes, bar(desk.bars, f"{each.name}: comparing"))
            _show(each, recall)
            if not is_sound(recall):
                faulty.append(each.name)
    if faulty:
        sys.exit(f"Not as it should be: {', '.join(faulty)}. `index rebuild` makes the index anew.")


@app.command()
def switch(
    *,
    to: Annotated[str, typer.Option(metavar="|".join([*INDEXES, SETTINGS]), help="The index that is to search.")],
    collection: _Collections = None,
    region: _Region = None,
    probes: _Probes = PROBES,
) -> None:
    """Make another index ready, check it, and have it search from the next request on, on every server."""
    try:
        chosen = None if to == SETTINGS else to
        if chosen:
            find_index(chosen)
    except ValueError as error:
        raise typer.BadParameter(f"{to} {error}, {SETTINGS}", param_hint="--to") from error
    with _desk(collection, region) as desk:
        default = desk.settings.index_url.name
        for each in desk.collections:
            try:
                recall = switch_index(
                    desk.store,
                    desk.index,
                    operator("index switch", each.owner.account, each.owner.region),
                    each,
                    chosen,
                    default=default,
                    probes_max=probes,
                    building=bar(desk.bars, f"{each.name}: building"),
                    comparing=bar(desk.bars, f"{each.name}: comparing"),
                )
            except IndexUnsound as unsound:
                _show(each, unsound.recall)
                sys.exit(f"{each.name} stays with {each.index or default}.")
            _show(each, recall)
            typer.echo(f"{each.name}: searched by {chosen or default}")


def _show(collection: Collection, recall: Recall) -> None:
    text = f"{collection.name}: {recall.found:,} of {recall.wanted:,} nearest faces of {recall.probes:,} probes"
    typer.echo(f"{text} found, recall {recall.rate:.4f}" + (f"; {recall.alien} alien" if recall.alien else ""))


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
        collections = find_collections(pool, settings.account_id, names or (), region)
        yield _Desk(settings, PostgresStore(pool), index, collections, bars)
