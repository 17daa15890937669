"""Fitting meshes: the geometry with networks that the tests make, and the real ones on a real face."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rekognition_emulator.domain.detection import BoundingBox, Detection
from rekognition_emulator.domain.mesh import LANDMARKS_30, POINTS, Mesh, landmarks30, pose_of
from rekognition_emulator.domain.pose import estimate_pose
from rekognition_emulator.imaging.image import Image, decode
from rekognition_emulator.inference.details import face_mesh
from rekognition_emulator.inference.details.face_mesh import (
    BLENDSHAPES,
    FACES_AT_ONCE,
    FaceMeshNetwork,
    open_face_mesh,
)
from rekognition_emulator.inference.embedded import MtcnnDetector
from rekognition_emulator.inference.selection import ModelFiles, choose_face_mesh, open_detector
from rekognition_emulator.models.catalogue import FACE_LANDMARKER, FACE_MESH, YUNET
from rekognition_emulator.models.records import FaceMesh
from rekognition_emulator.models.weights import ModelUnusable

FACE = np.array([(-1, -1), (1, -1), (0, 0), (-0.8, 1), (0.8, 1)])
"""Five landmarks of a face, in half eye distances around its nose."""


def detection(image: Image, middle: tuple[float, float], size: float, angle: float = 0) -> Detection:
    """A face in pixels of an image, turned by degrees."""
    across = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    points = np.array(middle) + size * FACE @ np.stack([across, (-across[1], across[0])])
    ratios = (points / (image.width_px, image.height_px)).astype(np.float32)
    (left, top), (right, bottom) = ratios.min(axis=0).tolist(), ratios.max(axis=0).tolist()
    return Detection(BoundingBox.between(left, top, right, bottom), ratios, 99.9)


def with_dot(x: int, y: int) -> Image:
    """A black image with a white square of five pixels around one."""
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[y - 2 : y + 3, x - 2 : x + 3] = 255
    return Image(pixels, 400, 300)


def brightest(crops: NDArray[np.floating], points: int) -> NDArray[np.float32]:
    """Takes every point of a mesh to be where a crop is brightest, at a depth of a quarter of its side."""
    found = []
    for crop in crops[..., 0]:
        weights = crop / crop.sum()
        rows, columns = np.mgrid[: crop.shape[0], : crop.shape[1]] + 0.5
        found.append([((weights * columns).sum(), (weights * rows).sum(), len(crop) / 4)] * points)
    return np.array(found, np.float32).reshape(len(crops), -1)


def seeing(presence: float = 9, points: int = POINTS) -> face_mesh.Run:
    """A network that finds the dot, and is sure of it."""
    return lambda crops: [brightest(crops, points), np.full((len(crops), 1), presence, np.float32)]


@pytest.mark.parametrize("angle", [0, 30, 90, 180, -135])
@pytest.mark.parametrize("side_px", [192, 256])
def test_points_lie_where_they_are_in_the_picture(angle: float, side_px: int) -> None:
    """Wherever the face lies, however it is turned and however large it is; a depth is scaled as widths are."""
    image = with_dot(211, 140)
    for middle, size in (((200, 150), 20), ((215, 120), 45), ((230, 150), 90)):
        (mesh,) = FaceMeshNetwork(seeing(), side_px).fit(image, [detection(image, middle, size, angle)])
        assert mesh
        assert mesh.points.shape == (POINTS, 3)
        assert mesh.points[7, :2] * (400, 300) == pytest.approx((211.5, 140.5), abs=0.45)
        side = face_mesh.CROP_SIDE * max(2 * size, face_mesh.EYE_DISTANCE_WEIGHT * 2 * size)
        assert mesh.points[7, 2] * 400 == pytest.approx(side / 4, rel=1e-3)
        assert mesh.presence > 0.99


def test_parts_that_are_looked_at_closer_take_their_places() -> None:
    """Lips and eyes are where they were seen the second time, at the depth of the first; irises at their eye's."""
    first = np.zeros((2, 468, 3), np.float32)
    first[..., 2] = np.arange(468)
    first[1, :, 2] += 1000
    parts = (face_mesh.LIPS, face_mesh.LEFT_EYE, face_mesh.RIGHT_EYE, face_mesh.LEFT_IRIS, face_mesh.RIGHT_IRIS)

    def attentive(crops: NDArray[np.floating]) -> list[NDArray[np.float32]]:
        seen = [np.repeat(np.array(places, np.float32), 2)[None].repeat(len(crops), axis=0) for places in parts]
        return [first.reshape(2, -1), *seen, np.full((2, 1), 9, np.float32)]

    found, logits = face_mesh.looking_closer(attentive)(np.zeros((2, 192, 192, 3), np.float32))
    assert logits.tolist() == [[9], [9]]
    for example, points in enumerate(found.reshape(2, POINTS, 3)):
        closer = [place for places in parts for place in places]
        assert points[closer, :2] == pytest.approx(np.array([(place, place) for place in closer]))
        assert not points[sorted({*range(468)} - {*closer}), :2].any()
        assert points[:468, 2] == pytest.approx(first[example, :, 2])
        for iris, contour in ((parts[3], parts[1][:16]), (parts[4], parts[2][:16])):
            assert points[list(iris), 2] == pytest.approx(np.mean(contour) + 1000 * example, rel=1e-5)


