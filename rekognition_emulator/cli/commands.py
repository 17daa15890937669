"""The commands and their options; what each does stands beside this file."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from rekognition_emulator import __version__
from rekognition_emulator.admin.measuring import Way
from rekognition_emulator.cli import collections, index, jobs, keys
from rekognition_emulator.cli.calibration import calibrate_on_album
from rekognition_emulator.cli.evaluation import evaluate_album, evaluate_pairs
from rekognition_emulator.cli.models import models
from rekognition_emulator.cli.retrieval import evaluate_selfies
from rekognition_emulator.cli.start import exits_with_message
from rekognition_emulator.cli.unlabelled import calibrate_on_collections, calibrate_on_images
from rekognition_emulator.evaluation.calibration import TooFewPairs
from rekognition_emulator.evaluation.labels import LabelsUnusable
from rekognition_emulator.evaluation.pictures import FaceChoice
from rekognition_emulator.models.weights import ModelUnusable

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,  # they would print the values of variables
)
app.add_typer(models, name="models")
app.add_typer(keys.app, name="keys")
app.add_typer(index.app, name="index")
app.add_typer(collections.app, name="collections")
app.add_typer(jobs.app, name="jobs")
app.command(name="worker")(jobs.work)

_ALBUM = typer.Option(exists=True, help="A folder with a folder of images per person, or CSV: file, person.")
_EVENT = typer.Option(exists=True, help="As --album, but an image may show several people: several rows.")
_SELFIES = typer.Option(exists=True, help="Search the album by these: a folder with a folder per person, or CSV.")
_FACE = typer.Option(help="Whose face counts in an image of one person.")
_MODELS = typer.Option("--model", help="A face model's name, as models list has it; may be given several times.")
_UNLABELLED = typer.Option(exists=True, file_okay=False, help="Images without labels, a folder for each event.")
_CALIBRATED = typer.Option(help="A collection of the database, which is an event; may be given several times.")
_PAIRS = typer.Option(exists=True, dir_okay=False, help="LFW's pairs.txt, or CSV: file_a, file_b, same (1 or 0).")
_IMAGES = typer.Option(exists=True, file_okay=False, help="Where the pairs' images are. Default: beside the list.")
_JSON = typer.Option("--json", dir_okay=False, help="Write the numbers to this file.")
_PLOT = typer.Option("--plot", dir_okay=False, help="Draw the ROC into this PNG file.")
_WORKERS = typer.Option(min=1, help="Images worked on at once. Default: one per core.", show_default=False)
_FACE = typer.Option(help="Which face of an image its label names: the largest, or the most central as in LFW.")
_MENDABLE = (LabelsUnusable, ModelUnusable, TooFewPairs, OSError)
_CORES = os.cpu_count() or 1
_TO = typer.Option(help="A folder, for files REGION/NAME.jsonl.gz, or for one collection a file that ends in .gz.")
_COLLECTIONS = typer.Option(help="A collection's name; may be given several times.")
_ALL = typer.Option("--all", metavar="", help="All collections.")
_REGION = typer.Option(help="The collections' region. Default: that of the settings or file; with --all every one.")
_FILES = typer.Argument(exists=True, dir_okay=False, help="Files that export has written.")
_AS = typer.Option("--as", help="The new collection's name. Default: the one that was exported.")
_BACKUP_TO = typer.Option(help="The folder to make.")
_FROM = typer.Option("--from", exists=True, file_okay=False, help="A folder that backup has written.")
_FORCE = typer.Option("--force", metavar="", help="Set aside the database that is there.")
_SOURCE = typer.Argument(help="A folder, or s3://BUCKET/PREFIX.")
_COLLECTION = typer.Option(help="The collection's name; it is made if there is none.")
_ENDPOINT = typer.Option(help="Where the service is. Default: as boto3 finds it, which is AWS.")
_S3_ENDPOINT = typer.Option(help="Where the images' storage is. Default: likewise.")
_CLIENT_REGION = typer.Option(help="The collection's region. Default: likewise.")
_MAX_FACES = typer.Option(min=1, help="Of an image, the largest so many. Default: the service's.")
_QUALITY = typer.Option(case_sensitive=False, help="As IndexFaces has it. Default: the service's.")
_JOURNAL = typer.Option(dir_okay=False, help="Where to remember what is indexed. Default: beside the folder.")
_REPORT = typer.Option(
    dir_okay=False,
    help="Write what becomes of each image to this file: .csv, or JSON lines. "
    "docs/getting-started/first-album.md says what its columns are.",
)
_EXCLUDE = typer.Option(metavar="GLOB", help="Leave out files and folders of this name, or path; may be given again.")
_SHRINK = typer.Option("--shrink", metavar="", help="Re-encode files over 5 MB, which would fail.")
_CONVERT = typer.Option("--convert", metavar="", help="Send HEIC, WebP and AVIF as JPEGs.")
_PRUNE = typer.Option("--prune", metavar="", help="Remove the faces of images that are no longer there.")
_REQUESTS = typer.Option(min=1, max=256, help="Images sent at once.")
_VERIFIED = typer.Argument(exists=True, help="A file or a folder. Default: the database of the settings.")
_KNOWN = typer.Option("--collection", help="The collection's name.")
_KNOWN_REGION = typer.Option("--region", help="The collection's region. Default: that of the settings.")
_TO_MODEL = typer.Option(
    "--to", help="The face model that is to embed its faces: a model's name, as models list has it."
)
_CONFIRM = typer.Option("--confirm", metavar="", help="Drop the embeddings of the model before.")
_ROLLBACK = typer.Option("--rollback", metavar="", help="Go back to the model before.")
_AUDIT_KEY = typer.Option("--key", help="Only what the key of this name, or with this id, has done.")
_AUDITED = typer.Option("--collection", help="Only what was done with this collection.")
_OPERATION = typer.Option(help="Only this one, such as DeleteFaces.")
_SINCE = typer.Option(metavar="WHEN", help="Only from then on: 2026-05-01, 2026-05-01T12:30, or 90m, 12h, 7d ago.")
_LATEST = typer.Option(min=1, help="The latest so many. Default: 100; as JSON, all.", show_default=False)
_JSON_LINES = typer.Option("--json", metavar="", help="Print a line of JSON each.")
_STATUS = typer.Option("--status", metavar="", help="Say how far it is.")
_LABELS = typer.Option(
    exists=True, dir_okay=False, help="CSV: file, eyeglasses, sunglasses, beard, mustache, face_occluded (yes or no)."
)
_LABELLED = typer.Option(exists=True, file_okay=False, help="Where the labelled images are.")
_HOST = typer.Option(help="The address to listen on. Default: REKOGNITION_HOST.", show_default=False)
_PORT = typer.Option(min=0, max=65535, help="The port. Default: REKOGNITION_PORT.", show_default=False)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - as typer calls it
    if wanted:
        typer.echo(f"rekognition-emulator {__version__}")
        raise typer.Exit


_VERSION = typer.Option(
    "--version", metavar="", callback=_print_version, is_eager=True, help="Say which version this is."
)


@app.callback()
def root(*, version: Annotated[bool, _VERSION] = False) -> None:
    """The face operations of AWS Rekognition on your own machines. Without a command it serves."""


@app.command()
def serve(*, host: Annotated[str | None, _HOST] = None, port: Annotated[int | None, _PORT] = None) -> None:
    """Answer AWS's SDKs, as the environment says; the same as no command at all."""
    from rekognition_emulator.cli import serving  # noqa: PLC0415 - the other commands need neither HTTP nor SQL

    serving.serve(host, port)


