"""Fits the thresholds of ``domain/expressions.py`` to labelled faces, and sets them beside those that are shipped.

Each is a logistic regression of a label on one measure of a mesh, on the half of the faces that is there to fit on, as
Platt (1999) has it: with targets a little short of 0 and 1, by how few faces there are, so that two classes which a
measure tells apart without an error give a confidence that so few faces can carry. Where one class is rare, both weigh
the same.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.labelled_faces import Half, LabelledFace, found, photographs
from benchmarks.report import Section
from rekognition_emulator.domain import expressions
from rekognition_emulator.domain.expressions import Threshold
from rekognition_emulator.domain.mesh import Mesh
from rekognition_emulator.inference.details.face_mesh import FaceMeshNetwork
from rekognition_emulator.inference.engine import FaceDetector
from rekognition_emulator.models.catalogue import FACE_LANDMARKER, FACE_MESH

ITERATIONS: Final = 50
"""Of Newton's method, which needs a dozen."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A threshold that is fitted.

    Attributes:
        name: of the constant.
        label: that it is fitted to.
        meshes: names of the models whose meshes are measured.
        measure: of a mesh and the aspect of its image.
        balanced: whether both classes weigh the same.
    """

    name: str
    label: str
    meshes: Sequence[str]
    measure: Callable[[Mesh, float], float]
    balanced: bool = False


RULES: Final = (
    Rule("SMILE", "smile", (FACE_LANDMARKER.name,), lambda mesh, _: expressions.smile_strength(mesh.blendshapes or {})),
    Rule("SMILE_BY_SHAPE", "smile", (FACE_MESH.name,), expressions.smile_shape),
    Rule("MOUTH_OPEN", "mouth_open", (FACE_LANDMARKER.name, FACE_MESH.name), expressions.lip_gap),
    Rule("EYES_OPEN", "eyes_open", (FACE_LANDMARKER.name,), expressions.lid_gap, balanced=True),
    Rule("EYES_OPEN_BY_IRISES", "eyes_open", (FACE_MESH.name,), expressions.lid_gap, balanced=True),
)


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A face with the mesh of one model.

    Attributes:
        model: the model's name.
        aspect: the image's width divided by its height.
    """

    face: LabelledFace
    model: str
    mesh: Mesh
    aspect: float


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
    yes, no = weights[labels].sum(), weights[~labels].sum()
    targets = np.where(labels, (yes + 1) / (yes + 2), 1 / (no + 2))
    if balanced:
        weights = weights * np.where(labels, 1 / yes, 1 / no) * (yes + no) / 2
    middle, spread = measures.mean(), measures.std()
    inputs = np.stack([(measures - middle) / spread, np.ones(len(measures))], axis=1)
    curve = np.zeros(2)
    for _ in range(ITERATIONS):
        chances = 1 / (1 + np.exp(-inputs @ curve))
        curvature = (inputs * (weights * chances * (1 - chances))[:, None]).T @ inputs
        curve += np.linalg.solve(curvature, inputs.T @ (weights * (targets - chances)))
    return Threshold(at=float(middle - curve[1] * spread / curve[0]), slope=float(curve[0] / spread))


def auc(measures: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """Returns how often a sample of the one class measures more than one of the other: 0.5 for chance, 1 for always."""
    yes, no = measures[labels][:, None], measures[~labels]
    return float((yes > no).mean() + (yes == no).mean() / 2)


def fit_meshes(folder: Path, detector: FaceDetector, networks: Mapping[str, FaceMeshNetwork]) -> list[Fitted]:
    """Fits each network's meshes to the faces that rules are fitted on, as far as the detector finds them.

    Args:
        folder: of the photographs.
        detector: finds the faces.
        networks: by the names of their models.
    """
    fitted = []
    for image, faces in photographs(folder, Half.FIT):
        detections = detector.detect(image)
        places = [found(face, [detection.box for detection in detections]) for face in faces]
        for name, network in networks.items():
            meshes = network.fit(image, detections)
            fitted += [
                Fitted(face, name, mesh, image.width_px / image.height_px)
                for face, place in zip(faces, places, strict=True)
                if place is not None and (mesh := meshes[place])
            ]
    return fitted


def measure_rules(fitted: Sequence[Fitted]) -> Section:
    """Fits the rules whose meshes are all there."""
    known = {each.model for each in fitted}
    return Section(
        "Thresholds, on the half to fit them on",
        "How well a measure alone tells the labels apart (AUC: 0.5 is chance), the threshold and the slope of the log "
        "odds that are fitted, those that are shipped, and how often these agree with the labels.",
        ["threshold", "meshes", "faces", "of them no", "AUC", "fitted", "shipped", "agree"],
        [_fit(rule, fitted) for rule in RULES if known.issuperset(rule.meshes)],
    )


def _fit(rule: Rule, fitted: Sequence[Fitted]) -> list[str]:
    used = [each for each in fitted if each.model in rule.meshes and each.face.labels.get(rule.label) in ("yes", "no")]
    measures = np.array([rule.measure(each.mesh, each.aspect) for each in used])
    labels = np.array([each.face.labels[rule.label] == "yes" for each in used])
    weights = np.full(len(used), 1 / len(rule.meshes))  # a face counts once, however many meshes it has
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
