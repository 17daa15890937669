"""Cases on IndexFaces: what is stored of an image, and what is told about it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from conformance.answer import UUID_3, UUID_4, Answer
from conformance.case import Family
from conformance.cases.faces_found import DETAIL, LANDMARKS, area, assert_detail
from conformance.expect import members
from conformance.pictures import (
    BLURRED,
    COMMENTED,
    CROWD,
    CUT,
    DARK,
    FLAT,
    HUNDRED_AND_EIGHT,
    NOISE,
    PAIR,
    PORTRAIT,
    SMALL_FACE,
)
from conformance.service import Given, Service
from conformance.shared import enroll, indexed

family = Family("indexing")
case, each = family.case, family.each

REASONS: Final = {
    "EXCEEDS_MAX_FACES",
    "EXTREME_POSE",
    "LOW_BRIGHTNESS",
    "LOW_CONFIDENCE",
    "LOW_FACE_QUALITY",
    "LOW_SHARPNESS",
    "SMALL_BOUNDING_BOX",
}


def index(service: Service, **request: Any) -> Answer:  # noqa: ANN401 # any member
    """Indexes a picture into a new collection unless the request names one."""
    return service.ok("IndexFaces", **{"CollectionId": service.new_collection(), **request})


def face_ids(answer: Answer) -> list[str]:
    """Returns the ids in the order of the answer."""
    return [record["Face"]["FaceId"] for record in answer["FaceRecords"]]


@case("IndexFaces", "recording:indexfaces-v6-default-attributes")
def _(service: Service) -> None:
    """The answer has three members, both lists among them."""
    answer = service[indexed].portrait
    members("FaceRecords", "FaceModelVersion", "UnindexedFaces")(answer)
    assert answer["UnindexedFaces"] == []


@case("IndexFaces", "recording:indexfaces-v6-default-attributes")
def _(service: Service) -> None:
    """A face under a name shows it, and neither model version nor user."""
    (record,) = service[indexed].portrait["FaceRecords"]
    assert set(record) == {"Face", "FaceDetail"}
    assert set(record["Face"]) == {"FaceId", "BoundingBox", "ImageId", "ExternalImageId", "Confidence"}
    assert record["Face"]["ExternalImageId"] == "portrait"


@case("IndexFaces", "recording:indexfaces-v6-default-attributes")
def _(service: Service) -> None:
    """A face without a name shows none."""
    (record,) = service[indexed].mirrored["FaceRecords"]
    assert set(record["Face"]) == {"FaceId", "BoundingBox", "ImageId", "Confidence"}


@case("IndexFaces", "recording:indexfaces-v6-default-attributes")
def _(service: Service) -> None:
    """By default a FaceDetail has five members and five landmarks, in the recorded order."""
    for record in service[indexed].portrait["FaceRecords"]:
        assert_detail(record["FaceDetail"])


@case("IndexFaces", "recording:indexfaces-v4-2019-a")
def _(service: Service) -> None:
    """FaceIds are random UUIDs, ImageIds name-based ones of version 3."""
    for entry in service[indexed].faces:
        assert UUID_4.fullmatch(entry["FaceId"]), entry["FaceId"]
        assert UUID_3.fullmatch(entry["ImageId"]), entry["ImageId"]


@case("IndexFaces", "recording:indexfaces-v7-all-2024")
def _(service: Service) -> None:
    """Face and FaceDetail show the same box and confidence."""
    for record in service[indexed].pair["FaceRecords"]:
        assert record["Face"]["BoundingBox"] == record["FaceDetail"]["BoundingBox"]
        assert record["Face"]["Confidence"] == record["FaceDetail"]["Confidence"]


@case("IndexFaces", "guide")
def _(service: Service) -> None:
    """The largest face comes first."""
    first, second = service[indexed].pair["FaceRecords"]
    assert area(first["Face"]) > area(second["Face"])
    assert first["Face"]["BoundingBox"]["Left"] > second["Face"]["BoundingBox"]["Left"]


@case("IndexFaces", "recording:listfaces-v6-one-image-three-faces")
def _(service: Service) -> None:
    """All faces of one picture share its ImageId and name, and no FaceId."""
    faces = [record["Face"] for record in service[indexed].pair["FaceRecords"]]
    assert len({entry["ImageId"] for entry in faces}) == 1
    assert {entry["ExternalImageId"] for entry in faces} == {"pair"}
    assert len({entry["FaceId"] for entry in faces}) == 2


@case("IndexFaces", "contract")
def _(service: Service) -> None:
    """Different pictures have different ImageIds."""
    album = service[indexed]
    assert len({entry["ImageId"] for entry in album.faces}) == 3


@each("IndexFaces", "contract", {"noise": NOISE, "one colour": FLAT})
def _(service: Service, picture: Given) -> None:
    """A picture without a face is a success with two empty lists."""
    answer = index(service, Image=picture)
    members("FaceRecords", "FaceModelVersion", "UnindexedFaces")(answer)
    assert (answer["FaceRecords"], answer["UnindexedFaces"]) == ([], [])


@case("IndexFaces", "contract")
def _(service: Service) -> None:
    """FaceModelVersion is the collection's."""
    name = service.new_collection()
    version = service.ok("DescribeCollection", CollectionId=name)["FaceModelVersion"]
    assert index(service, CollectionId=name, Image=PORTRAIT)["FaceModelVersion"] == version


