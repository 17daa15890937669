"""Cases on SearchFaces and SearchFacesByImage."""

from collections.abc import Mapping
from typing import Final

from conformance.answer import Answer
from conformance.case import Family
from conformance.cases.faces_found import STORED, overlap
from conformance.expect import error, found, members
from conformance.pictures import BLURRED, DARK, FLAT, NOISE, ORIENTATIONS, PAIR, PORTRAIT, SMALL_FACE, UPRIGHT
from conformance.service import Given, Request, Service
from conformance.shared import UNKNOWN_FACE, album, empty, enroll, face, indexed, people

family = Family("searching")
case, each, exchange = family.case, family.each, family.exchange

LEVELS: Final = {level: level for level in ("NONE", "AUTO", "LOW", "MEDIUM", "HIGH")}
NO_FACE: Final = "There are no faces in the image. Should be at least 1."

BOTH: Final[Mapping[str, Request]] = {
    "SearchFaces": {"CollectionId": album, "FaceId": face},
    "SearchFacesByImage": {"CollectionId": album, "Image": PORTRAIT},
}
"""The two operations on the same face."""


def ids(answer: Answer) -> list[str]:
    """Returns the ids of the matches, in order."""
    return [match["Face"]["FaceId"] for match in answer["FaceMatches"]]


def similarities(answer: Answer) -> list[float]:
    """Returns the similarities of the matches, in order."""
    return [match["Similarity"] for match in answer["FaceMatches"]]


exchange(
    "SearchFaces",
    "the answer has three members",
    BOTH["SearchFaces"],
    members("SearchedFaceId", "FaceMatches", "FaceModelVersion"),
    "recording:cli-search-faces",
)
exchange(
    "SearchFacesByImage",
    "the answer has four members",
    BOTH["SearchFacesByImage"],
    members("SearchedFaceBoundingBox", "SearchedFaceConfidence", "FaceMatches", "FaceModelVersion"),
    "recording:searchfacesbyimage-v6-exact",
)


@family.operations("recording:searchfacesbyimage-v6-exact", BOTH)
def _(service: Service, operation: str, request: Request) -> None:
    """A match shows its similarity and the face as it is stored."""
    stored = {entry["FaceId"]: entry for entry in service.ok("ListFaces", CollectionId=album)["Faces"]}
    for match in service.ok(operation, **request, FaceMatchThreshold=0)["FaceMatches"]:
        assert set(match) == {"Similarity", "Face"}
        assert set(match["Face"]) - {"ExternalImageId"} == STORED
        assert match["Face"] == stored[match["Face"]["FaceId"]]


@family.operations("recording:cli-search-faces", BOTH)
def _(service: Service, operation: str, request: Request) -> None:
    """Matches come by similarity, the most similar first."""
    values = similarities(service.ok(operation, **request, FaceMatchThreshold=0))
    assert len(values) >= 3
    assert values == sorted(values, reverse=True)


@family.operations("guide", BOTH)
def _(service: Service, operation: str, request: Request) -> None:
    """At threshold 0 every other face is a match."""
    others = {entry["FaceId"] for entry in service[indexed].faces}
    if operation == "SearchFaces":
        others.remove(service[face])
    assert set(ids(service.ok(operation, **request, FaceMatchThreshold=0))) == others


@family.operations("guide", BOTH)
def _(service: Service, operation: str, request: Request) -> None:
    """The default threshold is 80."""
    default = service.ok(operation, **request)
    assert ids(default) == ids(service.ok(operation, **request, FaceMatchThreshold=80))
    assert all(value >= 80 for value in similarities(default))


@family.operations("guide", BOTH)
def _(service: Service, operation: str, request: Request) -> None:
    """A match reaches the threshold, and a higher one lets through a part of what a lower one does."""
    everything = service.ok(operation, **request, FaceMatchThreshold=0)
    for threshold in (0.001, 12.5, 50, 80, 90.5, 99, 99.99, 100):
        answer = service.ok(operation, **request, FaceMatchThreshold=threshold)
        expected = [match for match in everything["FaceMatches"] if match["Similarity"] >= threshold]
        assert answer["FaceMatches"] == expected, threshold


@family.operations("guide", BOTH)
def _(service: Service, operation: str, request: Request) -> None:
    """The threshold is inclusive: a match's own similarity finds it."""
    for match in service.ok(operation, **request, FaceMatchThreshold=0)["FaceMatches"]:
        again = service.ok(operation, **request, FaceMatchThreshold=match["Similarity"])
        assert match["Face"]["FaceId"] in ids(again), match["Similarity"]


@family.operations("guide", BOTH)
def _(service: Service, operation: str, request: Request) -> None:
    """MaxFaces keeps the most similar."""
    everything = service.ok(operation, **request, FaceMatchThreshold=0)
    for count in (1, 2):
        fewer = service.ok(operation, **request, FaceMatchThreshold=0, MaxFaces=count)
        assert similarities(fewer) == similarities(everything)[:count]


