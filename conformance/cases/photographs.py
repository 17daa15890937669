"""What must hold for any photograph of people.

These cases need ``--pictures``, a folder of JPEG and PNG files; without one they are not run.
"""

from pathlib import Path
from typing import Any, Final

from conformance.case import Family
from conformance.cases.faces_found import DETAIL, area
from conformance.service import NotRun, Request, Service, given

family = Family("photographs")
case = family.case

PHOTOGRAPHS_MAX: Final = 12
BYTES_MAX: Final = 5 * 2**20


@given
def photographs(service: Service) -> dict[str, Request]:
    """Returns at most a dozen photographs, spread evenly over the folder, under their file names."""
    folder = service.target.pictures
    if folder is None:
        raise NotRun("needs --pictures")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    fitting = [path for path in files if 0 < path.stat().st_size <= BYTES_MAX]
    step = max(1, len(fitting) // PHOTOGRAPHS_MAX)
    return {_name(path, folder): {"Bytes": path.read_bytes()} for path in fitting[::step][:PHOTOGRAPHS_MAX]}


def _name(path: Path, folder: Path) -> str:
    """Returns the path in characters that an ExternalImageId may have."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in str(path.relative_to(folder)))


@given
def gallery(service: Service) -> tuple[str, dict[str, Any]]:
    """Indexes the photographs; returns the collection and what IndexFaces answered for each that it accepted."""
    name = service.new_collection()
    answers = {}
    for external, picture in service[photographs].items():
        request = {"CollectionId": name, "Image": picture, "ExternalImageId": external, "QualityFilter": "NONE"}
        answer = service.call("IndexFaces", request)
        if answer.status == 200:
            answers[external] = answer.body
    assert answers, "no photograph was accepted"
    return name, answers


@case("DetectFaces", "guide")
def _(service: Service) -> None:
    """Faces of every photograph come by size and have the default members, or the picture is refused."""
    for picture in service[photographs].values():
        answer = service.call("DetectFaces", {"Image": picture})
        if answer.status != 200:
            assert answer.error in {"InvalidImageFormatException", "InvalidParameterException"}, answer.content
            continue
        sizes = [area(detail) for detail in answer["FaceDetails"]]
        assert sizes == sorted(sizes, reverse=True)
        assert all(set(detail) == DETAIL for detail in answer["FaceDetails"])


@case("IndexFaces", "guide")
def _(service: Service) -> None:
    """Every face that DetectFaces sees in a photograph is indexed when nothing is filtered."""
    _, answers = service[gallery]
    for external, answer in answers.items():
        detected = service.ok("DetectFaces", Image=service[photographs][external])["FaceDetails"]
        assert [record["FaceDetail"] for record in answer["FaceRecords"]] == detected, external


@case("SearchFacesByImage", "guide")
def _(service: Service) -> None:
    """A photograph finds the face that it was indexed with first, with similarity 100."""
    name, answers = service[gallery]
    for external, answer in answers.items():
        if not answer["FaceRecords"]:
            continue
        request = {"CollectionId": name, "Image": service[photographs][external], "FaceMatchThreshold": 100}
        matches = service.ok("SearchFacesByImage", **request)["FaceMatches"]
        own = answer["FaceRecords"][0]["Face"]["FaceId"]
        assert own in [match["Face"]["FaceId"] for match in matches], external


@case("SearchFaces", "contract")
def _(service: Service) -> None:
    """If one face finds another, that one finds it with the same similarity."""
    name, answers = service[gallery]
    faces = [record["Face"]["FaceId"] for answer in answers.values() for record in answer["FaceRecords"]][:6]
    found = {}
    for searched in faces:
        answer = service.ok("SearchFaces", CollectionId=name, FaceId=searched, FaceMatchThreshold=0, MaxFaces=4096)
        for match in answer["FaceMatches"]:
            found[searched, match["Face"]["FaceId"]] = match["Similarity"]
    assert all(abs(found[one, other] - found[other, one]) < 1e-2 for one in faces for other in faces if one != other)