@app.command()
def evaluate(  # noqa: PLR0913 - an argument is an option of the command line
    *,
    pairs: Annotated[Path | None, _PAIRS] = None,
    images: Annotated[Path | None, _IMAGES] = None,
    album: Annotated[Path | None, _ALBUM] = None,
    selfies: Annotated[Path | None, _SELFIES] = None,
    json_file: Annotated[Path | None, _JSON] = None,
    plot_file: Annotated[Path | None, _PLOT] = None,
    face: Annotated[FaceChoice, _FACE] = FaceChoice.LARGEST,
    workers: Annotated[int, _WORKERS] = _CORES,
) -> None:
    """Measure on labelled images how well the face model tells people apart, or what selfies find in an album."""
    way = Way(workers, face)
    with exits_with_message(*_MENDABLE):
        match pairs, images, album, selfies:
            case Path(), _, None, None:
                evaluate_pairs(pairs, images or pairs.parent, json_file, plot_file, way)
            case None, None, Path(), None:
                evaluate_album(album, json_file, plot_file, way)
            case None, None, Path(), Path():
                evaluate_selfies([], album, selfies, way, json_file=json_file, plot_file=plot_file)
            case _:
                raise typer.BadParameter(
                    "give either --pairs, with or without --images, or --album, with or without --selfies"
                )


