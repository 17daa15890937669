"""Draws the thirty landmarks, on a face that is nobody's: ``python -m benchmarks.landmark_drawing``.

The face is MediaPipe's canonical one, whose geometry ``face_landmarker.task`` carries. Its landmarks are read off as
those of any mesh are.
"""

import argparse
import struct
import zipfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.photographs import add_weights
from rekognition_emulator.domain.mesh import LANDMARKS_30, Mesh, landmarks30
from rekognition_emulator.models.catalogue import FACE_LANDMARKER

DOCS: Final = Path(__file__).parents[1] / "docs" / "reference"

GEOMETRY: Final = "geometry_pipeline_metadata_landmarks.binarypb"
"""A protocol buffer. Source: MediaPipe, geometry_pipeline_metadata.proto and mesh_3d.proto."""

VERTICES: Final = 3 << 3 | 5
"""Tag of each number of a vertex, five of which are x, y and z in centimetres and a place in a texture."""

CORNERS: Final = 4 << 3 | 0
"""Tag of each corner of a triangle."""

EYES: Final = ((33, 133, 159, 145), (362, 263, 386, 374))
"""Corners and lids of the left and right eye; the canonical face has no irises, which are drawn between them."""

SPAN_CM: Final = 28.0
"""The side of the square that the face is drawn in: a head, and names on both sides."""

SIDE_PX: Final = 900
LABELS_PX: Final = 295
"""How far from the middle the names stand."""


def canonical_face(task: Path) -> tuple[Mesh, NDArray[np.intp]]:
    """Reads the canonical face.

    Returns:
        Its mesh, in a square image; (n, 3), the points at the corners of each triangle.
    """
    numbers, corners = [], []
    with zipfile.ZipFile(task) as archive:
        geometry = archive.read(GEOMETRY)
    for tag, value in _fields(geometry):
        if tag == VERTICES:
            numbers.append(value)
        elif tag == CORNERS:
            corners.append(value)
    places = np.array(numbers).reshape(-1, 5)[:, :3] * (1, -1, -1) / SPAN_CM + (0.5, 0.5, 0)
    irises = [np.tile(places[list(eye)].mean(axis=0), (5, 1)) for eye in EYES]
    return Mesh(np.concatenate([places, *irises]).astype(np.float32), 1.0), np.array(corners, np.intp).reshape(-1, 3)


def _fields(message: bytes) -> Iterator[tuple[int, float]]:
    """Yields tag and value of the numbers of the message that is the first field of this one."""
    _, position = _varint(message, 1)
    end = position + _varint(message, 1)[0]
    while position < end:
        tag, position = _varint(message, position)
        if tag & 7 == 5:
            yield tag, struct.unpack_from("<f", message, position)[0]
            position += 4
        else:
            value, position = _varint(message, position)
            yield tag, value


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """Returns a number of seven bits a byte, the least first, and where it ends."""
    value = shift = 0
    while True:
        value |= (message[position] & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if message[position - 1] < 0x80:
            return value, position


def drawing(mesh: Mesh, triangles: NDArray[np.intp]) -> str:
    """Returns the image as SVG."""
    points = mesh.points[:, :2] * SIDE_PX
    edges = sorted({tuple(sorted(edge)) for corners in triangles.tolist() for edge in pairwise([*corners, corners[0]])})
    net = "".join(f"M{points[a][0]:.0f} {points[a][1]:.0f}L{points[b][0]:.0f} {points[b][1]:.0f}" for a, b in edges)
    labels = "\n".join(_labels(mesh))
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE_PX} {SIDE_PX}" font-family="sans-serif" font-size="14">
<title>The thirty landmarks of a face</title>
<rect width="{SIDE_PX}" height="{SIDE_PX}" fill="#fff"/>
<path d="{net}" fill="none" stroke="#dde2e7"/>
{labels}
</svg>
"""


def _labels(mesh: Mesh) -> Iterator[str]:
    """Yields landmarks with their names, on the side where they lie, in turns for those in the middle."""
    names: dict[tuple[float, float], list[str]] = {}
    for name, (x, y) in zip(LANDMARKS_30, landmarks30(mesh), strict=True):
        names.setdefault((x * SIDE_PX, y * SIDE_PX), []).append(name)
    middle = sorted((place for place in names if abs(place[0] - SIDE_PX / 2) < 1), key=lambda place: place[1])
    for side in (-1, 1):
        own = [place for place in names if place not in middle and (place[0] > SIDE_PX / 2) == (side > 0)]
        own += middle[side < 0 :: 2]
        x, anchor = SIDE_PX / 2 + side * LABELS_PX, "end" if side < 0 else "start"
        rows = np.linspace(60, SIDE_PX - 60, len(own)).tolist()
        for place, y in zip(_uncrossed(own, x, rows), rows, strict=True):
            yield f'<path d="M{x - side * 6:.0f} {y:.0f}L{place[0]:.1f} {place[1]:.1f}" stroke="#8b96a1"/>'
            yield f'<circle cx="{place[0]:.1f}" cy="{place[1]:.1f}" r="4" fill="#c8281e"/>'
            yield f'<text x="{x:.0f}" y="{y + 5:.0f}" text-anchor="{anchor}">{", ".join(names[place])}</text>'


def _uncrossed(places: Sequence[tuple[float, float]], x: float, rows: Sequence[float]) -> list[tuple[float, float]]:
    """Returns the places in the order of their rows: two lines that cross are longer than the two that do not."""
    ordered = sorted(places, key=lambda place: place[1])

    def length(place: tuple[float, float], row: int) -> float:
        return float(np.hypot(place[0] - x, place[1] - rows[row]))

    swapped = True
    while swapped:
        swapped = False
        for one in range(len(ordered)):
            for other in range(one):
                now = length(ordered[one], one) + length(ordered[other], other)
                if length(ordered[one], other) + length(ordered[other], one) < now - 1e-9:
                    ordered[one], ordered[other] = ordered[other], ordered[one]
                    swapped = True
    return ordered


def page() -> str:
    """Returns the page that the image is on."""
    rows = "\n".join(f"| `{name}` | {index} |" for name, index in LANDMARKS_30.items())
    return f"""\
# The thirty landmarks

`ALL` answers with AWS's thirty landmarks, in this order. They are read off a mesh of 478 points that MediaPipe's
network fits to the face. Left and right are the image's.

![The thirty landmarks on a schematic face](landmarks.svg)

| landmark | point of the mesh |
|---|---|
{rows}

The inner ends of the brows and the jaw lie beside these points, where AWS has them. [How near they
are](../../benchmarks/results/face-details.md) to AWS's is measured on an answer of AWS's that was published with its
image. The face drawn is MediaPipe's canonical one (Apache-2.0), a geometry of nobody.
"""


def main() -> None:
    """Writes the image and its page."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_weights(parser)
    arguments = parser.parse_args()
    (file,) = FACE_LANDMARKER.files
    (DOCS / "landmarks.svg").write_text(drawing(*canonical_face(arguments.models / file)))
    (DOCS / "landmarks.md").write_text(page())


if __name__ == "__main__":
    main()