def test_blendshapes_are_made_of_points_in_pixels() -> None:
    """An image that is wider than high must not flatten the face."""
    image = with_dot(211, 140)
    fed: list[NDArray[np.floating]] = []

    def blendshapes(points: NDArray[np.floating]) -> list[NDArray[np.float32]]:
        fed.append(points)
        return [np.linspace(0, 1, len(BLENDSHAPES), dtype=np.float32)[None].repeat(len(points), axis=0)]

    network = FaceMeshNetwork(seeing(), 256, blendshapes=blendshapes)
    (mesh,) = network.fit(image, [detection(image, (200, 150), 40)])
    assert mesh
    assert mesh.blendshapes
    assert mesh.blendshapes["_neutral"] == 0
    assert mesh.blendshapes["noseSneerRight"] == 1
    assert list(mesh.blendshapes) == list(BLENDSHAPES)
    assert fed[0].shape == (1, 146, 2)
    assert fed[0][0, 0] == pytest.approx((211.5, 140.5), abs=0.3)


def test_where_no_face_is_there_is_no_mesh() -> None:
    """Of which the network is not sure however often it looks, or says no number."""
    image = with_dot(211, 140)
    found = [detection(image, (200, 150), 40)] * 2
    for presence in (-2, -1e30, float("nan")):
        calls: list[int] = []

        def unsure(
            crops: NDArray[np.floating], presence: float = presence, calls: list[int] = calls
        ) -> list[NDArray[np.float32]]:
            calls.append(len(crops))
            return seeing(presence)(crops)

        assert FaceMeshNetwork(unsure, 256).fit(image, found) == [None, None]
        assert calls[0] == 2


def test_doubtful_faces_are_looked_at_again() -> None:
    """Around what was found, and those alone: the others keep the mesh that they have."""
    image = with_dot(211, 140)
    sizes: list[int] = []

    def hesitant(crops: NDArray[np.floating]) -> list[NDArray[np.float32]]:
        sizes.append(len(crops))
        logits = np.full((len(crops), 1), 9, np.float32)
        if len(sizes) == 1:
            logits[1] = -1
        outlined = brightest(crops, POINTS).reshape(len(crops), POINTS, 3)
        outlined[:, 33, 0] -= 20  # a mesh with some extent
        outlined[:, 263, 0] += 20
        return [outlined.reshape(len(crops), -1), logits]

    faces = [detection(image, (200, 150), 40), detection(image, (205, 150), 60)]
    meshes = FaceMeshNetwork(hesitant, 256).fit(image, faces)
    assert all(meshes)
    assert sizes == [2, *[1] * face_mesh.LOOKS_AGAIN]


def test_many_faces_are_run_a_few_at_a_time() -> None:
    """So that hundreds in one picture take no more memory than some; no face takes another's place."""
    image = with_dot(211, 140)
    sizes: list[int] = []

    def counted(crops: NDArray[np.floating]) -> list[NDArray[np.float32]]:
        sizes.append(len(crops))
        return seeing()(crops)

    faces = [detection(image, (200, 150), 30 + number) for number in range(2 * FACES_AT_ONCE + 3)]
    meshes = FaceMeshNetwork(counted, 256).fit(image, faces)
    assert sizes == [FACES_AT_ONCE, FACES_AT_ONCE, 3]
    depths = [mesh.points[0, 2] for mesh in meshes if mesh]
    assert len(depths) == len(faces)
    assert depths == sorted(depths)
    assert FaceMeshNetwork(counted, 256).fit(image, []) == []


