"""What face details are worth, beside what people see and what AWS answers: ``python -m benchmarks.face_details``.

Faces that were labelled by eye are in two halves. Thresholds are fitted on one, by ``face_rules``; agreement is counted
on the other. AWS's own answers are those that others have published with their pictures.
"""

import argparse
import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist, mean
from typing import Any, Final, cast

from benchmarks import face_rules, report
from benchmarks.labelled_faces import Half, found, photographs
from benchmarks.photographs import add_folder
from rekognition_emulator.api import rekognition as api
from rekognition_emulator.domain.attributes import Attribute
from rekognition_emulator.domain.detection import BoundingBox
from rekognition_emulator.imaging.image import Image, decode
from rekognition_emulator.inference.details.expression import open_expression
from rekognition_emulator.inference.details.face_details import load_face_details
from rekognition_emulator.inference.details.face_mesh import FaceMeshNetwork, open_face_mesh
from rekognition_emulator.inference.engine import AttributeEstimator, FaceEngine
from rekognition_emulator.inference.pipeline import analyse
from rekognition_emulator.inference.selection import AUTO, ModelFiles, load_engine
from rekognition_emulator.models.catalogue import EXPRESSION, FACE_LANDMARKER, FACE_MESH
from rekognition_emulator.models.weights import ModelUnusable
from rekognition_emulator.operations.rendering import face_detail

MEMBERS: Final = {
    "Smile": "smile",
    "MouthOpen": "mouth_open",
    "EyesOpen": "eyes_open",
    "Gender": "gender",
    "Emotions": "emotion",
}
"""Member of FaceDetail → name of the label."""

BESIDE_AWS: Final = (*MEMBERS, "Eyeglasses", "Sunglasses", "Beard", "Mustache", "AgeRange")
"""What is compared with AWS's answers, beside pose and landmarks."""

ANGLES: Final = ("Roll", "Yaw", "Pitch")

SIDE_PX_MIN: Final = 60
"""Smaller faces are left out, by the longer side of their box. Source: ours."""

CONFIDENCES: Final = (50, 75, 90, 95, 99, 100.1)
"""Between the columns of the table of confidences."""

ALONE: Final = "wheel alone"
"""The variant without the network for expressions, which comes from its publisher alone."""

