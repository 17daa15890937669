"""Our answers beside the recorded ones: same members, same kinds of numbers, same order, same texts."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.server import ROOT, Server

pytestmark = pytest.mark.every_engine

RECORDINGS = ROOT.parent / "shared" / "recordings"
JAVA_DOUBLE = re.compile(r"-?(0\.0|[1-9]\d{0,6}\.\d+|0\.\d+|\d\.\d+E-?\d+)")

SINCE = {
    "DeleteFaces": {"UnsuccessfulFaceDeletions"},  # sent since 2023, the recording is older
    "DescribeCollection": {"UserCount"},  # likewise
}


class Double(str):
    """A number as it was printed."""

    __slots__ = ()


def recording(name: str) -> Any:
    """One recorded case."""
    path = RECORDINGS / f"{name}.json"
    if not path.exists():
        pytest.skip(f"no recordings at {RECORDINGS}")
    return json.loads(path.read_text())


def picture(faces_dir: Path, name: str) -> dict[str, str]:
    """An Image as JSON carries it."""
    return {"Bytes": base64.b64encode((faces_dir / name).read_bytes()).decode()}


def answer(server: Server, operation: str, request: Any) -> Any:
    """Our answer, with every decimal number as it was printed."""
    response = server.post(operation, request)
    assert response.status_code == 200, response.text
    assert b'": ' not in response.content
    return json.loads(response.content, parse_float=Double)


def kinds(value: Any) -> Any:
    """The shape of an answer: members and kinds of values; a list is the shape of its first item."""
    match value:
        case dict():
            return {name: kinds(member) for name, member in value.items()}
        case list():
            return [kinds(value[0])] if value else []
        case Double():
            assert JAVA_DOUBLE.fullmatch(value), value
            return "double"
        case float():
            return "double"
        case _:
            return type(value).__name__


def landmarks(detail: Any) -> list[str]:
    """The names of a face's points, in their order."""
    return [point["Type"] for point in detail["Landmarks"]]


@pytest.fixture(scope="module")
def album(server: Server, faces_dir: Path) -> str:
    """A collection with one picture of three faces under a name and one of one face without."""
    answer(server, "CreateCollection", {"CollectionId": "recordings"})
    for name, external in (("groups/dl_2008_001322.jpg", {"ExternalImageId": "three"}), ("people/df01_img2.jpg", {})):
        answer(
            server,
            "IndexFaces",
            {"CollectionId": "recordings", "Image": picture(faces_dir, name), "QualityFilter": "NONE", **external},
        )
    return "recordings"


def test_create_describe_and_delete_collection(server: Server) -> None:
    """The three answers about a collection have the recorded members; only one of the two ARNs begins with arn:."""
    created = answer(server, "CreateCollection", {"CollectionId": "shape"})
    assert kinds(created) == kinds(recording("createcollection-v5-2021")["response"])
    assert created["CollectionArn"] == "aws:rekognition:us-east-1:000000000000:collection/shape"
    described = answer(server, "DescribeCollection", {"CollectionId": "shape"})
    assert set(described) - SINCE["DescribeCollection"] == set(recording("describecollection-cli2-2020")["response"])
    assert described["CollectionARN"] == "arn:" + created["CollectionArn"]
    assert (described["FaceCount"], described["UserCount"]) == (0, 0)
    assert re.fullmatch(r"1\.\d{1,12}E9", described["CreationTimestamp"])
    deleted = server.post("DeleteCollection", {"CollectionId": "shape"})
    assert deleted.content == b'{"StatusCode":200}'
    assert deleted.headers["Content-Length"] == recording("deletecollection-2023")["headers"]["content-length"]


def test_list_collections(server: Server, album: str) -> None:
    """Ids and versions are parallel lists, and a truncated page has a token."""
    answer(server, "CreateCollection", {"CollectionId": "recordings-2"})
    page = answer(server, "ListCollections", {"MaxResults": 1})
    assert kinds(page) == kinds(recording("guide-listcollections-page")["response"])
    answer(server, "DeleteCollection", {"CollectionId": "recordings-2"})