def test_landmarks_that_coincide_and_faces_beyond_the_edge() -> None:
    """Detectors may say anything; a picture of the least size is looked at as well."""
    small = Image(np.full((80, 80, 3), 200, np.uint8), 80, 80)
    outside = detection(small, (-500, 900), 300)
    point = replace(outside, landmarks=np.full((5, 2), 0.5, np.float32))

    def constant(crops: NDArray[np.floating]) -> list[NDArray[np.float32]]:
        return [np.ones((len(crops), numbers), np.float32) for numbers in (3 * POINTS, 1)]

    for mesh in FaceMeshNetwork(constant, 256).fit(small, [outside, point]):
        assert mesh
        assert np.isfinite(mesh.points).all()


@pytest.fixture(params=[FACE_LANDMARKER, FACE_MESH], ids=lambda model: model.name)
def network(request: pytest.FixtureRequest, weights: Callable[[str], Path], cache_dir: Path) -> FaceMeshNetwork:
    """The networks of either generation."""
    model: FaceMesh = request.param
    (folder,) = {weights(file).parent for file in model.files}
    return open_face_mesh(model, folder, cache_dir, threads=1)


@pytest.fixture(scope="module")
def seen(cache_dir: Path, portrait: Image) -> Detection:
    """The real face, as the embedded detector finds it."""
    (found,) = MtcnnDetector(cache_dir, threads=1).detect(portrait)
    return found


def upright(points: NDArray[np.floating], quarters: int) -> NDArray[np.floating]:
    """Turns points of a square image that was turned by ``np.rot90`` back."""
    for _ in range(quarters):
        points = np.stack([1 - points[..., 1], points[..., 0]], axis=-1)
    return points


def test_a_mesh_lies_on_the_face(network: FaceMeshNetwork, portrait: Image, seen: Detection) -> None:
    """Its eyes, nose and mouth where the detector has them; she smiles and looks at us with open eyes."""
    (mesh,) = network.fit(portrait, [seen])
    assert mesh
    assert mesh.presence > 0.99
    named = dict(zip(LANDMARKS_30, landmarks30(mesh), strict=True))
    places = np.array([named[name] for name in ("eyeLeft", "eyeRight", "nose", "mouthLeft", "mouthRight")])
    apart = np.linalg.norm(seen.landmarks[1] - seen.landmarks[0])
    assert np.linalg.norm(places - seen.landmarks, axis=1).max() < 0.12 * apart
    inside = (mesh.points[:468, :2] > (seen.box.left - 0.05, seen.box.top - 0.05)).all()
    assert inside
    if mesh.blendshapes:
        assert min(mesh.blendshapes["mouthSmileLeft"], mesh.blendshapes["mouthSmileRight"]) > 0.5
        assert max(mesh.blendshapes["eyeBlinkLeft"], mesh.blendshapes["eyeBlinkRight"]) < 0.4


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_turned_face_has_the_same_mesh(
    network: FaceMeshNetwork, portrait: Image, seen: Detection, quarters: int
) -> None:
    """Within a hundredth of the distance between its eyes, and turned by a quarter in its pose."""
    (straight,) = network.fit(portrait, [seen])
    image = Image(np.ascontiguousarray(np.rot90(portrait.pixels, quarters)), portrait.height_px, portrait.width_px)
    turned = replace(seen, landmarks=upright(seen.landmarks, 4 - quarters).astype(np.float32))
    (mesh,) = network.fit(image, [turned])
    assert straight
    assert mesh
    apart = np.linalg.norm(straight.points[263, :2] - straight.points[33, :2])
    assert np.abs(upright(mesh.points[:, :2], quarters) - straight.points[:, :2]).max() < 0.01 * apart
    roll = (pose_of(straight, 1.0).roll - 90 * quarters - pose_of(mesh, 1.0).roll + 180) % 360 - 180
    assert roll == pytest.approx(0, abs=1)


