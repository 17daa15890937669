"""Cases on CompareFaces."""

from typing import Any, Final

from conformance.answer import Answer
from conformance.case import Family
from conformance.cases.faces_found import LANDMARKS, area, overlap
from conformance.expect import error, members
from conformance.pictures import (
    BLURRED,
    CROWD,
    DARK,
    FLAT,
    MIRRORED,
    NOISE,
    ORIENTATIONS,
    PAIR,
    PORTRAIT,
    STRANGER,
    UPRIGHT,
)
from conformance.service import Given, Service

family = Family("comparing")
case, each, exchange = family.case, family.each, family.exchange

COMPARED: Final = {"BoundingBox", "Confidence", "Landmarks", "Pose", "Quality"}
"""Of a face in the target: not Emotions and Smile, which the model would allow. Source: recording:comparefaces-2021."""

REFUSED: Final = error("InvalidParameterException", "Request has invalid parameters")


def compare(service: Service, source: Given, target: Given, **request: Any) -> Answer:  # noqa: ANN401 # any member
    """Compares two pictures."""
    return service.ok("CompareFaces", SourceImage=source, TargetImage=target, **request)


@each(
    "CompareFaces", "recording:comparefaces-2021", {"one face": PORTRAIT, "two faces": PAIR, "another face": STRANGER}
)
def _(service: Service, target: Given) -> None:
    """The answer has three members, both lists among them."""
    members("SourceImageFace", "FaceMatches", "UnmatchedFaces")(compare(service, PORTRAIT, target))


@case("CompareFaces", "recording:comparefaces-2021")
def _(service: Service) -> None:
    """SourceImageFace is a box and a confidence, those of DetectFaces."""
    shown = compare(service, PORTRAIT, PAIR)["SourceImageFace"]
    (detail,) = service.ok("DetectFaces", Image=PORTRAIT)["FaceDetails"]
    assert shown == {"BoundingBox": detail["BoundingBox"], "Confidence": detail["Confidence"]}


@case("CompareFaces", "recording:comparefaces-2021")
def _(service: Service) -> None:
    """A match has a similarity and a face of five members, as DetectFaces shows it."""
    (match,) = compare(service, PORTRAIT, PORTRAIT)["FaceMatches"]
    assert set(match) == {"Similarity", "Face"}
    assert set(match["Face"]) == COMPARED
    assert [match["Face"]] == service.ok("DetectFaces", Image=PORTRAIT)["FaceDetails"]


@case("CompareFaces", "recording:comparefaces-2021")
def _(service: Service) -> None:
    """Five landmarks come in the recorded order."""
    answer = compare(service, PORTRAIT, PAIR, SimilarityThreshold=0)
    for match in answer["FaceMatches"]:
        assert [point["Type"] for point in match["Face"]["Landmarks"]] == LANDMARKS


@case("CompareFaces", "recording:guide-comparefaces")
def _(service: Service) -> None:
    """An unmatched face has five members and no similarity."""
    unmatched = compare(service, STRANGER, PAIR, SimilarityThreshold=100)["UnmatchedFaces"]
    assert unmatched
    assert all(set(shown) == COMPARED for shown in unmatched)


@case("CompareFaces", "recording:comparefaces-same-image-two-faces-2022")
def _(service: Service) -> None:
    """A picture compared with itself has 100.0 first, as it is printed."""
    answer = compare(service, PORTRAIT, PORTRAIT)
    assert b'"Similarity":100.0,' in answer.content
    assert answer["UnmatchedFaces"] == []


@case("CompareFaces", "recording:comparefaces-same-image-two-faces-2022")
def _(service: Service) -> None:
    """Of several faces in the source the largest is compared."""
    answer = compare(service, PAIR, PAIR, SimilarityThreshold=0)
    largest = service.ok("DetectFaces", Image=PAIR)["FaceDetails"][0]
    assert answer["SourceImageFace"]["BoundingBox"] == largest["BoundingBox"]
    assert answer["FaceMatches"][0]["Face"] == largest
    assert answer["FaceMatches"][0]["Similarity"] == 100


@each("CompareFaces", "guide", {"two faces": PAIR, "a crowd": CROWD})
def _(service: Service, target: Given) -> None:
    """Every face of the target is matched or unmatched."""
    seen = len(service.ok("DetectFaces", Image=target)["FaceDetails"])
    for threshold in (0, 50, 80, 99, 100):
        answer = compare(service, PORTRAIT, target, SimilarityThreshold=threshold)
        assert len(answer["FaceMatches"]) + len(answer["UnmatchedFaces"]) == seen, threshold


@each("CompareFaces", "recording:comparefaces-same-image-two-faces-2022", {"two faces": PAIR, "a crowd": CROWD})
def _(service: Service, target: Given) -> None:
    """Matches come by similarity, the most similar first."""
    values = [match["Similarity"] for match in compare(service, PORTRAIT, target, SimilarityThreshold=0)["FaceMatches"]]
    assert values == sorted(values, reverse=True)