def test_index_faces_with_default_attributes(server: Server, faces_dir: Path) -> None:
    """IndexFaces shows five landmarks in the service's order, no model version on the face, and both lists."""
    answer(server, "CreateCollection", {"CollectionId": "index"})
    ours = answer(server, "IndexFaces", {"CollectionId": "index", "Image": picture(faces_dir, "people/df01_img2.jpg")})
    theirs = recording("indexfaces-v6-default-attributes")["response"]
    assert kinds(ours) == kinds(theirs)
    record = ours["FaceRecords"][0]
    assert landmarks(record["FaceDetail"]) == landmarks(theirs["FaceRecords"][0]["FaceDetail"])
    assert record["Face"]["BoundingBox"] == record["FaceDetail"]["BoundingBox"]
    answer(server, "DeleteCollection", {"CollectionId": "index"})


@pytest.mark.parametrize(
    ("operation", "name"), [("IndexFaces", "indexfaces-v7-all-2024"), ("DetectFaces", "detectfaces-all-2023")]
)
def test_all_attributes_are_those_that_are_known(operation: str, name: str, server: Server, faces_dir: Path) -> None:
    """Asked for all attributes, we send those of the recorded members that models at hand know, in the service's order.

    The embedded models know none but what is measured on every face, and five landmarks.
    """
    if operation == "IndexFaces":
        answer(server, "CreateCollection", {"CollectionId": "all"})
    request: dict[str, Any] = {"Image": picture(faces_dir, "people/df01_img10.jpg")}
    request |= (
        {"CollectionId": "all", "DetectionAttributes": ["ALL"]}
        if operation == "IndexFaces"
        else {"Attributes": ["ALL"]}
    )
    ours, theirs = answer(server, operation, request), recording(name)["response"]

    def detail(response: Any) -> Any:
        return (response.get("FaceDetails") or [record["FaceDetail"] for record in response["FaceRecords"]])[0]

    assert set(ours) == set(theirs)
    assert kinds(detail(ours)) == {name: kind for name, kind in kinds(detail(theirs)).items() if name in detail(ours)}
    measured = {"BoundingBox", "Landmarks", "Pose", "Quality", "Confidence"}
    if set(detail(ours)) == measured:
        assert landmarks(detail(ours)) == landmarks(detail(theirs))[:5]
    else:
        estimated = {"AgeRange", "Emotions", "EyeDirection", "EyesOpen", "Gender", "MouthOpen", "Smile"}
        assert set(detail(ours)) == measured | estimated
        assert landmarks(detail(ours)) == landmarks(detail(theirs))


def test_list_faces_rounds_what_it_stored(server: Server, album: str) -> None:
    """Stored faces have the recorded members, ascending ids, and boxes of six significant digits."""
    ours = answer(server, "ListFaces", {"CollectionId": album})
    theirs = recording("listfaces-v6-one-image-three-faces")["response"]
    named = [face for face in ours["Faces"] if "ExternalImageId" in face]
    assert len(named) == 3
    assert all(kinds(face) == kinds(theirs["Faces"][0]) for face in named)
    assert len({face["ImageId"] for face in named}) == 1
    ids = [face["FaceId"] for face in ours["Faces"]]
    assert ids == sorted(ids)
    for face in ours["Faces"]:
        for side in face["BoundingBox"].values():
            assert float(np.float32(f"{float(side):.6g}")) == float(side)


def test_a_page_of_faces_has_a_token(server: Server, album: str) -> None:
    """A truncated list of faces has the members of the guide's."""
    page = answer(server, "ListFaces", {"CollectionId": album, "MaxResults": 2})
    assert set(page) == set(recording("guide-listfaces-page")["response"]) | {"FaceModelVersion"}
    rest = answer(server, "ListFaces", {"CollectionId": album, "MaxResults": 2, "NextToken": page["NextToken"]})
    assert "NextToken" not in rest
    assert len(page["Faces"]) + len(rest["Faces"]) == 4


def test_search_by_the_picture_that_was_indexed(server: Server, album: str, faces_dir: Path) -> None:
    """An exact match reads 100.0, the searched box is unrounded, and no name is shown where none was given."""
    ours = answer(
        server,
        "SearchFacesByImage",
        {"CollectionId": album, "Image": picture(faces_dir, "people/df01_img2.jpg"), "FaceMatchThreshold": 99.9},
    )
    assert kinds(ours) == kinds(recording("searchfacesbyimage-v6-exact")["response"])
    assert ours["FaceMatches"][0]["Similarity"] == "100.0"


def test_search_by_face(server: Server, album: str) -> None:
    """SearchFaces names the searched face and leaves it out of its matches."""
    face = answer(server, "ListFaces", {"CollectionId": album})["Faces"][0]["FaceId"]
    ours = answer(server, "SearchFaces", {"CollectionId": album, "FaceId": face, "FaceMatchThreshold": 0})
    theirs = recording("cli-search-faces")["response"]
    assert set(ours) == set(theirs)
    assert ours["SearchedFaceId"] == face
    assert face not in {match["Face"]["FaceId"] for match in ours["FaceMatches"]}
    assert len(ours["FaceMatches"]) == 3


