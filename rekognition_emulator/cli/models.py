"""``models``: shows what is known of models, and fetches and checks their weights."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Column, Table

from rekognition_emulator.cli.start import exits_with_message, read_settings, user_name
from rekognition_emulator.inference.inventory import State, find_model, known_models, pull, weights_of
from rekognition_emulator.inference.selection import ModelFiles, choose_detector, choose_face_mesh, find_embedder
from rekognition_emulator.models.catalogue import RECOMMENDED
from rekognition_emulator.models.downloads import PublisherUnreachable
from rekognition_emulator.models.licences import Acceptance, read_acceptances, record_acceptance
from rekognition_emulator.models.manifest import read_manifests
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
def list_models() -> None:
    """Show every model, what is at hand of it and which are chosen."""
    settings = read_settings()
    files = settings.model_files
    # A terminal has 80 columns: info has what does not fit. A name is copied, so it stays in one piece.
    titles = ("role", "licence", "weights", "calibration", "chosen")
    table = Table(Column("name", no_wrap=True), *titles, box=SIMPLE_HEAD, pad_edge=False)
    with exits_with_message(ModelUnusable):
        chosen, trouble = _chosen(settings)
        for model in known_models(files).values():
            states = {each.state: None for each in weights_of(model, files)}
            accepted = files.accepts(model)
            estimates = isinstance(model, Estimator) and accepted and not {State.ABSENT, State.WRONG} & states.keys()
            table.add_row(
                model.name,
                model.role,
                model.profile if model.profile == Profile.PERMISSIVE else "accepted" if accepted else "not accepted",
                ", ".join(states),
                (model.evidence if model.calibration else "none") if isinstance(model, Embedder) else "",
                "yes" if model.name in chosen or estimates else "",
            )
    Console().print(table)
    if trouble:
        typer.echo(trouble)


@models.command("info")
def show_model(name: Annotated[str, _NAME]) -> None:
    """Show all that is known of a model."""
    files = read_settings().model_files
    with exits_with_message(ModelUnusable):
        model = find_model(name, files)
        for title, value in _known_of(model, files):
            typer.echo(f"{title:<12}  {value}")  # no table: nobody could copy what it breaks into lines


@models.command("verify")
def verify_models(names: Annotated[list[str] | None, _NAMES] = None) -> None:
    """Compare weights with their SHA-256: those of the models named, else all that are at hand."""
    files = read_settings().model_files
    wrong = False
    with exits_with_message(ModelUnusable):
        for model in [find_model(name, files) for name in names] if names else known_models(files).values():
            for file, weights in zip(model.files, weights_of(model, files), strict=True):
                match weights.state:
                    case State.ABSENT if names:
                        wrong = True
                        typer.echo(f"{model.name}: {file} is absent.")
                    case State.VERIFIED:
                        typer.echo(f"{model.name}: {weights.path} is what it should be.")
                    case State.UNVOUCHED:
                        typer.echo(f"{model.name}: nobody has said the SHA-256 of {weights.path}, {weights.found}.")
                    case State.WRONG:
                        wrong = True
                        typer.echo(
                            f"{model.name}: {weights.path} has the SHA-256 {weights.found} instead of "
                            f"{weights.expected}: it is damaged, cut short or another file."
                        )
                    case _:
                        pass
    if wrong:
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
    with exits_with_message(ModelUnusable):
        known = known_models(files)
    had: set[str] = set()
    unreachable: dict[str, Model] = {}
    hindered: dict[str, Model] = {}
    for name in RECOMMENDED:
        model = known[name]
        if model.instead_of in had:
            continue
        try:
            _pull(model, files, settings.recommended_dir, settings)
        except PublisherUnreachable:
            unreachable[name] = model
        except ModelUnusable as error:
            hindered[name] = model
            typer.echo(error, err=True)
        else:
            had.add(name)
            unreachable.pop(str(model.instead_of), None)
            hindered.pop(str(model.instead_of), None)
    if not unreachable | hindered:
        return
    roles = {model.role for model in (unreachable | hindered).values()}
    served = []
    if roles & {Detector.role, Embedder.role}:
        served.append("what is installed serves: MTCNN finds faces, dlib tells people apart")
    if roles & {FaceMesh.role, Estimator.role}:
        served.append("less is told of a face")
    meanwhile = f"Until they are there, {', and '.join(served)}."
    if unreachable:
        names = " and ".join(", ".join(unreachable).rsplit(", ", 1))
        typer.echo(f"The publishers of {names} cannot be reached. {meanwhile}", err=True)
    else:
        typer.echo(meanwhile, err=True)
    raise typer.Exit(1)


def _pull(model: Model, files: ModelFiles, folder: Path, settings: Settings) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(model.name, total=None)
        pulled = pull(
            model,
            files,
            folder,
            settings.model_mirrors,
            lambda at_hand, whole: bar.update(task, completed=at_hand, total=whole),
        )
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
    word = Acceptance(model.name, model.licence, datetime.now(UTC).date().isoformat(), user_name())
    record_acceptance(files.models_dir, word)


def _chosen(settings: Settings) -> tuple[set[str | None], str | None]:
    """Returns the names of what a server with these settings works with, and why it has no face model, if so.

    Estimators serve side by side, wherever they are at hand.
    """
    files = settings.model_files
    chosen = {choose_detector(settings.detector, files), choose_face_mesh(files)}
    try:
        chosen.add(find_embedder(settings.face_model, read_manifests(files.models_dir), files).name)
    except ModelUnusable as error:
        return chosen, str(error)
    return chosen, None


def _sources_of(model: Model) -> Iterator[tuple[str, object]]:
    yield "source", model.source
    for url in model.urls:
        yield "address", url
    if model.wheel:
        yield "wheel", f"{model.wheel.project} {model.wheel.version}, SHA-256 {model.wheel.sha256}"


def _known_of(model: Model, files: ModelFiles) -> Iterator[tuple[str, object]]:
    """Yields what is known of a model, by title."""
    yield "name", model.name
    yield "role", model.role
    yield "licence", model.licence
    yield "profile", model.profile
    for each in read_acceptances(files.models_dir):
        if each.covers(model):
            yield "accepted", f"on {each.date} by {each.user}"
    yield "accuracy", model.accuracy
    yield from _sources_of(model)
    for (file, sha256), weights in zip(model.files.items(), weights_of(model, files), strict=True):
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
