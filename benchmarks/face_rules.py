"""Fits the rules of ``domain/expressions.py`` to labelled faces, and sets them beside those that are shipped.

Each threshold is a logistic regression of a label on one measure of a mesh, on the half of the faces that is there to
fit on, as Platt (1999) has it: with targets a little short of 0 and 1, by how few faces there are, so that two classes
which a measure tells apart without an error give a confidence that so few faces can carry. Where one class is rare,
both weigh the same.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.labelled_faces import Half, LabelledFace, found, photographs
from benchmarks.report import Section
from rekognition_emulator.domain import expressions
from rekognition_emulator.domain.attributes import Emotion
from rekognition_emulator.domain.expressions import Threshold
from rekognition_emulator.domain.mesh import Mesh
from rekognition_emulator.inference.details.expression import EMOTIONS, ExpressionNetwork
from rekognition_emulator.inference.details.face_mesh import FaceMeshNetwork
from rekognition_emulator.inference.engine import FaceDetector
from rekognition_emulator.models.catalogue import FACE_LANDMARKER, FACE_MESH

ITERATIONS: Final = 50
"""Of Newton's method, which needs a dozen."""


MESHES: Final = (FACE_LANDMARKER.name, FACE_MESH.name)
"""The models whose meshes most rules are for."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A threshold that is fitted.

    Attributes:
        name: of the constant.
        label: that it is fitted to.
        measure: of a mesh and the aspect of its image.
        balanced: whether both classes weigh the same.
        meshes: names of the models whose meshes are measured.
    """

    name: str
    label: str
    measure: Callable[[Mesh, float], float]
    balanced: bool = False
    meshes: Sequence[str] = MESHES