@family.operations("model", BOTH)
def _(service: Service, operation: str, request: Request) -> None:
    """MaxFaces may be 4096."""
    answer = service.ok(operation, **request, FaceMatchThreshold=0, MaxFaces=4096)
    assert len(answer["FaceMatches"]) >= 3


@family.operations("recording:cli-search-faces", BOTH)
def _(service: Service, operation: str, request: Request) -> None:
    """FaceModelVersion is the collection's."""
    version = service.ok("DescribeCollection", CollectionId=album)["FaceModelVersion"]
    assert service.ok(operation, **request)["FaceModelVersion"] == version


@family.operations("ours", BOTH)
def _(service: Service, operation: str, request: Request) -> None:
    """The same search twice has the same answer, ties included."""
    once = service.ok(operation, **request, FaceMatchThreshold=0)
    assert once.body == service.ok(operation, **request, FaceMatchThreshold=0).body


@family.operations("contract", BOTH)
def _(service: Service, operation: str, request: Request) -> None:
    """A search finds faces of its collection only."""
    enroll(service, service.new_collection(), Image=PORTRAIT)
    inside = {entry["FaceId"] for entry in service[indexed].faces}
    assert set(ids(service.ok(operation, **request, FaceMatchThreshold=0))) <= inside


@family.operations("recording:searchfacesbyimage-v5-2021", BOTH)
def _(service: Service, operation: str, request: Request) -> None:
    """Similarity lies between 0 and 100."""
    values = similarities(service.ok(operation, **request, FaceMatchThreshold=0))
    assert all(0 <= value <= 100 for value in values), values


@case("SearchFaces", "recording:cli-search-faces")
def _(service: Service) -> None:
    """The searched face is named and not among its own matches."""
    for entry in service[indexed].faces:
        answer = service.ok("SearchFaces", CollectionId=album, FaceId=entry["FaceId"], FaceMatchThreshold=0)
        assert answer["SearchedFaceId"] == entry["FaceId"]
        assert entry["FaceId"] not in ids(answer)


@case("SearchFaces", "contract")
def _(service: Service) -> None:
    """Two faces find each other with the same similarity."""
    one, other = (entry["FaceId"] for entry in service[indexed].faces[:2])

    def similarity(searched: str, wanted: str) -> float:
        answer = service.ok("SearchFaces", CollectionId=album, FaceId=searched, FaceMatchThreshold=0)
        return dict(zip(ids(answer), similarities(answer), strict=True))[wanted]

    assert abs(similarity(one, other) - similarity(other, one)) < 1e-3


@case("SearchFaces", "recording:searchfacesbyimage-v6-exact")
def _(service: Service) -> None:
    """The same picture stored under two names finds itself with 100.0, as it is printed."""
    name = service.new_collection()
    first, second = (enroll(service, name, Image=PORTRAIT, ExternalImageId=external) for external in ("a", "b"))
    answer = service.ok("SearchFaces", CollectionId=name, FaceId=first, FaceMatchThreshold=100)
    assert ids(answer) == [second]
    assert b'"Similarity":100.0,' in answer.content


@case("SearchFaces", "contract")
def _(service: Service) -> None:
    """The only face of a collection finds nothing."""
    name = service.new_collection()
    face_id = enroll(service, name, Image=PORTRAIT)
    found(SearchedFaceId=face_id, FaceMatches=[])(
        service.call("SearchFaces", {"CollectionId": name, "FaceId": face_id, "FaceMatchThreshold": 0})
    )


UNKNOWN: Final = error("InvalidParameterException", "faceId was not found in the collection.")
exchange(
    "SearchFaces",
    "an unknown face is a wrong parameter",
    {"CollectionId": album, "FaceId": UNKNOWN_FACE},
    UNKNOWN,
    "recording:error-faceid-missing-searchfaces",
)
exchange(
    "SearchFaces",
    "an empty collection knows no face",
    {"CollectionId": empty, "FaceId": UNKNOWN_FACE},
    UNKNOWN,
    "contract",
)
exchange(
    "SearchFaces",
    "a face of another collection is unknown",
    {"CollectionId": empty, "FaceId": face},
    UNKNOWN,
    "contract",
)


@case("SearchFacesByImage", "recording:searchfacesbyimage-v6-exact")
def _(service: Service) -> None:
    """The picture that was indexed finds its face first, with 100.0, as it is printed."""
    answer = service.ok("SearchFacesByImage", **BOTH["SearchFacesByImage"])
    assert ids(answer)[0] == service[face]
    assert b'"Similarity":100.0,' in answer.content


@case("SearchFacesByImage", "recording:searchfacesbyimage-v6-exact")
def _(service: Service) -> None:
    """Box and confidence of the searched face are those of DetectFaces, unrounded."""
    (detail,) = service.ok("DetectFaces", Image=PORTRAIT)["FaceDetails"]
    answer = service.ok("SearchFacesByImage", **BOTH["SearchFacesByImage"])
    assert answer["SearchedFaceBoundingBox"] == detail["BoundingBox"]
    assert answer["SearchedFaceConfidence"] == detail["Confidence"]