@case("IndexFaces", "guide")
def _(service: Service) -> None:
    """Beyond MaxFaces the largest face is kept, and the other comes back with the reason."""
    answer = index(service, Image=PAIR, MaxFaces=1, QualityFilter="NONE")
    (kept,), (left,) = answer["FaceRecords"], answer["UnindexedFaces"]
    assert area(kept["FaceDetail"]) > area(left["FaceDetail"])
    assert left["Reasons"] == ["EXCEEDS_MAX_FACES"]


@case("IndexFaces", "recording:guide-indexfaces-noface-filter")
def _(service: Service) -> None:
    """An unindexed face has reasons and a FaceDetail, and no Face."""
    (left,) = index(service, Image=PAIR, MaxFaces=1, QualityFilter="NONE")["UnindexedFaces"]
    assert set(left) == {"Reasons", "FaceDetail"}
    assert_detail(left["FaceDetail"])


@case("IndexFaces", "guide")
def _(service: Service) -> None:
    """What exceeds MaxFaces is not stored."""
    name = service.new_collection()
    kept = face_ids(index(service, CollectionId=name, Image=PAIR, MaxFaces=1, QualityFilter="NONE"))
    assert [entry["FaceId"] for entry in service.ok("ListFaces", CollectionId=name)["Faces"]] == kept


@each("IndexFaces", "model", {"as many as there are": 2, "100": 100, "a million": 10**6, "the greatest": 2**31 - 1})
def _(service: Service, max_faces: int) -> None:
    """MaxFaces has no maximum."""
    answer = index(service, Image=PAIR, MaxFaces=max_faces, QualityFilter="NONE")
    assert (len(answer["FaceRecords"]), answer["UnindexedFaces"]) == (2, [])


@each("IndexFaces", "guide", {"three": 3, "five": 5})
def _(service: Service, max_faces: int) -> None:
    """Of many faces exactly MaxFaces are stored, and all others come back."""
    answer = index(service, Image=CROWD, MaxFaces=max_faces, QualityFilter="NONE")
    detected = len(service.ok("DetectFaces", Image=CROWD)["FaceDetails"])
    assert len(answer["FaceRecords"]) == max_faces
    assert len(answer["UnindexedFaces"]) == detected - max_faces
    assert {tuple(entry["Reasons"]) for entry in answer["UnindexedFaces"]} == {("EXCEEDS_MAX_FACES",)}


@case("IndexFaces", "guide")
def _(service: Service) -> None:
    """Many faces come by size, the largest first."""
    sizes = [area(record["FaceDetail"]) for record in index(service, Image=CROWD, QualityFilter="NONE")["FaceRecords"]]
    assert sizes == sorted(sizes, reverse=True)


@each("IndexFaces", "model", {level: level for level in ("NONE", "AUTO", "LOW", "MEDIUM", "HIGH")})
def _(service: Service, level: str) -> None:
    """Every face that DetectFaces sees is either indexed or told with reasons, at QualityFilter."""
    for picture in (PORTRAIT, SMALL_FACE, BLURRED, DARK, CUT):
        answer = index(service, Image=picture, QualityFilter=level)
        seen = len(service.ok("DetectFaces", Image=picture)["FaceDetails"])
        assert len(answer["FaceRecords"]) + len(answer["UnindexedFaces"]) == seen, picture.name
        for left in answer["UnindexedFaces"]:
            assert left["Reasons"], "an unindexed face has no reason"
            assert set(left["Reasons"]) <= REASONS
        assert level != "NONE" or answer["UnindexedFaces"] == [], "something is filtered at NONE"