def test_delete_faces(server: Server, album: str, faces_dir: Path) -> None:
    """DeleteFaces answers the ids that went, and an empty list of those that did not."""
    request = {"CollectionId": album, "Image": picture(faces_dir, "people/synth01_ref.jpg")}
    (record,) = answer(server, "IndexFaces", request)["FaceRecords"]
    deleted = answer(server, "DeleteFaces", {"CollectionId": album, "FaceIds": [record["Face"]["FaceId"]]})
    assert set(deleted) - SINCE["DeleteFaces"] == set(recording("deletefaces-one-2023")["response"])
    assert deleted["UnsuccessfulFaceDeletions"] == []


def test_a_picture_without_a_face(server: Server, album: str, faces_dir: Path) -> None:
    """DetectFaces and IndexFaces answer empty lists, to the byte; SearchFacesByImage refuses."""
    nothing = picture(faces_dir, "noface/if_lake.jpg")
    recorded = recording("detectfaces-none-2022")
    detected = server.post("DetectFaces", {"Image": nothing})
    assert json.loads(detected.content) == recorded["response"]
    assert detected.headers["Content-Length"] == recorded["headers"]["content-length"]
    indexed = answer(server, "IndexFaces", {"CollectionId": album, "Image": nothing})
    assert (indexed["FaceRecords"], indexed["UnindexedFaces"]) == ([], [])
    assert_error(server, "error-noface-searchfacesbyimage", {"CollectionId": album, "Image": nothing})


def assert_error(server: Server, name: str, request: Any, *, operation: str | None = None) -> None:
    """Our error is the recorded one, to the text, with the collection's name in place of the recorded one."""
    case = recording(name)
    response = server.post(operation or case["operation"], request)
    ours, theirs = response.json(), case["response"]
    assert response.status_code == case["status"]
    assert set(ours) == set(theirs)
    assert ours["__type"] == theirs["__type"]
    assert response.headers["Content-Type"] == "application/x-amz-json-1.1"
    recorded_name = case["request"].get("CollectionId", "")
    for key in {"Message", "message"} & set(theirs):
        expected = theirs[key]
        if recorded_name and isinstance(request, dict):
            expected = expected.replace(recorded_name, request["CollectionId"])
        assert ours[key] == expected


MISSING = {"CollectionId": "no-such-collection"}
UNKNOWN_FACE = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("error-collection-exists", {"CollectionId": "recordings"}),
        ("error-collection-missing-deletecollection", MISSING),
        ("error-collection-missing-describecollection", MISSING),
        ("error-collection-missing-listfaces", MISSING),
        ("error-faceid-missing-searchfaces", {"CollectionId": "recordings", "FaceId": UNKNOWN_FACE}),
        ("error-validation-faceids-empty", {"CollectionId": "recordings", "FaceIds": []}),
        ("error-doc-pagination", {"CollectionId": "recordings", "NextToken": "nonsense"}),
    ],
)
def test_recorded_errors(name: str, request_: Any, server: Server, album: str) -> None:
    """Every recorded error of the operations here is ours, text for text."""
    assert_error(server, name, request_)


@pytest.mark.parametrize(
    ("name", "operation", "image"),
    [
        ("error-image-neither-bytes-nor-s3", "DetectFaces", {}),
        ("error-invalidimageformat", "DetectFaces", {"Bytes": base64.b64encode(b"GIF89a, or so").decode()}),
        ("error-validation-image-bytes-empty-raw", "DetectFaces", {"Bytes": ""}),
        ("error-validation-image-bytes-too-long", "DetectFaces", {"Bytes": base64.b64encode(bytes(5242881)).decode()}),
    ],
)
def test_recorded_image_errors(name: str, operation: str, image: Any, server: Server) -> None:
    """Errors about the picture read alike in every operation that takes one."""
    case = recording(name)
    response = server.post(operation, {"Image": image})
    ours, theirs = response.json(), case["response"]
    assert (response.status_code, set(ours), ours["__type"]) == (case["status"], set(theirs), theirs["__type"])
    (key,) = {"Message", "message"} & set(theirs)
    assert re.sub(r"\d{6,}", "N", ours[key]) == re.sub(r"\d{6,}", "N", theirs[key])