RULES: Final = (
    Rule("SMILE", "smile", expressions.smile_shape),
    Rule("MOUTH_OPEN", "mouth_open", expressions.lip_gap),
    Rule("EYES_OPEN", "eyes_open", expressions.lid_gap, balanced=True, meshes=MESHES[:1]),
    Rule("EYES_OPEN_BY_ATTENTION", "eyes_open", expressions.lid_gap, balanced=True, meshes=MESHES[1:]),
)


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A face with the mesh of one model.

    Attributes:
        model: the model's name.
        aspect: the image's width divided by its height.
        happy: how likely the network for expressions finds it that the face is happy, 0…1.
    """

    face: LabelledFace
    model: str
    mesh: Mesh
    aspect: float
    happy: float


def fit_threshold(
    measures: NDArray[np.float64], labels: NDArray[np.bool_], weights: NDArray[np.float64], *, balanced: bool
) -> Threshold:
    """Fits a logistic curve.

    Args:
        measures: (n,), of each sample.
        labels: (n,), whether the answer is yes; both must be there.
        weights: (n,), how much each sample counts.
        balanced: whether both classes are made to weigh the same.
    """
    slope, constant = fit_logistic(measures[:, None], labels, weights, balanced=balanced)
    return Threshold(at=float(-constant / slope), slope=float(slope))


def fit_logistic(
    measures: NDArray[np.float64], labels: NDArray[np.bool_], weights: NDArray[np.float64], *, balanced: bool
) -> NDArray[np.float64]:
    """Returns what each of several measures counts in the log odds, and a constant.

    Args:
        measures: (n, k).
        labels: as of ``fit_threshold``.
        weights: likewise.
        balanced: likewise.
    """
    yes, no = weights[labels].sum(), weights[~labels].sum()
    targets = np.where(labels, (yes + 1) / (yes + 2), 1 / (no + 2))
    if balanced:
        weights = weights * np.where(labels, 1 / yes, 1 / no) * (yes + no) / 2
    middle, spread = measures.mean(axis=0), measures.std(axis=0)
    inputs = np.column_stack([(measures - middle) / spread, np.ones(len(measures))])
    curve = np.zeros(inputs.shape[1])
    for _ in range(ITERATIONS):
        chances = 1 / (1 + np.exp(-inputs @ curve))
        curvature = (inputs * (weights * chances * (1 - chances))[:, None]).T @ inputs
        curve += np.linalg.solve(curvature, inputs.T @ (weights * (targets - chances)))
    counts = curve[:-1] / spread
    return np.append(counts, curve[-1] - counts @ middle)


def auc(measures: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """Returns how often a sample of the one class measures more than one of the other: 0.5 for chance, 1 for always."""
    yes, no = measures[labels][:, None], measures[~labels]
    return float((yes > no).mean() + (yes == no).mean() / 2)


def fit_meshes(
    folder: Path, detector: FaceDetector, networks: Mapping[str, FaceMeshNetwork], expression: ExpressionNetwork
) -> list[Fitted]:
    """Fits each network's meshes to the faces that rules are fitted on, as far as the detector finds them.

    Args:
        folder: of the photographs.
        detector: finds the faces.
        networks: by the names of their models.
        expression: scores what faces show.
    """
    fitted = []
    for image, faces in photographs(folder, Half.FIT):
        detections = detector.detect(image)
        places = [found(face, [detection.box for detection in detections]) for face in faces]
        happy = expression.scores(image, detections)[:, EMOTIONS.index(Emotion.HAPPY)]
        for name, network in networks.items():
            meshes = network.fit(image, detections)
            fitted += [
                Fitted(face, name, mesh, image.width_px / image.height_px, float(happy[place]))
                for face, place in zip(faces, places, strict=True)
                if place is not None and (mesh := meshes[place])
            ]
    return fitted


def measure_rules(fitted: Sequence[Fitted]) -> Section:
    """Fits the thresholds whose meshes are all there."""
    known = {each.model for each in fitted}
    return Section(
        "Thresholds, on the half to fit them on",
        "How well a measure alone tells the labels apart (AUC: 0.5 is chance), the threshold and the slope of the log "
        "odds that are fitted, those that are shipped, and how often these agree with the labels. A face counts once, "
        "though it has several meshes.",
        ["threshold", "meshes", "faces", "of them no", "AUC", "fitted", "shipped", "agree"],
        [_fit(rule, fitted) for rule in RULES if known.issuperset(rule.meshes)],
    )


def _fit(rule: Rule, fitted: Sequence[Fitted]) -> list[str]:
    used, labels, weights = _labelled(rule.label, [each for each in fitted if each.model in rule.meshes])
    measures = np.array([rule.measure(each.mesh, each.aspect) for each in used])
    threshold = fit_threshold(measures, labels, weights, balanced=rule.balanced)
    shipped: Threshold = getattr(expressions, rule.name)
    agree = np.array([shipped.judge(measure).value for measure in measures]) == labels
    faces = {(each.face.file, each.face.box): label for each, label in zip(used, labels, strict=True)}
    return [
        rule.name,
        " and ".join(rule.meshes),
        str(len(faces)),
        str(sum(not label for label in faces.values())),
        f"{auc(measures, labels):.3f}",
        f"{threshold.at:.3f}, {threshold.slope:.1f}",
        f"{shipped.at:.3f}, {shipped.slope:.1f}",
        f"{agree.mean():.1%}",
    ]


def measure_smile_weights(fitted: Sequence[Fitted]) -> Section:
    """Fits what a mouth's shape and a happy face count in a smile."""
    used, labels, weights = _labelled("smile", fitted)
    shapes = [expressions.smile(each.mesh, each.aspect) for each in used]
    together = [expressions.smile_if_happy(shape, each.happy) for shape, each in zip(shapes, used, strict=True)]
    odds = np.array(
        [
            (expressions.log_odds(shape.probability), expressions.log_odds(each.happy))
            for shape, each in zip(shapes, used, strict=True)
        ]
    )
    counts = fit_logistic(odds, labels, weights, balanced=False)
    rows = []
    for name, judged in (("shape alone", shapes), ("both", together)):
        agree = np.array([verdict.value for verdict in judged]) == labels
        rows.append(
            [name, f"{auc(np.array([each.probability for each in judged]), labels):.3f}", f"{agree.mean():.1%}"]
        )
    return Section(
        "A smile by its shape and by what the network for expressions sees",
        "On the same half. What the log odds of the one and of the other count, and a constant: fitted "
        f"{_listed(counts)}, shipped {_listed(expressions.SMILE_WEIGHTS)}.",
        ["judged by", "AUC", "agree"],
        rows,
    )


def _listed(numbers: Iterable[float]) -> str:
    return ", ".join(f"{number:.2f}" for number in numbers)


def _labelled(label: str, fitted: Sequence[Fitted]) -> tuple[list[Fitted], NDArray[np.bool_], NDArray[np.float64]]:
    """Returns those that have a label, whether it is yes, and how much each counts: a face once for all its meshes."""
    used = [each for each in fitted if each.face.labels.get(label) in ("yes", "no")]
    models = len({each.model for each in used})
    return used, np.array([each.face.labels[label] == "yes" for each in used]), np.full(len(used), 1 / models)