@case("SearchFacesByImage", "guide")
def _(service: Service) -> None:
    """Of several faces the largest is searched."""
    largest = service.ok("DetectFaces", Image=PAIR)["FaceDetails"][0]["BoundingBox"]
    answer = service.ok("SearchFacesByImage", CollectionId=album, Image=PAIR, FaceMatchThreshold=100)
    assert answer["SearchedFaceBoundingBox"] == largest
    assert ids(answer) == [service[indexed].pair["FaceRecords"][0]["Face"]["FaceId"]]


exchange(
    "SearchFacesByImage",
    "in an empty collection nothing matches, and the searched face is shown",
    {"CollectionId": empty, "Image": PORTRAIT, "FaceMatchThreshold": 0},
    found(FaceMatches=[]),
    "contract",
)
exchange(
    "SearchFacesByImage",
    "an answer without matches keeps its members",
    {"CollectionId": empty, "Image": PORTRAIT},
    members("SearchedFaceBoundingBox", "SearchedFaceConfidence", "FaceMatches", "FaceModelVersion"),
    "contract",
)


@each(
    "SearchFacesByImage",
    "recording:error-noface-searchfacesbyimage",
    {"noise": (album, NOISE), "one colour": (album, FLAT), "an empty collection": (empty, NOISE)},
)
def _(service: Service, searched: tuple[Given, Given]) -> None:
    """A picture without a face is a wrong parameter."""
    collection, picture = searched
    answer = service.call("SearchFacesByImage", {"CollectionId": collection, "Image": picture})
    error("InvalidParameterException", NO_FACE)(answer)


@case("SearchFacesByImage", "contract")
def _(service: Service) -> None:
    """The searched picture is not stored."""
    name = service.new_collection()
    service.ok("SearchFacesByImage", CollectionId=name, Image=PORTRAIT)
    assert service.ok("DescribeCollection", CollectionId=name)["FaceCount"] == 0


@each("SearchFacesByImage", "ours", LEVELS)
def _(service: Service, level: str) -> None:
    """A face that QualityFilter removes is as if there were none, at this level."""
    for picture in (PORTRAIT, SMALL_FACE, BLURRED, DARK):
        answer = service.call("SearchFacesByImage", {"CollectionId": album, "Image": picture, "QualityFilter": level})
        indexed_here = service.ok(
            "IndexFaces", CollectionId=service.new_collection(), Image=picture, QualityFilter=level
        )["FaceRecords"]
        if indexed_here:
            assert answer.status == 200, (picture.name, answer.content)
        else:
            error("InvalidParameterException", NO_FACE)(answer)


@case("SearchFacesByImage", "guide")
def _(service: Service) -> None:
    """Without QualityFilter nothing is filtered."""
    for picture in (SMALL_FACE, BLURRED, DARK):
        request = {"CollectionId": album, "Image": picture}
        default = service.call("SearchFacesByImage", request)
        unfiltered = service.call("SearchFacesByImage", {**request, "QualityFilter": "NONE"})
        assert default.error == unfiltered.error
        assert default.error or default.body == unfiltered.body


@case("SearchFacesByImage", "contract")
def _(service: Service) -> None:
    """The searched box lies where the face is, in a picture turned by its EXIF orientation too."""
    upright = service.ok("SearchFacesByImage", CollectionId=album, Image=UPRIGHT)["SearchedFaceBoundingBox"]
    for number, picture in ORIENTATIONS.items():
        turned = service.ok("SearchFacesByImage", CollectionId=album, Image=picture)["SearchedFaceBoundingBox"]
        assert overlap(upright, turned) > 0.8, number


@family.operations("contract", BOTH)
def _(service: Service, operation: str, request: Request) -> None:
    """A whole number is a threshold too."""
    answer = service.raw(operation, {**request, "FaceMatchThreshold": 99})
    assert all(value >= 99 for value in similarities(answer))


@case("SearchFaces", "recording:model-listfaces")
def _(service: Service) -> None:
    """A match that belongs to a user names the user."""
    known = service[people]
    answer = service.ok("SearchFaces", CollectionId=known.name, FaceId=known.free_face, FaceMatchThreshold=0)
    shown = {match["Face"]["FaceId"]: match["Face"].get("UserId") for match in answer["FaceMatches"]}
    assert shown == {**dict.fromkeys(known.ada_faces, "ada"), known.bob_face: "bob"}


@case("SearchFacesByImage", "recording:model-listfaces")
def _(service: Service) -> None:
    """A match that belongs to a user names the user, and others name none."""
    known = service[people]
    answer = service.ok("SearchFacesByImage", CollectionId=known.name, Image=PORTRAIT, FaceMatchThreshold=0)
    shown = {match["Face"]["FaceId"]: match["Face"].get("UserId") for match in answer["FaceMatches"]}
    assert shown == {**dict.fromkeys(known.ada_faces, "ada"), known.bob_face: "bob", known.free_face: None}
