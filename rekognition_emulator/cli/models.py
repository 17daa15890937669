"""``models``: shows what is known of models, and fetches and checks their weights."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from rekognition_emulator.admin.inventory import State, find_model, pull
from rekognition_emulator.admin.models import (
    ModelDetails,
    RecommendedModels,
    accept_licence,
    describe_model,
    list_models,
    pull_recommended,
    verify_models,
)
from rekognition_emulator.cli.progress import bar, copying
from rekognition_emulator.cli.start import exits_with_message, read_settings, user_name
from rekognition_emulator.inference.selection import ModelFiles
from rekognition_emulator.models.downloads import PublisherUnreachable
from rekognition_emulator.models.records import Detector, Embedder, Estimator, FaceMesh, Model, Profile
from rekognition_emulator.models.weights import ModelUnusable
from rekognition_emulator.settings import Settings

_RECOMMENDED = "recommended"

models = typer.Typer(help="Weights and licences of face models.", no_args_is_help=True)

_NAME = typer.Argument(help="A model's name, as list shows it.", show_default=False)
_NAMES = typer.Argument(help="Names of models, as list shows them.", show_default=False)
_PULLED = typer.Argument(help="Names of models, as list shows them, or `recommended`.", show_default=False)
_ACCEPT = typer.Option("--accept-licence", metavar="", help="Accept the licences of models of the research profile.")


@models.command("list")
def show_models() -> None:
    """Show every model, what is at hand of it and which are chosen."""
    settings = read_settings()
    # A terminal has 80 columns: info has what does not fit. A name is copied, so it stays in one piece.
    titles = ("role", "licence", "weights", "calibration", "chosen")
    table = Table(Column("name", no_wrap=True), *titles, box=SIMPLE_HEAD, pad_edge=False)
    with exits_with_message(ModelUnusable):
        listed = list_models(settings.model_files, settings.detector, settings.face_model)
    for each in listed.models:
        model, accepted = each.model, "accepted" if each.is_accepted else "not accepted"
        table.add_row(
            model.name,
            model.role,
            model.profile if model.profile == Profile.PERMISSIVE else accepted,
            ", ".join(dict.fromkeys(weights.state for weights in each.weights)),
            (model.evidence if model.calibration else "none") if isinstance(model, Embedder) else "",
            "yes" if each.is_chosen else "",
        )
    Console().print(table)
    if listed.trouble:
        typer.echo(listed.trouble)


@models.command("info")
def show_model(name: Annotated[str, _NAME]) -> None:
    """Show all that is known of a model."""
    files = read_settings().model_files
    with exits_with_message(ModelUnusable):
        details = describe_model(name, files)
    for title, value in _known_of(details):
        typer.echo(f"{title:<12}  {value}")  # no table: nobody could copy what it breaks into lines


@models.command("verify")
def verify_weights(names: Annotated[list[str] | None, _NAMES] = None) -> None:
    """Compare weights with their SHA-256: those of the models named, else all that are at hand."""
    is_faulty = False
    with exits_with_message(ModelUnusable):
        for verified in verify_models(names or [], read_settings().model_files):
            is_faulty |= verified.is_faulty
            name, weights = verified.model.name, verified.weights
            match weights.state:
                case State.ABSENT:
                    typer.echo(f"{name}: {verified.file} is absent.")
                case State.VERIFIED:
                    typer.echo(f"{name}: {weights.path} is what it should be.")
                case State.UNPINNED:
                    typer.echo(f"{name}: nobody has said the SHA-256 of {weights.path}, {weights.found}.")
                case State.WRONG:
                    typer.echo(
                        f"{name}: {weights.path} has the SHA-256 {weights.found} instead of {weights.expected}: it is "
                        "damaged, cut short or another file."
                    )
    if is_faulty:
        raise typer.Exit(1)


@models.command("pull")
def pull_models(
    names: Annotated[list[str], _PULLED],
    *,
    accept_licence: Annotated[bool, _ACCEPT] = False,
) -> None:
    """Fetch weights into REKOGNITION_MODELS_DIR, unless they are at hand.

    `recommended` stands for the best models that anybody may use; they go into REKOGNITION_RECOMMENDED_DIR.
    """
    settings = read_settings()
    files = settings.model_files
    with exits_with_message(ModelUnusable):
        for model in [find_model(name, files) for name in names if name != _RECOMMENDED]:
            if not files.accepts(model):
                _ask(model, files, accepted=accept_licence)
            _pull(model, files, files.models_dir, settings)
    if _RECOMMENDED in names:
        _pull_recommended(files, settings)


def _pull_recommended(files: ModelFiles, settings: Settings) -> None:
    """Pulls each of the recommended models; what hinders one is said in a line and hinders no other."""

    def fetch(model: Model, folder: Path) -> None:
        try:
            _pull(model, files, folder, settings)
        except PublisherUnreachable:  # those are said in one line
            raise
        except ModelUnusable as error:
            typer.echo(error, err=True)
            raise

    with exits_with_message(ModelUnusable):
        recommended = pull_recommended(files, fetch, settings.recommended_dir)
    if recommended.missing:
        typer.echo(_without(recommended), err=True)
        if recommended.unreachable:
            _tell_addresses(recommended.unreachable, settings.recommended_dir)
        raise typer.Exit(1)


def _without(recommended: RecommendedModels) -> str:
    """Returns what serves until the recommended models are there, and whose publishers cannot be reached."""
    roles = {model.role for model in recommended.missing}
    served = []
    if roles & {Detector.role, Embedder.role}:
        served.append("what is installed serves: MTCNN finds faces, dlib tells people apart")
    if roles & {FaceMesh.role, Estimator.role}:
        served.append("less is told of a face")
    meanwhile = f"Until they are there, {', and '.join(served)}."
    if not recommended.unreachable:
        return meanwhile
    names = " and ".join(", ".join(model.name for model in recommended.unreachable).rsplit(", ", 1))
    return f"The publishers of {names} cannot be reached. {meanwhile}"


def _tell_addresses(unreachable: Iterable[Model], folder: Path) -> None:
    typer.echo(f"Files that another machine fetches from these addresses belong into {folder}:", err=True)
    for model in unreachable:
        for file in model.files:
            typer.echo(f"  {file}: {' or '.join(model.addresses(file))}", err=True)


def _pull(model: Model, files: ModelFiles, folder: Path, settings: Settings) -> None:
    with copying() as bars:
        pulled = pull(model, files, folder, settings.model_mirrors, bar(bars, model.name))
    if model.package:
        typer.echo(f"{model.name} comes with the installation, in the package {model.package}.")
        return
    for file, weights in zip(model.files, pulled.weights, strict=True):
        how = "was fetched" if file in pulled.fetched else "is at hand"
        address = pulled.fetched.get(file)
        origin = f", from {address} (licence: {model.licence})" if address else ""
        typer.echo(f"{model.name}: {weights.path} {how} and is verified{origin}.")
    if pulled.manifest:
        (weights,) = pulled.weights
        typer.echo(
            f"Its publisher gives no SHA-256. {pulled.manifest} says now that it is {weights.found}, and no other file "
            "will do."
        )


def _ask(model: Model, files: ModelFiles, *, accepted: bool) -> None:
    """States a licence and records that it is accepted, or ends the program."""
    typer.echo(
        f"The licence of {model.name} is: {model.licence}. Its publisher may not allow commercial use (profile "
        f"{model.profile}; {model.source})."
    )
    if not accepted and not (sys.stdin.isatty() and typer.confirm("Do you accept it?")):
        sys.exit(f"{model.name} was not fetched: --accept-licence accepts its licence.")
    accept_licence(model, files, user_name())


def _sources_of(model: Model) -> Iterator[tuple[str, object]]:
    yield "source", model.source
    for url in model.urls:
        yield "address", url
    if model.wheel:
        yield "wheel", f"{model.wheel.project} {model.wheel.version}, SHA-256 {model.wheel.sha256}"


def _known_of(details: ModelDetails) -> Iterator[tuple[str, object]]:
    """Yields what is known of a model, by title."""
    model = details.model
    yield "name", model.name
    yield "role", model.role
    yield "licence", model.licence
    yield "profile", model.profile
    if details.acceptance:
        yield "accepted", f"on {details.acceptance.date} by {details.acceptance.user}"
    yield "accuracy", model.accuracy
    yield from _sources_of(model)
    for (file, sha256), weights in zip(model.files.items(), details.weights, strict=True):
        yield "file", weights.path or file
        yield "SHA-256", sha256 or "not stated by the publisher"
        if file in model.checksums:
            yield "published", model.checksums[file]
        if file in model.sizes:
            yield "bytes", f"{model.sizes[file]:,}"
        yield "state", weights.state
    if isinstance(model, Embedder):
        yield "version", model.version
        yield "dimension", model.dimension
        yield "input", f"{model.side_px} × {model.side_px} px, {model.colours}, {model.layout}"
        yield "channels", f"(value − {model.mean:g}) × {model.scale:g}"
        yield "template", model.template
        yield "mirror image", "averaged in" if model.mirrored else "not used"
        if model.calibration:
            yield "calibration", f"{model.evidence}, on: {model.calibration_source}"
        else:
            yield "calibration", "none yet: rekognition-emulator calibrate measures it"
        for cosine, similarity in model.calibration or ():
            yield "curve", f"cosine {cosine:.3f} is similarity {similarity:g}"