LANDMARK_MAX: Final = 5.0
"""Percent of the box's width that a landmark should be within."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A server as it is with some of the networks.

    Attributes:
        name: on the page.
        model: of the mesh, by name.
        mesh: its network.
        engine: finds the faces.
        estimator: of everything else.
    """

    name: str
    model: str
    mesh: FaceMeshNetwork
    engine: FaceEngine
    estimator: AttributeEstimator

    def details(self, image: Image) -> list[api.FaceDetail]:
        """Returns what DetectFaces answers to ALL."""
        portraits = analyse(self.engine, image)
        detections = [portrait.detection for portrait in portraits]
        attributes = self.estimator.estimate(image, detections, set(Attribute))
        return [face_detail(*face) for face in zip(portraits, attributes, strict=True)]


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said of a labelled face; None where nothing was.

    Attributes:
        label: what a person says, in the words of the list.
        said: in the same words.
        confidence: 0…100.
    """

    label: str
    said: str | None
    confidence: float


def answers(variant: Variant, folder: Path, half: Half) -> dict[str, list[Answer]]:
    """Returns what is said of the faces of a half, by member."""
    given: dict[str, list[Answer]] = {member: [] for member in MEMBERS}
    for image, faces in photographs(folder, half):
        details = variant.details(image)
        for face in faces:
            place = found(face, [_box(detail) for detail in details])
            if max(face.box.width * image.width_px, face.box.height * image.height_px) < SIDE_PX_MIN:
                continue
            for member, name in MEMBERS.items():
                label = face.labels.get(name, "hidden")
                if label != "hidden":
                    said = None if place is None else _said(details[place], member)
                    given[member].append(Answer(label, *(said or (None, 0.0))))
    return given


def _box(detail: Mapping[str, Any]) -> BoundingBox:
    box = detail["BoundingBox"]
    return BoundingBox(box["Left"], box["Top"], box["Width"], box["Height"])


def _said(detail: api.FaceDetail, member: str) -> tuple[str, float] | None:
    """Returns the value of a member in the words of the list, and its confidence; None where it is absent."""
    known = cast("Mapping[str, Any]", detail)
    if member not in known:
        return None
    if member == "Emotions":
        first = known[member][0]
        return first["Type"], first["Confidence"]
    value = known[member]["Value"]
    return {True: "yes", False: "no"}.get(value, value), known[member]["Confidence"]


def interval(agree: int, count: int) -> tuple[float, float]:
    """Returns between which shares the truth lies with 95 %, after Wilson (1927)."""
    z = NormalDist().inv_cdf(0.975)
    centre, half = agree + z**2 / 2, z * math.sqrt(agree * (count - agree) / count + z**2 / 4)
    return (centre - half) / (count + z**2), (centre + half) / (count + z**2)


def agreement(given: Mapping[str, Mapping[str, Sequence[Answer]]]) -> report.Section:
    """Counts how often variants agree with the labels."""
    rows = []
    for member in MEMBERS:
        for name, by_member in given.items():
            labelled = by_member[member]
            said = [answer for answer in labelled if answer.said is not None]
            if not said:
                continue
            agree = sum(answer.said == answer.label for answer in said)
            low, high = interval(agree, len(said))
            rows.append(
                [
                    member,
                    name,
                    f"{len(said)} of {len(labelled)}",
                    f"{agree / len(said):.1%}",
                    f"{low:.1%} – {high:.1%}",
                    ", ".join(_by_label(said)),
                    f"{mean(answer.confidence for answer in said):.1f}",
                ]
            )
    return report.Section(
        "Agreement with people, on the half that shows",
        f"Faces whose box has a longer side of {SIDE_PX_MIN} px or more. What a person was not sure of is left out, "
        "such as the hint of a smile or eyes narrowed by laughter, and so are eyes behind dark glasses or glare. "
        "Answered: where the face was found, and the mesh had a presence of 0.5 or more. Of emotions the first is "
        "compared. The wheel alone is without the network for expressions, which no package carries. With 95 %, "
        "agreement on such faces lies in the interval. A label that few faces have, such as shut eyes, says little by "
        "itself.",
        ["member", "mesh", "answered", "agree", "95 %", "by label", "mean confidence"],
        rows,
    )


def _by_label(said: Sequence[Answer]) -> list[str]:
    labels = sorted({answer.label for answer in said})
    of = {label: [answer for answer in said if answer.label == label] for label in labels}
    return [f"{label} {sum(each.said == label for each in of[label])} of {len(of[label])}" for label in labels]


def confidences(given: Mapping[str, Mapping[str, Sequence[Answer]]]) -> report.Section:
    """Counts how often what is said with a confidence is so."""
    rows = []
    for member in MEMBERS:
        for name, by_member in given.items():
            said = [answer for answer in by_member[member] if answer.said is not None]
            cells = []
            for low, high in pairwise(CONFIDENCES):
                within = [answer for answer in said if low <= answer.confidence < high]
                cells.append(f"{sum(answer.said == answer.label for answer in within)} of {len(within)}")
            if said:
                rows.append([member, name, *cells])
    return report.Section(
        "What a confidence is worth",
        "Answers that agree, of those with a confidence from one figure to the next.",
        ["member", "mesh", *(f"from {low:g}" for low in CONFIDENCES[:-1])],
        rows,
    )


def emotions(given: Sequence[Answer]) -> report.Section:
    """Counts which emotion comes first on faces that show each."""
    rows = []
    for label in sorted({answer.label for answer in given}):
        said = [answer.said or "nothing" for answer in given if answer.label == label]
        first = sorted(set(said), key=said.count, reverse=True)
        rows.append([label, str(len(said)), ", ".join(f"{name} {said.count(name)}" for name in first)])
    return report.Section(
        "Emotions, on both halves",
        "What comes first on faces that show an emotion, as a person sees it. Nothing was fitted that could change "
        "which comes first. No face was found that shows fear, disgust or confusion beyond doubt.",
        ["shown", "faces", "said"],
        rows,
    )


def beside_aws(variants: Sequence[Variant], folder: Path) -> list[report.Section]:
    """Compares with AWS's answers to two pictures; empty where they are not at hand."""
    if not (folder / "face_detection.json").is_file():
        return []
    (aws,) = json.loads((folder / "face_detection.json").read_text())["FaceDetails"]
    nodding = json.loads((folder / "face_compare.json").read_text())["FaceMatches"][0]["Face"]
    ours = {each.name: _same_face(each, folder / "face.jpeg", aws) for each in variants}
    nodding_ours = {each.name: _same_face(each, folder / "face2.jpg", nodding) for each in variants}
    rows = [_row(member, aws, ours) for member in BESIDE_AWS]
    rows += [[f"Pose.{angle}", *(f"{each['Pose'][angle]:.1f}" for each in (aws, *ours.values()))] for angle in ANGLES]
    rows += [
        [
            f"Pose.{angle}, another picture",
            *(f"{each['Pose'][angle]:.1f}" for each in (nodding, *nodding_ours.values())),
        ]
        for angle in ANGLES
    ]
    image = decode((folder / "face.jpeg").read_bytes())
    aspect = image.height_px / image.width_px
    distances = {name: _distances(aws, detail, aspect) for name, detail in ours.items()}
    return [
        report.Section(
            "Beside AWS's answers",
            "A man who wears dark glasses and looks to his left, and a woman who looks up. Confidences are in "
            "brackets.",
            ["member", "AWS", *ours],
            rows,
        ),
        report.Section(
            "Landmarks beside AWS's",
            f"Of the first picture, in percent of the box's width; {LANDMARK_MAX:g} is what they should be within.",
            ["landmark", *distances],
            [
                ["mean", *(f"{mean(each.values()):.1f}" for each in distances.values())],
                [
                    "within",
                    *(f"{sum(off <= LANDMARK_MAX for off in each.values())} of 30" for each in distances.values()),
                ],
                *(
                    [landmark["Type"], *(f"{each[landmark['Type']]:.1f}" for each in distances.values())]
                    for landmark in aws["Landmarks"]
                ),
            ],
        ),
    ]