@app.command(name="compare")
def compare_models(  # noqa: PLR0913 - an argument is an option of the command line
    *,
    model: Annotated[list[str], _MODELS],
    album: Annotated[Path, _EVENT],
    selfies: Annotated[Path, _SELFIES],
    json_file: Annotated[Path | None, _JSON] = None,
    plot_file: Annotated[Path | None, _PLOT] = None,
    face: Annotated[FaceChoice, _FACE] = FaceChoice.LARGEST,
    workers: Annotated[int, _WORKERS] = _CORES,
) -> None:
    """Measure what selfies find in an album, with several face models side by side."""
    with exits_with_message(*_MENDABLE):
        evaluate_selfies(model, album, selfies, Way(workers, face), json_file=json_file, plot_file=plot_file)


@app.command()
def calibrate(  # noqa: PLR0913 - an argument is an option of the command line
    *,
    album: Annotated[Path | None, _ALBUM] = None,
    unlabelled: Annotated[Path | None, _UNLABELLED] = None,
    collection: Annotated[list[str] | None, _CALIBRATED] = None,
    region: Annotated[str | None, _KNOWN_REGION] = None,
    json_file: Annotated[Path | None, _JSON] = None,
    face: Annotated[FaceChoice, _FACE] = FaceChoice.LARGEST,
    workers: Annotated[int, _WORKERS] = _CORES,
) -> None:
    """Measure which cosines of the face model mean which similarities: on labelled images, or without labels."""
    with exits_with_message(*_MENDABLE):
        match album, unlabelled, collection or None:
            case Path(), None, None:
                calibrate_on_album(album, json_file, Way(workers, face))
            case None, Path(), None:
                calibrate_on_images(unlabelled, json_file, workers)
            case None, None, list():
                calibrate_on_collections(collection or [], region, json_file)
            case _:
                raise typer.BadParameter("give one of --album, --unlabelled and --collection")


@app.command(name="export")
def export_(
    *,
    to: Annotated[Path, _TO],
    collection: Annotated[list[str] | None, _COLLECTIONS] = None,
    every: Annotated[bool, _ALL] = False,
    region: Annotated[str | None, _REGION] = None,
) -> None:
    """Write collections into files, with everything that is known of their faces and users."""
    from rekognition_emulator.cli import transfer  # noqa: PLC0415 - what works on the database needs SQL, nothing else

    if every == bool(collection):
        raise typer.BadParameter("give either --collection, once or more, or --all")
    transfer.export_collections(collection or [], to, region)


@app.command(name="import")
def import_(
    files: Annotated[list[Path], _FILES],
    *,
    name: Annotated[str | None, _AS] = None,
    region: Annotated[str | None, _REGION] = None,
) -> None:
    """Make collections of files that export has written."""
    from rekognition_emulator.cli import transfer  # noqa: PLC0415 - likewise

    transfer.import_collections(files, name, region)


@app.command()
def backup(*, to: Annotated[Path, _BACKUP_TO]) -> None:
    """Copy the embedded database into a new folder, while it is in use or not."""
    from rekognition_emulator.cli import backup as command  # noqa: PLC0415 - likewise

    command.back_up_database(to)


@app.command()
def restore(*, backup: Annotated[Path, _FROM], force: Annotated[bool, _FORCE] = False) -> None:
    """Put a backup in the place of the embedded database, which no server may use."""
    from rekognition_emulator.cli import backup as command  # noqa: PLC0415 - likewise

    command.restore_database(backup, replace=force)


@app.command()
def verify(path: Annotated[Path | None, _VERIFIED] = None) -> None:
    """Check the database, or a file that export or a folder that backup has written."""
    from rekognition_emulator.cli import backup as command  # noqa: PLC0415 - likewise

    command.verify(path)