@case("IndexFaces", "guide")
def _(service: Service) -> None:
    """Without QualityFilter the answer is that of AUTO."""
    for picture in (PORTRAIT, SMALL_FACE, BLURRED, DARK):
        default, auto = index(service, Image=picture), index(service, Image=picture, QualityFilter="AUTO")
        assert default["UnindexedFaces"] == auto["UnindexedFaces"]
        assert len(default["FaceRecords"]) == len(auto["FaceRecords"])


@case("IndexFaces", "guide")
def _(service: Service) -> None:
    """A stricter QualityFilter never lets more faces pass."""
    for picture in (SMALL_FACE, BLURRED, DARK):
        counts = [
            len(index(service, Image=picture, QualityFilter=level)["FaceRecords"])
            for level in ("NONE", "LOW", "MEDIUM", "HIGH")
        ]
        assert counts == sorted(counts, reverse=True), (picture.name, counts)


@case("IndexFaces", "guide")
def _(service: Service) -> None:
    """A sharp and bright portrait passes AUTO."""
    answer = index(service, Image=PORTRAIT)
    assert (len(answer["FaceRecords"]), answer["UnindexedFaces"]) == (1, [])


@case("IndexFaces", "guide")
def _(service: Service) -> None:
    """The same picture under the same name stores nothing new and answers the same faces."""
    name = service.new_collection()
    first = index(service, CollectionId=name, Image=PAIR, ExternalImageId="p", QualityFilter="NONE")
    again = index(service, CollectionId=name, Image=PAIR, ExternalImageId="p", QualityFilter="NONE")
    assert face_ids(first) == face_ids(again)
    assert service.ok("DescribeCollection", CollectionId=name)["FaceCount"] == 2


@case("IndexFaces", "contract")
def _(service: Service) -> None:
    """The same picture without a name keeps its ImageId."""
    name = service.new_collection()
    (first,) = index(service, CollectionId=name, Image=PORTRAIT)["FaceRecords"]
    (again,) = index(service, CollectionId=name, Image=PORTRAIT)["FaceRecords"]
    assert first["Face"]["ImageId"] == again["Face"]["ImageId"]


@case("IndexFaces", "recording:indexfaces-v1-all-2017")
def _(service: Service) -> None:
    """The same picture under another name is another picture with other faces."""
    name = service.new_collection()
    (first,) = index(service, CollectionId=name, Image=PORTRAIT, ExternalImageId="a")["FaceRecords"]
    (other,) = index(service, CollectionId=name, Image=PORTRAIT, ExternalImageId="b")["FaceRecords"]
    assert first["Face"]["FaceId"] != other["Face"]["FaceId"]
    assert first["Face"]["ImageId"] != other["Face"]["ImageId"]
    assert service.ok("DescribeCollection", CollectionId=name)["FaceCount"] == 2


@case("IndexFaces", "recording:searchfacesbyimage-v6-exact")
def _(service: Service) -> None:
    """The same picture in another collection keeps its ImageId and has another FaceId."""
    (here,) = index(service, Image=PORTRAIT)["FaceRecords"]
    (there,) = index(service, Image=PORTRAIT)["FaceRecords"]
    assert here["Face"]["ImageId"] == there["Face"]["ImageId"]
    assert here["Face"]["FaceId"] != there["Face"]["FaceId"]


@case("IndexFaces", "contract")
def _(service: Service) -> None:
    """A deleted face comes back with the same ImageId and another FaceId."""
    name = service.new_collection()
    (first,) = index(service, CollectionId=name, Image=PORTRAIT, ExternalImageId="p")["FaceRecords"]
    service.ok("DeleteFaces", CollectionId=name, FaceIds=[first["Face"]["FaceId"]])
    (again,) = index(service, CollectionId=name, Image=PORTRAIT, ExternalImageId="p")["FaceRecords"]
    assert first["Face"]["ImageId"] == again["Face"]["ImageId"]
    assert first["Face"]["FaceId"] != again["Face"]["FaceId"]


@case("IndexFaces", "ours")
def _(service: Service) -> None:
    """One picture indexed four times at once is stored once."""
    name = service.new_collection()

    def once(_: int) -> Answer:
        return index(service, CollectionId=name, Image=PORTRAIT, ExternalImageId="p")

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(once, range(4)))
    assert len({face_id for answer in answers for face_id in face_ids(answer)}) == 1
    assert service.ok("DescribeCollection", CollectionId=name)["FaceCount"] == 1