def _same_face(variant: Variant, picture: Path, aws: Mapping[str, Any]) -> Mapping[str, Any]:
    details = variant.details(decode(picture.read_bytes()))
    return cast("Mapping[str, Any]", max(details, key=lambda detail: _box(detail).overlap(_box(aws))))


def _row(member: str, aws: Mapping[str, Any], ours: Mapping[str, Mapping[str, Any]]) -> list[str]:
    def cell(detail: Mapping[str, Any]) -> str:
        if member not in detail:
            return "absent"
        if member == "AgeRange":
            return f"{detail[member]['Low']}–{detail[member]['High']}"
        said, confidence = _said(cast("api.FaceDetail", detail), member) or ("", 0.0)
        return f"{said} ({confidence:.1f})"

    return [member, cell(aws), *(cell(detail) for detail in ours.values())]


def _distances(aws: Mapping[str, Any], ours: Mapping[str, Any], aspect: float) -> dict[str, float]:
    """Returns how far each landmark is from AWS's, in percent of the box's width."""
    places = {landmark["Type"]: (landmark["X"], landmark["Y"] * aspect) for landmark in ours["Landmarks"]}
    return {
        landmark["Type"]: 100
        * math.dist(places[landmark["Type"]], (landmark["X"], landmark["Y"] * aspect))
        / aws["BoundingBox"]["Width"]
        for landmark in aws["Landmarks"]
    }


def variants(scratch: Path, files: Mapping[str, Path]) -> list[Variant]:
    """Returns the variants whose mesh is at hand: each is served from all files but those of some models.

    Args:
        scratch: where folders may be made.
        files: that are at hand, by name.
    """
    served = []
    for name, mesh, others in (
        ("wheel", FACE_MESH, [FACE_LANDMARKER]),
        (ALONE, FACE_MESH, [FACE_LANDMARKER, EXPRESSION]),
        (".task", FACE_LANDMARKER, [FACE_MESH]),
    ):
        if not files.keys() >= mesh.files.keys():
            continue
        together = scratch / name
        together.mkdir()
        left_out = {file for other in others for file in other.files}
        for file_name in files.keys() - left_out:
            (together / file_name).symlink_to(files[file_name].resolve())
        served_from = ModelFiles(scratch, together, together)
        engine = load_engine(AUTO, AUTO, served_from)
        network = open_face_mesh(mesh, together, scratch, served_from.threads)
        served.append(Variant(name, mesh.name, network, engine, load_face_details(served_from, engine)))
    return served


def main() -> None:
    """Measures and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_folder(parser)
    root = Path(__file__).parents[1]
    shared = root.parent / "shared"
    weights = Path(os.environ.get("REKOGNITION_TEST_WEIGHTS", shared / "weights"))
    parser.add_argument("--models", type=Path, nargs="+", default=[weights, root / ".models"])
    parser.add_argument("--answers", type=Path, default=shared / "cases" / "aws-answers")
    arguments = parser.parse_args()
    described = report.machine()
    with tempfile.TemporaryDirectory() as scratch:
        at_hand = {file.name: file for folder in arguments.models if folder.is_dir() for file in folder.iterdir()}
        measured = variants(Path(scratch), at_hand)
        if not measured:
            raise ModelUnusable("No face mesh is at hand: `rekognition-emulator models pull recommended` fetches one.")
        given = {variant.name: answers(variant, arguments.folder, Half.SHOW) for variant in measured}
        others = answers(measured[0], arguments.folder, Half.FIT)["Emotions"]
        meshes = {variant.model: variant.mesh for variant in measured}
        expression = open_expression(EXPRESSION, Path(scratch) / measured[0].name, Path(scratch), threads=1)
        fitted = face_rules.fit_meshes(arguments.folder, measured[0].engine, meshes, expression)
        sections = [
            agreement(given),
            confidences(given),
            emotions([*given[measured[0].name]["Emotions"], *others]),
            face_rules.measure_rules(fitted),
            face_rules.measure_smile_weights(fitted),
            *beside_aws([each for each in measured if each.name != ALONE], arguments.answers),
        ]
    report.write("face-details.md", "python -m benchmarks.face_details", described, sections)


if __name__ == "__main__":
    main()
