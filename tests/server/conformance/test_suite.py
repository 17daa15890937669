import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

pytest.importorskip("skimage", reason="the suite's pictures are made from scikit-image's portrait")

from conformance.__main__ import all_cases, main
from conformance.boundaries import OPERATIONS
from conformance.cases import CASES
from tests.server.conformance.liar import Told, liar
from tests.support.server import ROOT, Server

WRITTEN_MIN = 300


@pytest.fixture(scope="module")
def outcomes(guarded_server: Server, s3_url: str, bucket: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What became of every case against our server, which asks for keys, as the suite wrote it down."""
    folder = tmp_path_factory.mktemp("report")
    reports = ("--json", f"{folder}/outcomes.json", "--junit", f"{folder}/outcomes.xml")
    access_key_id, secret = guarded_server.keys
    keys = ("--access-key", access_key_id, "--secret-key", secret)
    where = ("--endpoint-url", guarded_server.url, "--s3-bucket", bucket.name, "--s3-endpoint-url", s3_url)
    main([*where, *keys, *reports])
    written = json.loads((folder / "outcomes.json").read_text())
    return {**written, "junit": ET.parse(folder / "outcomes.xml").getroot()}


@pytest.mark.every_engine
@pytest.mark.timeout(300)
def test_our_server_passes(outcomes: Any) -> None:
    """No case of the conformance suite fails against our server."""
    failed = [case for case in outcomes["cases"] if case["state"] == "failed"]
    assert not failed, "\n".join(
        f"{case['family']}/{case['operation']}/{case['name']}: {case['text']}" for case in failed
    )


@pytest.mark.every_engine
def test_every_case_has_an_outcome(outcomes: Any) -> None:
    """No case is lost on the way into the two reports, and their counts agree."""
    cases = outcomes["cases"]
    assert [(case["operation"], case["name"]) for case in cases] == [
        (case.operation, case.name) for case in all_cases()
    ]
    assert outcomes["counts"] == Counter(case["state"] for case in cases)
    suites = list(outcomes["junit"])
    assert sum(int(suite.get("tests", 0)) for suite in suites) == len(cases)
    assert sum(int(suite.get("failures", 0)) for suite in suites) == outcomes["counts"].get("failed", 0)


def test_what_the_suite_consists_of() -> None:
    """Hundreds of cases are written by hand, every operation has some, each states its source, and no two are alike."""
    assert len(CASES) >= WRITTEN_MIN
    assert {case.operation for case in CASES} >= set(OPERATIONS)
    assert all(re.fullmatch(r"recording:[a-z0-9-]+|guide|model|contract|ours", case.source) for case in CASES)
    assert [name for name, count in Counter(case.id for case in all_cases()).items() if count > 1] == []


def test_the_suite_knows_nothing_of_ours() -> None:
    """The suite is a black box: it could be run without this repository's other packages."""
    for path in (ROOT / "conformance").rglob("*.py"):
        assert not re.search(
            r"^\s*(from|import) (rekognition_emulator|botocore_models|tests)\b", path.read_text(), re.MULTILINE
        ), path


@pytest.mark.every_engine
def test_the_main_job_is_offered(outcomes: Any) -> None:
    """Cases of the operations that the marketplace uses are passed, not skipped as something that we do not offer."""
    main_job = {
        *("CreateCollection", "DescribeCollection", "ListCollections", "DeleteCollection"),
        *("IndexFaces", "ListFaces", "SearchFaces", "SearchFacesByImage", "DeleteFaces", "DetectFaces"),
    }
    passed = Counter(case["operation"] for case in outcomes["cases"] if case["state"] == "passed")
    assert all(passed[operation] >= 10 for operation in main_job), passed


def test_recordings(server: Server, tmp_path: Path) -> None:
    """A recording shows each exchange with names in place of pictures, and numbers as they were printed."""
    name = "picture that was indexed finds its face first"
    assert main(["--endpoint-url", server.url, "--match", name, "--record", str(tmp_path)]) == 0
    (path,) = tmp_path.rglob("*.json")
    recorded = json.loads(path.read_text())
    (exchange,) = recorded["exchanges"]
    assert recorded["source"] == "recording:searchfacesbyimage-v6-exact"
    assert exchange["request"] == {"CollectionId": "<album>", "Image": "<portrait>"}
    assert exchange["status"] == 200
    assert exchange["response"]["FaceMatches"][0]["Similarity"] == "100.0"


def test_signatures_are_checked(outcomes: Any) -> None:
    """Every case about signatures is passed, not skipped as something that we do not offer."""
    assert {case["state"] for case in outcomes["cases"] if case["family"] == "authentication"} == {"passed"}


def test_a_server_without_a_key_does_not_offer_signatures(server: Server, tmp_path: Path) -> None:
    """There is nothing to check them with, and the suite says so."""
    path = tmp_path / "outcomes.json"
    assert main(["--endpoint-url", server.url, "--family", "authentication", "--json", str(path)]) == 0
    assert set(json.loads(path.read_text())["counts"]) == {"passed", "not offered"}


def test_a_wrong_key_is_said_in_words(guarded_server: Server) -> None:
    """Rather than that every case fails."""
    with pytest.raises(SystemExit, match="The service refuses"):
        main(["--endpoint-url", guarded_server.url, "--family", "tags"])


def test_nothing_is_left_behind(outcomes: Any, guarded_server: Server, bucket: Any) -> None:
    """The suite removes the collections that it created, in every region, and the pictures in the bucket."""
    assert outcomes["counts"]["passed"]
    for region in ("us-east-1", "eu-west-1", "ap-southeast-2", "ap-northeast-1"):
        assert guarded_server.client(region=region).list_collections()["CollectionIds"] == []
    assert list(bucket.objects.all()) == []


def replacing(pattern: bytes, replacement: bytes) -> Callable[[Told], None]:
    """Returns a lie about a part of the body."""

    def lie(told: Told) -> None:
        told.body = re.sub(pattern, replacement, told.body)

    return lie


def editing(operation: str, edit: Callable[[Any], object]) -> Callable[[Told], None]:
    """Returns a lie in the successes of one operation."""

    def lie(told: Told) -> None:
        if told.operation == operation and told.status == 200:
            body = json.loads(told.body)
            edit(body)
            told.body = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()

    return lie


def without_request_id(told: Told) -> None:
    """Takes the request id away."""
    told.headers.pop("x-amzn-RequestId", None)


def with_error_type(told: Told) -> None:
    """Adds a header that REST services send and this one does not."""
    told.headers["x-amzn-ErrorType"] = "x"


def refusing(told: Told) -> None:
    """Refuses a list of faces as if a constraint were violated."""
    if told.operation != "ListFaces":
        return
    told.status, told.body = 400, b'{"__type":"ValidationException","message":"1 validation error detected: no"}'


def created(told: Told) -> None:
    """Answers creations as REST would."""
    if told.operation == "CreateCollection" and told.status == 200:
        told.status = 201


def reversing(operation: str, member: str) -> Callable[[Told], None]:
    """Returns a lie about the order of a list."""
    return editing(operation, lambda body: body[member].reverse())


def untold(body: Any) -> None:
    """Keeps to itself which faces were deleted."""
    body["DeletedFaces"].clear()


def nose_third(body: Any) -> None:
    """Puts the points in the order of the first models."""
    for detail in body["FaceDetails"]:
        detail["Landmarks"].insert(2, detail["Landmarks"].pop())


def not_ours(body: Any) -> None:
    """Shows the searched face among its own matches."""
    body["FaceMatches"][0]["Face"]["FaceId"] = body["SearchedFaceId"]


LIES: dict[str, tuple[str, str, Callable[[Told], None]]] = {
    "spaces in JSON": ("ListCollections", "no members at all", replacing(b'":', b'": ')),
    "a null member": ("ListCollections", "no members at all", replacing(rb"^\{", b'{"NextToken":null,')),
    "an unknown member": ("ListCollections", "no members at all", replacing(rb"^\{", b'{"Extra":1,')),
    "no request id": ("ListCollections", "no members at all", without_request_id),
    "one header more": ("ListCollections", "no members at all", with_error_type),
    "status 201": ("CreateCollection", "three members", created),
    "one arn: too many": (
        "CreateCollection",
        "leading arn:",
        replacing(b'Arn":"', b'Arn":"arn:'),
    ),
    "one arn: too few": (
        "DescribeCollection",
        "leading arn:",
        replacing(b'ARN":"arn:', b'ARN":"'),
    ),
    "plain seconds": ("DescribeCollection", "as Java prints", replacing(rb"1\.(\d{9})(\d*)E9", rb"1\1.\2")),
    "a full stop": ("DeleteCollection", "that is missing", replacing(b'exist"', b'exist."')),
    "another error": ("DeleteCollection", "that is missing", replacing(b"ResourceNotFound", b"InvalidParameter")),
    "a small m": ("DeleteCollection", "that is missing", replacing(b'"Message"', b'"message"')),
    "a capital M": ("SearchFaces", "everything that is missing", replacing(b'"message"', b'"Message"')),
    "another path": ("SearchFaces", "faceId does not fit", replacing(b"'faceId'", b"'FaceId'")),
    "one less": (
        "DescribeCollection",
        "is one too short",
        replacing(b"2 (.*)errors(.*:) .*; ", rb"1 \1error\2 "),
    ),
    "no validation": ("SearchFaces", "is too small", replacing(b"ValidationException", b"InvalidParameterException")),
    "validation of what is valid": ("ListFaces", "maxResults is the greatest", refusing),
    "whole numbers": ("SearchFacesByImage", "finds its face first", replacing(rb"100\.0\b", b"100")),
    "long numbers": ("SearchFaces", "at threshold 0", replacing(rb'("Width":0\.\d{6})\d*', rb"\g<1>123456789")),
    "the least similar first": ("SearchFaces", "Matches come by similarity", reversing("SearchFaces", "FaceMatches")),
    "the searched face": ("SearchFaces", "not among its own matches", editing("SearchFaces", not_ours)),
    "no empty list": ("IndexFaces", "success with two empty lists", replacing(rb',"UnindexedFaces":\[\]', b"")),
    "the nose third": ("DetectFaces", "By default a face has", editing("DetectFaces", nose_third)),
    "the smallest first": ("DetectFaces", "The largest face comes first", reversing("DetectFaces", "FaceDetails")),
    "unordered faces": ("ListFaces", "Faces ascend by id", reversing("ListFaces", "Faces")),
    "no model version": ("ListFaces", "A face shows", replacing(b',"IndexFacesModelVersion":"[^"]*"', b"")),
    "rounded less": ("ListFaces", "six significant digits", replacing(rb'("Left":0\.\d{3})\d*', rb"\g<1>0126953125")),
    "no next page": ("ListFaces", "Pages of this size", replacing(b',"NextToken":"[^"]*"', b"")),
    "deleted and not told": (
        "DeleteFaces",
        "lists the face that went",
        editing("DeleteFaces", untold),
    ),
    "a message too many": (
        "ListCollections",
        "a body that is null",
        replacing(b'on"}', b'on","Message":"no"}'),
    ),
    "an operation unknown": ("(dispatch)", "names no operation", replacing(b"UnknownOperation", b"Serialization")),
}
"""What may be wrong with a service → operation and name of the cases that have to notice, and the lie."""


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_noticed(name: str, server: Server) -> None:
    """A service that differs in one point from ours fails the cases about that point."""
    operation, match, lie = LIES[name]
    cases = ("--operation", operation, "--match", match)
    assert main(["--endpoint-url", server.url, *cases]) == 0
    with liar(server.url, lie) as url:
        assert main(["--endpoint-url", url, *cases]) == 1


def test_a_service_without_users_does_not_offer_them(server: Server, tmp_path: Path) -> None:
    """An operation that is refused as unsupported is reported as not offered, neither as passed nor as failed."""

    def lie(told: Told) -> None:
        if told.operation == "CreateUser":
            told.status, told.body = 400, b'{"__type":"UnsupportedOperationException","message":"no"}'

    path = tmp_path / "outcomes.json"
    with liar(server.url, lie) as url:
        assert main(["--endpoint-url", url, "--operation", "CreateUser", "--json", str(path)]) == 0
    assert set(json.loads(path.read_text())["counts"]) == {"not offered"}
