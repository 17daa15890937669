"""What every family that shows faces expects of them."""

from typing import Any, Final

DETAIL: Final = {"BoundingBox", "Landmarks", "Pose", "Quality", "Confidence"}
"""Of a FaceDetail with default attributes. Source: recording:indexfaces-v6-default-attributes."""

LANDMARKS: Final = ["eyeLeft", "eyeRight", "mouthLeft", "mouthRight", "nose"]
"""In the order of the recorded answers since model 4."""

STORED: Final = {"FaceId", "BoundingBox", "ImageId", "Confidence", "IndexFacesModelVersion"}
"""Of a face that lists and searches show, but for ExternalImageId. Source: recording:searchfacesbyimage-v6-exact."""


def area(shown: Any) -> float:  # noqa: ANN401 # a FaceDetail, a Face, or what a comparison shows
    """Returns the part of the picture that a face covers."""
    box = shown["BoundingBox"]
    width, height = float(box["Width"]), float(box["Height"])
    return width * height


def assert_detail(detail: Any) -> None:  # noqa: ANN401 # a FaceDetail
    """Checks a FaceDetail with default attributes, of a face that is upright and whole."""
    assert set(detail) == DETAIL, sorted(detail)
    assert set(detail["BoundingBox"]) == {"Width", "Height", "Left", "Top"}
    assert set(detail["Pose"]) == {"Roll", "Yaw", "Pitch"}
    assert set(detail["Quality"]) == {"Brightness", "Sharpness"}
    assert [point["Type"] for point in detail["Landmarks"]] == LANDMARKS
    assert all(set(point) == {"Type", "X", "Y"} for point in detail["Landmarks"])
    assert all(-180 <= angle <= 180 for angle in detail["Pose"].values())
    assert all(0 <= value <= 100 for value in detail["Quality"].values())
    assert 50 < detail["Confidence"] <= 100
    assert_upright(detail)


def assert_upright(detail: Any) -> None:  # noqa: ANN401 # a FaceDetail
    """Checks that the points lie in the box as those of an upright face, left and right as the viewer sees them."""
    points = {point["Type"]: (point["X"], point["Y"]) for point in detail["Landmarks"]}
    box = detail["BoundingBox"]
    assert points["eyeLeft"][0] < points["nose"][0] < points["eyeRight"][0], points
    assert points["mouthLeft"][0] < points["mouthRight"][0], points
    assert points["eyeLeft"][1] < points["nose"][1] < points["mouthLeft"][1], points
    for x, y in points.values():
        assert box["Left"] < x < box["Left"] + box["Width"], (x, box)
        assert box["Top"] < y < box["Top"] + box["Height"], (y, box)


def overlap(one: Any, other: Any) -> float:  # noqa: ANN401 # BoundingBoxes
    """Returns the intersection of two boxes over their union."""
    width = min(one["Left"] + one["Width"], other["Left"] + other["Width"]) - max(one["Left"], other["Left"])
    height = min(one["Top"] + one["Height"], other["Top"] + other["Height"]) - max(one["Top"], other["Top"])
    shared = max(0.0, float(width)) * max(0.0, float(height))
    return shared / (float(one["Width"] * one["Height"]) + float(other["Width"] * other["Height"]) - shared)