@case("CompareFaces", "guide")
def _(service: Service) -> None:
    """At threshold 0 every face is a match."""
    answer = compare(service, STRANGER, PAIR, SimilarityThreshold=0)
    assert (len(answer["FaceMatches"]), answer["UnmatchedFaces"]) == (2, [])


@case("CompareFaces", "guide")
def _(service: Service) -> None:
    """The default threshold is 80."""
    for target in (PAIR, STRANGER, MIRRORED):
        assert (
            compare(service, PORTRAIT, target).body == compare(service, PORTRAIT, target, SimilarityThreshold=80).body
        )


@each("CompareFaces", "guide", {str(value): value for value in (0, 12.5, 50, 80, 99.99, 100)})
def _(service: Service, threshold: float) -> None:
    """A match reaches the threshold, and what does not is unmatched."""
    everything = compare(service, PORTRAIT, PAIR, SimilarityThreshold=0)["FaceMatches"]
    answer = compare(service, PORTRAIT, PAIR, SimilarityThreshold=threshold)
    assert answer["FaceMatches"] == [match for match in everything if match["Similarity"] >= threshold]
    below = [match["Face"] for match in everything if match["Similarity"] < threshold]
    assert sorted(answer["UnmatchedFaces"], key=area) == sorted(below, key=area)


@case("CompareFaces", "contract")
def _(service: Service) -> None:
    """Exchanged pictures are as similar."""
    (there,) = compare(service, PORTRAIT, STRANGER, SimilarityThreshold=0)["FaceMatches"]
    (back,) = compare(service, STRANGER, PORTRAIT, SimilarityThreshold=0)["FaceMatches"]
    assert abs(there["Similarity"] - back["Similarity"]) < 1e-2


@case("CompareFaces", "contract")
def _(service: Service) -> None:
    """Two pictures are as similar here as in a search."""
    name = service.new_collection()
    service.ok("IndexFaces", CollectionId=name, Image=STRANGER, QualityFilter="NONE")
    (searched,) = service.ok("SearchFacesByImage", CollectionId=name, Image=PORTRAIT, FaceMatchThreshold=0)[
        "FaceMatches"
    ]
    (compared,) = compare(service, PORTRAIT, STRANGER, SimilarityThreshold=0)["FaceMatches"]
    assert abs(searched["Similarity"] - compared["Similarity"]) < 1e-2


for name, (source, target) in {
    "no face in the source": (NOISE, PORTRAIT),
    "no face in the target": (PORTRAIT, NOISE),
    "no face in either": (FLAT, NOISE),
}.items():
    exchange(
        "CompareFaces",
        name,
        {"SourceImage": source, "TargetImage": target},
        REFUSED,
        "recording:error-noface-comparefaces",
    )


@each("CompareFaces", "model", {level: level for level in ("NONE", "AUTO", "LOW", "MEDIUM", "HIGH")})
def _(service: Service, level: str) -> None:
    """A sharp and bright portrait passes this QualityFilter on both sides, or is refused as if it were not there."""
    answer = service.call("CompareFaces", {"SourceImage": PORTRAIT, "TargetImage": PORTRAIT, "QualityFilter": level})
    if answer.status == 200:
        assert answer["FaceMatches"][0]["Similarity"] == 100
    else:
        assert level in {"MEDIUM", "HIGH"}
        REFUSED(answer)


@case("CompareFaces", "guide")
def _(service: Service) -> None:
    """Without QualityFilter nothing is filtered."""
    for picture in (BLURRED, DARK):
        request = {"SourceImage": PORTRAIT, "TargetImage": picture}
        default = service.call("CompareFaces", request)
        unfiltered = service.call("CompareFaces", {**request, "QualityFilter": "NONE"})
        assert default.error == unfiltered.error
        assert default.error or default.body == unfiltered.body


@case("CompareFaces", "contract")
def _(service: Service) -> None:
    """Boxes are those of the upright picture, on both sides."""
    plain = compare(service, UPRIGHT, UPRIGHT)
    for picture in (ORIENTATIONS[6], ORIENTATIONS[3]):
        answer = compare(service, picture, picture)
        assert overlap(plain["SourceImageFace"]["BoundingBox"], answer["SourceImageFace"]["BoundingBox"]) > 0.8
        (match,) = answer["FaceMatches"]
        assert overlap(plain["FaceMatches"][0]["Face"]["BoundingBox"], match["Face"]["BoundingBox"]) > 0.8


@case("CompareFaces", "contract")
def _(service: Service) -> None:
    """The same pictures have the same answer."""
    assert compare(service, PORTRAIT, PAIR).content == compare(service, PORTRAIT, PAIR).content