@app.command()
def erase() -> None:
    """Remove from the disk what deleted faces, users and collections have left in the files of the database."""
    from rekognition_emulator.cli import erasure as command  # noqa: PLC0415 - likewise

    command.erase_deleted()


@app.command()
def index_album(  # noqa: PLR0913 - an argument is an option of the command line
    source: Annotated[str, _SOURCE],
    *,
    collection: Annotated[str, _COLLECTION],
    endpoint_url: Annotated[str | None, _ENDPOINT] = None,
    s3_endpoint_url: Annotated[str | None, _S3_ENDPOINT] = None,
    region: Annotated[str | None, _CLIENT_REGION] = None,
    max_faces: Annotated[int | None, _MAX_FACES] = None,
    quality_filter: Annotated[Literal["NONE", "AUTO", "LOW", "MEDIUM", "HIGH"] | None, _QUALITY] = None,
    journal: Annotated[Path | None, _JOURNAL] = None,
    report: Annotated[Path | None, _REPORT] = None,
    exclude: Annotated[list[str] | None, _EXCLUDE] = None,
    shrink: Annotated[bool, _SHRINK] = False,
    convert: Annotated[bool, _CONVERT] = False,
    prune: Annotated[bool, _PRUNE] = False,
    workers: Annotated[int, _REQUESTS] = 8,
) -> None:
    """Index all images of a folder, here or in S3, into a collection of this server or of AWS."""
    from rekognition_emulator.cli.album import command  # noqa: PLC0415 - nothing else needs boto3

    command.index_album(
        source,
        command.IndexOptions(collection, max_faces, quality_filter),
        command.Handling(exclude or (), shrink=shrink, convert=convert, prune=prune),
        endpoint_url=endpoint_url,
        s3_endpoint_url=s3_endpoint_url,
        region=region,
        journal=journal,
        report=report,
        workers=workers,
    )


@app.command()
def train_attributes(
    *,
    labels: Annotated[Path, _LABELS],
    images: Annotated[Path, _LABELLED],
    workers: Annotated[int, _WORKERS] = _CORES,
) -> None:
    """Teach a server to tell glasses, beards and covered faces, on images that you have labelled."""
    from rekognition_emulator.cli import train_attributes as command  # noqa: PLC0415 - likewise

    with exits_with_message(*_MENDABLE):
        command.train(labels, images, workers)


@app.command()
def reembed(  # noqa: PLR0913 - an argument is an option of the command line
    *,
    collection: Annotated[str, _KNOWN],
    to: Annotated[str | None, _TO_MODEL] = None,
    confirm: Annotated[bool, _CONFIRM] = False,
    rollback: Annotated[bool, _ROLLBACK] = False,
    status: Annotated[bool, _STATUS] = False,
    region: Annotated[str | None, _KNOWN_REGION] = None,
    workers: Annotated[int, _WORKERS] = _CORES,
) -> None:
    """Give a collection another face model: faces, images and users keep their ids."""
    from rekognition_emulator.cli import reembedding  # noqa: PLC0415 - likewise

    match to, confirm, rollback, status:
        case str(), False, False, False:
            reembedding.reembed_to(collection, region, to, workers)
        case None, True, False, False:
            reembedding.confirm(collection, region)
        case None, False, True, False:
            reembedding.go_back(collection, region, workers)
        case None, False, False, True:
            reembedding.show_status(collection, region)
        case _:
            raise typer.BadParameter("give one of --to, --confirm, --rollback and --status")


@app.command()
def audit(  # noqa: PLR0913 - an argument is an option of the command line
    *,
    collection: Annotated[str | None, _AUDITED] = None,
    since: Annotated[str | None, _SINCE] = None,
    key: Annotated[str | None, _AUDIT_KEY] = None,
    operation: Annotated[str | None, _OPERATION] = None,
    limit: Annotated[int | None, _LATEST] = None,
    json_lines: Annotated[bool, _JSON_LINES] = False,
) -> None:
    """Say who did what, the latest last."""
    from rekognition_emulator.cli import audit as command  # noqa: PLC0415 - likewise

    command.show_audit_log(
        collection=collection, since=since, key=key, operation=operation, limit=limit, json_lines=json_lines
    )
