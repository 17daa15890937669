from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

from benchmarks.landmark_drawing import DOCS, canonical_face, drawing, page
from rekognition_emulator.domain.mesh import LANDMARKS_30


def test_the_picture_names_each_landmark_once() -> None:
    """Whoever looks one up finds it, beside the points of the mesh on the page."""
    texts = ET.parse(DOCS / "landmarks.svg").iter("{http://www.w3.org/2000/svg}text")
    assert sorted(name for text in texts for name in (text.text or "").split(", ")) == sorted(LANDMARKS_30)


def test_picture_and_page_are_those_of_the_landmarks(weights: Callable[[str], Path]) -> None:
    """``python -m benchmarks.landmark_drawing`` writes them again."""
    assert (DOCS / "landmarks.md").read_text() == page()
    assert (DOCS / "landmarks.svg").read_text() == drawing(*canonical_face(weights("face_landmarker.task")))
