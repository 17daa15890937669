"""``collections``: what operators set for a collection beyond what AWS's API knows."""

from typing import Annotated

import typer

from rekognition_emulator.cli.database import data_errors_exit_with_message, open_database, operator
from rekognition_emulator.cli.start import read_settings
from rekognition_emulator.cli.wording import counted
from rekognition_emulator.domain.faces import RETENTION_DAYS_MAX, Owner
from rekognition_emulator.retention.job import set_retention
from rekognition_emulator.retention.store import RetentionStore
from rekognition_emulator.storage.postgres import PostgresStore

app = typer.Typer(help="Set what AWS's API has no word for.", no_args_is_help=True)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The collection's name.")]
_Days = Annotated[
    int | None,
    typer.Option(min=1, max=RETENTION_DAYS_MAX, help="Remove faces so many days after they came."),
]
_Off = Annotated[bool, typer.Option("--off", metavar="", help="Keep faces until somebody deletes them.")]
_Region = Annotated[str | None, typer.Option(help="The collection's region. Default: that of the settings.")]


# A callback makes `retention` a command below `collections` rather than the only one.
@app.callback()
def _collections() -> None:
    pass


@app.command()
def retention(name: _Name, *, days: _Days = None, off: _Off = False, region: _Region = None) -> None:
    """Say for how long a collection keeps its faces, or set it."""
    if days is not None and off:
        raise typer.BadParameter("give one of --days and --off, or neither")
    settings = read_settings()
    with data_errors_exit_with_message(), open_database(settings) as pool:
        owner = Owner(settings.account_id, region or settings.region)
        collection = PostgresStore(pool).get_collection(owner, name)
        expired = 0
        if days is not None or off:
            actor = operator("collections retention", owner.account, owner.region)
            expired = set_retention(pool, actor, collection, days)
        kept = RetentionStore(pool).days(collection)
    if kept is None:
        typer.echo(f"{name} keeps its faces until somebody deletes them.")
    else:
        typer.echo(f"{name} keeps its faces for {counted(kept, 'day')}.")
    if expired:
        typer.echo(f"{counted(expired, 'face')} of it {'is' if expired == 1 else 'are'} older: a job removes them.")