@pytest.mark.parametrize("file", ["pose/aws_photo06.jpg", "pose/aws_photo07.jpg", "pose/insp_left_profile.jpg"])
def test_a_profile_is_turned_as_its_five_landmarks_say(
    network: FaceMeshNetwork, weights: Callable[[str], Path], faces_dir: Path, file: str
) -> None:
    """To the same side and within 25°: what ALL says of it must not contradict DEFAULT."""
    image = decode((faces_dir / file).read_bytes())
    found = open_detector(YUNET, weights(*YUNET.files).read_bytes(), threads=1).detect(image)
    profile = max(found, key=lambda each: each.box.area)
    (mesh,) = network.fit(image, [profile])
    assert mesh
    aspect = image.width_px / image.height_px
    yaw = estimate_pose(profile.landmarks, aspect).yaw
    assert abs(yaw) > 45
    assert pose_of(mesh, aspect).yaw == pytest.approx(yaw, abs=25)


def test_what_is_no_face_has_no_mesh(network: FaceMeshNetwork) -> None:
    """Noise, which a detector took for one."""
    noise = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
    image = Image(noise, 400, 300)
    assert network.fit(image, [detection(image, (200, 150), 30)]) == [None]


def test_the_better_mesh_is_chosen(tmp_path: Path) -> None:
    """Of those whose files are all at hand, without opening any."""
    files = ModelFiles(tmp_path / "cache", tmp_path, tmp_path / "none")
    assert choose_face_mesh(files) is None
    for model, chosen in ((FACE_MESH, "face-mesh"), (FACE_LANDMARKER, "face-landmarker")):
        for file in model.files:
            assert choose_face_mesh(files) != chosen
            (tmp_path / file).touch()
        assert choose_face_mesh(files) == chosen


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    """By the checksum, before anything of them is read."""
    for model in (FACE_LANDMARKER, FACE_MESH):
        for file in model.files:
            (tmp_path / file).write_bytes(b"damaged")
        with pytest.raises(ModelUnusable, match="SHA-256"):
            open_face_mesh(model, tmp_path, tmp_path / "cache", threads=1)
    assert not (tmp_path / "cache").exists()


def recommended(weights: Callable[[str], Path], cache_dir: Path, image: Image) -> list[Mesh | None]:
    """The mesh of the surest face, by the recommended detector and mesh."""
    found = open_detector(YUNET, weights(*YUNET.files).read_bytes(), threads=1).detect(image)
    network = open_face_mesh(FACE_LANDMARKER, weights(*FACE_LANDMARKER.files).parent, cache_dir, threads=1)
    return network.fit(image, [max(found, key=lambda each: each.confidence)])


def test_the_picture_that_aws_answered_for(
    weights: Callable[[str], Path], cache_dir: Path, aws_answers_dir: Path
) -> None:
    """A turned and bearded man with sunglasses: 25 of 30 landmarks within 5 % of the box's width, the jaw within 12.

    AWS's yaw is 9° less than that of a head on which its own landmarks lie; roll and pitch are within 6°.
    """
    image = decode((aws_answers_dir / "face.jpeg").read_bytes())
    (answer,) = json.loads((aws_answers_dir / "face_detection.json").read_text())["FaceDetails"]
    (mesh,) = recommended(weights, cache_dir, image)
    assert mesh
    expected = np.array([(each["X"], each["Y"]) for each in answer["Landmarks"]])
    distances = np.linalg.norm(np.array(landmarks30(mesh)) - expected, axis=1) / answer["BoundingBox"]["Width"]
    assert np.median(distances) < 0.03
    assert (distances <= 0.05).sum() >= 25
    assert distances.max() < 0.12
    pose = pose_of(mesh, image.width_px / image.height_px)
    assert (pose.roll, pose.pitch) == pytest.approx((answer["Pose"]["Roll"], answer["Pose"]["Pitch"]), abs=6)
    assert pose.yaw == pytest.approx(answer["Pose"]["Yaw"], abs=10)


def test_a_raised_head_is_seen_to_look_up(
    weights: Callable[[str], Path], cache_dir: Path, aws_answers_dir: Path
) -> None:
    """By 29° as AWS has it, where five landmarks of a detector say none."""
    image = decode((aws_answers_dir / "face2.jpg").read_bytes())
    answer = json.loads((aws_answers_dir / "face_compare.json").read_text())["FaceMatches"][0]["Face"]["Pose"]
    (mesh,) = recommended(weights, cache_dir, image)
    assert mesh
    pose = pose_of(mesh, image.width_px / image.height_px)
    assert (pose.roll, pose.yaw, pose.pitch) == pytest.approx(
        [answer[name] for name in ("Roll", "Yaw", "Pitch")], abs=6
    )
