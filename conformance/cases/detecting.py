"""Cases on DetectFaces."""

from typing import Any, Final

from conformance.case import Family
from conformance.cases.faces_found import DETAIL, LANDMARKS, area, assert_detail, overlap
from conformance.expect import body, members
from conformance.pictures import CROWD, FLAT, HUNDRED_AND_EIGHT, MIRRORED, NOISE, PAIR, PORTRAIT, SMALL_FACE
from conformance.service import Given, NotOffered, Service
from conformance.shared import indexed

family = Family("detecting")
case, each, exchange = family.case, family.each, family.exchange

ALL_LANDMARKS: Final = [
    *LANDMARKS,
    *("leftEyeBrowLeft", "leftEyeBrowRight", "leftEyeBrowUp"),
    *("rightEyeBrowLeft", "rightEyeBrowRight", "rightEyeBrowUp"),
    *("leftEyeLeft", "leftEyeRight", "leftEyeUp", "leftEyeDown"),
    *("rightEyeLeft", "rightEyeRight", "rightEyeUp", "rightEyeDown"),
    *("noseLeft", "noseRight", "mouthUp", "mouthDown", "leftPupil", "rightPupil"),
    *("upperJawlineLeft", "midJawlineLeft", "chinBottom", "midJawlineRight", "upperJawlineRight"),
]
EMOTIONS: Final = {"HAPPY", "SAD", "ANGRY", "CONFUSED", "DISGUSTED", "SURPRISED", "CALM", "FEAR"}

ATTRIBUTES: Final = {
    "AGE_RANGE": "AgeRange",
    "BEARD": "Beard",
    "EMOTIONS": "Emotions",
    "EYEGLASSES": "Eyeglasses",
    "EYES_OPEN": "EyesOpen",
    "EYE_DIRECTION": "EyeDirection",
    "FACE_OCCLUDED": "FaceOccluded",
    "GENDER": "Gender",
    "MOUTH_OPEN": "MouthOpen",
    "MUSTACHE": "Mustache",
    "SMILE": "Smile",
    "SUNGLASSES": "Sunglasses",
}
"""Attribute → the member that it adds."""

VALUED: Final = {name: name for name in ATTRIBUTES.values() if name not in {"AgeRange", "Emotions", "EyeDirection"}}
"""Members that consist of a value and the confidence in it."""


def details(service: Service, picture: Given, *attributes: str) -> list[Any]:
    """Returns the faces of a picture."""
    faces: list[Any] = service.ok("DetectFaces", Image=picture, Attributes=list(attributes))["FaceDetails"]
    return faces


def attribute(service: Service, member: str) -> Any:  # noqa: ANN401 # any JSON value
    """Returns a member of the portrait's face that not every service estimates."""
    (detail,) = details(service, PORTRAIT, "ALL")
    if member not in detail:
        raise NotOffered(member)
    return detail[member]


exchange("DetectFaces", "the answer has one member", {"Image": PORTRAIT}, members("FaceDetails"), "guide")


@each("DetectFaces", "recording:detectfaces-none-2022", {"noise": NOISE, "one colour": FLAT})
def _(service: Service, picture: Given) -> None:
    """A picture without a face is answered with eighteen bytes."""
    body(b'{"FaceDetails":[]}')(service.call("DetectFaces", {"Image": picture}))


@each(
    "DetectFaces",
    "recording:indexfaces-v6-default-attributes",
    {"portrait": PORTRAIT, "mirrored": MIRRORED, "small": SMALL_FACE},
)
def _(service: Service, picture: Given) -> None:
    """By default a face has five members and five landmarks, in the recorded order, where they belong."""
    (detail,) = details(service, picture)
    assert_detail(detail)


@each("DetectFaces", "guide", {"none": [], "DEFAULT": ["DEFAULT"], "DEFAULT twice": ["DEFAULT", "DEFAULT"]})
def _(service: Service, attributes: list[str]) -> None:
    """These Attributes show what no Attributes show."""
    answer = service.ok("DetectFaces", Image=PORTRAIT, Attributes=attributes)
    assert answer.content == service.ok("DetectFaces", Image=PORTRAIT).content


@each("DetectFaces", "model", {name: name for name in ATTRIBUTES})
def _(service: Service, name: str) -> None:
    """One attribute shows the default members, at most its own besides, and five landmarks."""
    (detail,) = details(service, PORTRAIT, name)
    assert DETAIL <= set(detail) <= DETAIL | {ATTRIBUTES[name]}, sorted(detail)
    assert [point["Type"] for point in detail["Landmarks"]] == LANDMARKS


@each("DetectFaces", "model", {name: name for name in ATTRIBUTES})
def _(service: Service, name: str) -> None:
    """An attribute asked for is shown."""
    (detail,) = details(service, PORTRAIT, name)
    if ATTRIBUTES[name] not in detail:
        raise NotOffered(ATTRIBUTES[name])
    assert detail[ATTRIBUTES[name]] == attribute(service, ATTRIBUTES[name])


@case("DetectFaces", "model")
def _(service: Service) -> None:
    """ALL with anything else is ALL."""
    assert details(service, PORTRAIT, "DEFAULT", "ALL") == details(service, PORTRAIT, "ALL")


