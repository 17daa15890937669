"""Models as operators see them: which there are, which serve, whose licence is accepted, and what is recommended."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rekognition_emulator.admin.inventory import State, Weights, find_model, known_models, weights_of
from rekognition_emulator.inference.selection import ModelFiles, choose_detector, choose_face_mesh, find_embedder
from rekognition_emulator.models.catalogue import RECOMMENDED
from rekognition_emulator.models.downloads import PublisherUnreachable
from rekognition_emulator.models.licences import Acceptance, read_acceptances, record_acceptance
from rekognition_emulator.models.manifest import read_manifests
from rekognition_emulator.models.records import Estimator, Model
from rekognition_emulator.models.weights import ModelUnusable


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """What is at hand of a model, and whether a server works with it.

    Attributes:
        weights: of each of its files.
        is_accepted: whether its licence is, or need not be.
        is_chosen: whether a server that starts now works with it.
    """

    model: Model
    weights: Sequence[Weights]
    is_accepted: bool
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class ModelList:
    """All models, and why no face model can serve, if so."""

    models: Sequence[ModelStatus]
    trouble: str | None


@dataclass(frozen=True, slots=True)
class ModelDetails:
    """All that is known of a model.

    Attributes:
        acceptance: of its licence, as recorded; None where there is none, or a setting accepts it.
        weights: of each of its files.
    """

    model: Model
    acceptance: Acceptance | None
    weights: Sequence[Weights]


@dataclass(frozen=True, slots=True)
class VerifiedFile:
    """A file of a model, compared with its SHA-256.

    Attributes:
        file: its name.
        weights: what lies there.
        is_faulty: it is not what it should be, or is absent although its model was asked for.
    """

    model: Model
    file: str
    weights: Weights
    is_faulty: bool


@dataclass(frozen=True, slots=True)
class RecommendedModels:
    """Which of the recommended models could not be fetched, where no other has come in their place.

    Attributes:
        unreachable: whose publishers do not answer.
        unusable: that something else is the matter with.
    """

    unreachable: Sequence[Model]
    unusable: Sequence[Model]

    @property
    def missing(self) -> Sequence[Model]:
        """All of them."""
        return [*self.unreachable, *self.unusable]


def list_models(files: ModelFiles, detector: str, face_model: str) -> ModelList:
    """Returns every model with what is at hand of it.

    Args:
        files: where they may lie, and which licences are accepted.
        detector: the setting.
        face_model: likewise.

    Raises:
        ModelUnusable: a manifest is not what it should be, or weights cannot be read.
    """
    chosen = {choose_detector(detector, files), choose_face_mesh(files)}
    trouble = None
    try:
        chosen.add(find_embedder(face_model, read_manifests(files.models_dir), files).name)
    except ModelUnusable as error:
        trouble = str(error)
    return ModelList([_status(model, files, chosen) for model in known_models(files).values()], trouble)


def describe_model(name: str, files: ModelFiles) -> ModelDetails:
    """Returns all that is known of a model.

    Raises:
        ModelUnusable: there is no such model, a manifest is not what it should be, or weights cannot be read.
    """
    model = find_model(name, files)
    acceptance = next((each for each in read_acceptances(files.models_dir) if each.covers(model)), None)
    return ModelDetails(model, acceptance, weights_of(model, files))


def verify_models(names: Sequence[str], files: ModelFiles) -> Iterator[VerifiedFile]:
    """Compares the weights of these models, or without names of all that are at hand, with their SHA-256.

    Raises:
        ModelUnusable: there is no such model, a manifest is not what it should be, or weights cannot be read.
    """
    for model in [find_model(name, files) for name in names] if names else known_models(files).values():
        for file, weights in zip(model.files, weights_of(model, files), strict=True):
            is_absent = weights.state is State.ABSENT
            if names or not is_absent:
                yield VerifiedFile(model, file, weights, is_absent or weights.state is State.WRONG)


def accept_licence(model: Model, files: ModelFiles, user: str) -> None:
    """Records that somebody has accepted a model's licence today.

    Raises:
        ModelUnusable: it cannot be written.
    """
    today = datetime.now(UTC).date().isoformat()
    record_acceptance(files.models_dir, Acceptance(model.name, model.licence, today, user))


def pull_recommended(files: ModelFiles, fetch: Callable[[Model, Path], None], folder: Path) -> RecommendedModels:
    """Fetches the best models that anybody may use; what hinders one hinders no other.

    A model that stands for another is fetched only where that one cannot be had.

    Args:
        files: where they may lie already.
        fetch: sees to it that a model's weights are at hand, and puts those that are not into the folder. Raises
            ModelUnusable.
        folder: where to.

    Raises:
        ModelUnusable: a manifest is not what it should be.
    """
    known = known_models(files)
    had: set[str] = set()
    unreachable: dict[str, Model] = {}
    unusable: dict[str, Model] = {}
    for name in RECOMMENDED:
        model = known[name]
        if model.instead_of in had:
            continue
        try:
            fetch(model, folder)
        except PublisherUnreachable:
            unreachable[name] = model
        except ModelUnusable:
            unusable[name] = model
        else:
            had.add(name)
            unreachable.pop(str(model.instead_of), None)
            unusable.pop(str(model.instead_of), None)
    return RecommendedModels([*unreachable.values()], [*unusable.values()])


def _status(model: Model, files: ModelFiles, chosen: set[str | None]) -> ModelStatus:
    weights, is_accepted = weights_of(model, files), files.accepts(model)
    # Estimators serve side by side, wherever they are at hand.
    is_at_hand = not {State.ABSENT, State.WRONG} & {each.state for each in weights}
    estimates = isinstance(model, Estimator) and is_accepted and is_at_hand
    return ModelStatus(model, weights, is_accepted, model.name in chosen or estimates)
