from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.labelled_faces import found, read_labels
from rekognition_emulator.domain import expressions
from rekognition_emulator.domain.attributes import Verdict
from rekognition_emulator.domain.mesh import Mesh
from rekognition_emulator.imaging.image import decode
from rekognition_emulator.inference.details.face_mesh import open_face_mesh
from rekognition_emulator.inference.selection import open_detector
from rekognition_emulator.models.catalogue import FACE_LANDMARKER, FACE_MESH, FACE_MESHES, YUNET

RULES: dict[str, Callable[[Mesh, float], Verdict]] = {
    "smile": expressions.smile,
    "mouth_open": expressions.mouth_open,
    "eyes_open": expressions.eyes_open,
}


@pytest.mark.parametrize(("model", "agree_min"), [(FACE_LANDMARKER.name, 0.95), (FACE_MESH.name, 0.85)])
def test_the_rules_say_what_people_see(
    faces_dir: Path, weights: Callable[[str], Path], tmp_path: Path, model: str, agree_min: float
) -> None:
    """On the photographs that are hardest: shut eyes, laughter, anger, heads turned, tilted and nodding."""
    for file in FACE_MESHES[model].files:
        (tmp_path / file).symlink_to(weights(file))
    network = open_face_mesh(FACE_MESHES[model], tmp_path, tmp_path / "cache", threads=1)
    (file,) = YUNET.files
    detector = open_detector(YUNET, weights(file).read_bytes(), threads=1)
    agree = []
    for face in read_labels():
        if not face.file.startswith("pose/"):
            continue
        image = decode((faces_dir / face.file).read_bytes())
        detections = detector.detect(image)
        place = found(face, [detection.box for detection in detections])
        mesh = None if place is None else network.fit(image, [detections[place]])[0]
        agree += [
            rule(mesh, image.width_px / image.height_px).value == (face.labels[label] == "yes")
            for label, rule in RULES.items()
            if mesh and face.labels.get(label) in {"yes", "no"}
        ]
    assert len(agree) >= 40
    assert sum(agree) / len(agree) >= agree_min