@case("DetectFaces", "recording:detectfaces-all-2023")
def _(service: Service) -> None:
    """ALL keeps the default members, and adds none but the known."""
    (detail,) = details(service, PORTRAIT, "ALL")
    assert DETAIL <= set(detail) <= DETAIL | set(ATTRIBUTES.values()), sorted(detail)
    assert [point["Type"] for point in detail["Landmarks"]][:5] == LANDMARKS


@case("DetectFaces", "recording:detectfaces-all-2023")
def _(service: Service) -> None:
    """ALL shows thirty landmarks in the recorded order."""
    (detail,) = details(service, PORTRAIT, "ALL")
    if len(detail["Landmarks"]) == len(LANDMARKS):
        raise NotOffered("thirty landmarks")
    assert [point["Type"] for point in detail["Landmarks"]] == ALL_LANDMARKS


@case("DetectFaces", "recording:detectfaces-all-2023")
def _(service: Service) -> None:
    """Pupils have the coordinates of the eyes."""
    (detail,) = details(service, PORTRAIT, "ALL")
    points = {point["Type"]: (point["X"], point["Y"]) for point in detail["Landmarks"]}
    if "leftPupil" not in points:
        raise NotOffered("thirty landmarks")
    assert (points["leftPupil"], points["rightPupil"]) == (points["eyeLeft"], points["eyeRight"])


@each("DetectFaces", "recording:detectfaces-all-2023", VALUED)
def _(service: Service, member: str) -> None:
    """This attribute is a value and the confidence in it, which is above 50 or nearly so."""
    shown = attribute(service, member)
    assert set(shown) == {"Value", "Confidence"}
    assert 49 <= shown["Confidence"] <= 100
    assert shown["Value"] in ({"Male", "Female"} if member == "Gender" else {True, False})


@case("DetectFaces", "recording:detectfaces-all-2023")
def _(service: Service) -> None:
    """AgeRange is two whole numbers, the lower first."""
    shown = attribute(service, "AgeRange")
    assert set(shown) == {"Low", "High"}
    assert 0 <= shown["Low"] <= shown["High"] <= 120


@case("DetectFaces", "recording:detectfaces-all-2023")
def _(service: Service) -> None:
    """Emotions are eight, the most confident first."""
    shown = attribute(service, "Emotions")
    assert {entry["Type"] for entry in shown} == EMOTIONS
    confidences = [entry["Confidence"] for entry in shown]
    assert confidences == sorted(confidences, reverse=True)


@case("DetectFaces", "recording:detectfaces-all-2023")
def _(service: Service) -> None:
    """EyeDirection is two angles and the confidence in them."""
    assert set(attribute(service, "EyeDirection")) == {"Yaw", "Pitch", "Confidence"}


@each("DetectFaces", "guide", {"two": PAIR, "a crowd": CROWD})
def _(service: Service, picture: Given) -> None:
    """The largest face comes first."""
    sizes = [area(detail) for detail in details(service, picture)]
    assert len(sizes) >= 2
    assert sizes == sorted(sizes, reverse=True)


@case("DetectFaces", "guide")
def _(service: Service) -> None:
    """The crowd's eight faces are found, each once."""
    found = details(service, CROWD)
    assert len(found) == 8
    for number, one in enumerate(found):
        assert all(overlap(one["BoundingBox"], other["BoundingBox"]) < 0.2 for other in found[:number])


@case("DetectFaces", "guide")
def _(service: Service) -> None:
    """Of more than a hundred faces a hundred are shown."""
    assert len(details(service, HUNDRED_AND_EIGHT)) == 100


@case("DetectFaces", "contract")
def _(service: Service) -> None:
    """The same picture has the same answer."""
    assert service.ok("DetectFaces", Image=PAIR).content == service.ok("DetectFaces", Image=PAIR).content


@case("DetectFaces", "guide")
def _(service: Service) -> None:
    """Boxes are ratios of the picture: half of a face's picture has a box of half the width."""
    (alone,) = details(service, PORTRAIT)
    first = details(service, PAIR)[0]
    width = alone["BoundingBox"]["Width"] * 312 / 760
    assert 0.85 < first["BoundingBox"]["Width"] / width < 1.15


@case("DetectFaces", "contract")
def _(service: Service) -> None:
    """A mirrored face lies on the other side, and its left eye is still left."""
    (plain,), (mirrored,) = details(service, PORTRAIT), details(service, MIRRORED)
    centre = plain["BoundingBox"]["Left"] + plain["BoundingBox"]["Width"] / 2
    other = mirrored["BoundingBox"]["Left"] + mirrored["BoundingBox"]["Width"] / 2
    assert abs(centre + other - 1) < 0.05
    assert mirrored["Landmarks"][0]["X"] < mirrored["Landmarks"][1]["X"]


@case("DetectFaces", "guide")
def _(service: Service) -> None:
    """Nothing is stored."""
    before = service.ok("DescribeCollection", CollectionId=service[indexed].name)["FaceCount"]
    details(service, PORTRAIT)
    assert service.ok("DescribeCollection", CollectionId=service[indexed].name)["FaceCount"] == before