@case("IndexFaces", "ours")
def _(service: Service) -> None:
    """A picture of which one face was cut off by MaxFaces yields the rest later."""
    name = service.new_collection()
    first = index(service, CollectionId=name, Image=PAIR, ExternalImageId="p", MaxFaces=1, QualityFilter="NONE")
    both = index(service, CollectionId=name, Image=PAIR, ExternalImageId="p", QualityFilter="NONE")
    assert len(face_ids(both)) == 2
    assert face_ids(first)[0] == face_ids(both)[0]


@each(
    "IndexFaces", "model", {"every character": "aA0_.-:", "one": "x", "255": "x" * 255, "colons": "a:b:c", "dots": ".."}
)
def _(service: Service, external_image_id: str) -> None:
    """A name may have these characters, and comes back as it was given."""
    name = service.new_collection()
    (record,) = index(service, CollectionId=name, Image=PORTRAIT, ExternalImageId=external_image_id)["FaceRecords"]
    (listed,) = service.ok("ListFaces", CollectionId=name)["Faces"]
    assert record["Face"]["ExternalImageId"] == listed["ExternalImageId"] == external_image_id


@each("IndexFaces", "guide", {"none": [], "DEFAULT": ["DEFAULT"], "DEFAULT twice": ["DEFAULT", "DEFAULT"]})
def _(service: Service, attributes: list[str]) -> None:
    """These DetectionAttributes show the default members."""
    (record,) = index(service, Image=PORTRAIT, DetectionAttributes=attributes)["FaceRecords"]
    assert_detail(record["FaceDetail"])


@case("IndexFaces", "recording:indexfaces-v7-all-2024")
def _(service: Service) -> None:
    """With ALL the default members and points are still there, the five points first."""
    (record,) = index(service, Image=PORTRAIT, DetectionAttributes=["ALL"])["FaceRecords"]
    assert set(record["FaceDetail"]) >= DETAIL
    assert [point["Type"] for point in record["FaceDetail"]["Landmarks"]][:5] == LANDMARKS
    assert set(record["Face"]) == {"FaceId", "BoundingBox", "ImageId", "Confidence"}


@case("IndexFaces", "guide")
def _(service: Service) -> None:
    """Faces are found where DetectFaces finds them."""
    details = service.ok("DetectFaces", Image=PAIR)["FaceDetails"]
    assert [record["FaceDetail"] for record in service[indexed].pair["FaceRecords"]] == details


@case("IndexFaces", "contract")
def _(service: Service) -> None:
    """A box of a face at the picture's edge may reach beyond it, and is stored so."""
    name = service.new_collection()
    answer = index(service, CollectionId=name, Image=CUT, QualityFilter="NONE")
    for record in answer["FaceRecords"]:
        assert all(-1 < side < 2 for side in record["Face"]["BoundingBox"].values())
    assert len(service.ok("ListFaces", CollectionId=name)["Faces"]) == len(answer["FaceRecords"])


@case("IndexFaces", "guide")
def _(service: Service) -> None:
    """Of more than a hundred faces a hundred are indexed, whatever MaxFaces says."""
    answer = index(service, Image=HUNDRED_AND_EIGHT, QualityFilter="NONE", MaxFaces=1000)
    assert len(answer["FaceRecords"]) == 100


@case("IndexFaces", "ours")
def _(service: Service) -> None:
    """The same pixels in another file are another picture."""
    (one,) = index(service, Image=PORTRAIT)["FaceRecords"]
    (other,) = index(service, Image=COMMENTED)["FaceRecords"]
    assert one["FaceDetail"] == other["FaceDetail"]
    assert one["Face"]["ImageId"] != other["Face"]["ImageId"]


@case("IndexFaces", "contract")
def _(service: Service) -> None:
    """A refused picture stores nothing."""
    name = service.new_collection()
    assert service.call("IndexFaces", {"CollectionId": name, "Image": {"Bytes": b"no picture"}}).status == 400
    assert service.ok("DescribeCollection", CollectionId=name)["FaceCount"] == 0


@case("IndexFaces", "contract")
def _(service: Service) -> None:
    """A stored face is found at once by every reading operation."""
    name = service.new_collection()
    face_id = enroll(service, name, Image=PORTRAIT)
    assert service.ok("DescribeCollection", CollectionId=name)["FaceCount"] == 1
    assert service.ok("ListFaces", CollectionId=name)["Faces"][0]["FaceId"] == face_id
    assert service.ok("SearchFaces", CollectionId=name, FaceId=face_id)["SearchedFaceId"] == face_id
    (match,) = service.ok("SearchFacesByImage", CollectionId=name, Image=PORTRAIT)["FaceMatches"]
    assert match["Face"]["FaceId"] == face_id
