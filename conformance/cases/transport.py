"""Cases on HTTP around the protocol: targets, content types, envelopes, headers."""

import json
import uuid
from typing import Final

from conformance.answer import JSON_1_1
from conformance.case import Family
from conformance.expect import found
from conformance.pictures import BYTES_MAX
from conformance.service import Service
from conformance.shared import album

family = Family("transport")
case, each = family.case, family.each

LIST: Final = "ListCollections"
NO_SUCH_OPERATION: Final = b'{"__type":"UnknownOperationException"}'
MIB: Final = 2**20


@each(
    "(dispatch)",
    "contract",
    {
        "missing": None,
        "empty": "",
        "without the service": "ListCollections",
        "of another service": "AmazonAthena.ListCollections",
        "an unknown operation": "RekognitionService.ListCollection",
        "in small letters": "rekognitionservice.listcollections",
        "the operation in small letters": "RekognitionService.listcollections",
        "without an operation": "RekognitionService.",
        "a space at the end of the service": "RekognitionService .ListCollections",
        "a second dot": "RekognitionService.ListCollections.x",
        "a path": "RekognitionService.../ListCollections",
        "very long": "RekognitionService." + "x" * 2000,
    },
)
def _(service: Service, target: str | None) -> None:
    """A target that names no operation is unknown, without a message."""
    answer = service.raw(None, b"{}", headers={"X-Amz-Target": target})
    assert (answer.status, answer.content) == (400, NO_SUCH_OPERATION), answer.content


@case("(dispatch)", "contract")
def _(service: Service) -> None:
    """An unknown operation is noticed before a broken body."""
    answer = service.raw(None, b"{", headers={"X-Amz-Target": "RekognitionService.Nothing"})
    assert answer.error == "UnknownOperationException"


@each(
    "(dispatch)",
    "contract",
    {
        "none": None,
        "JSON 1.0": "application/x-amz-json-1.0",
        "XML": "text/xml",
        "a form": "application/x-www-form-urlencoded",
    },
)
def _(service: Service, content_type: str | None) -> None:
    """With this content type there is nothing, in XML."""
    answer = service.raw(LIST, b"{}", headers={"Content-Type": content_type}, is_json=False)
    assert answer.status == 404
    assert b"<UnknownOperationException/>" in answer.content, answer.content


@each("(dispatch)", "contract", {"of a success": b"{}", "of an error": b"{"})
def _(service: Service, body: bytes) -> None:
    """With application/json the answer is in an older envelope."""
    answer = service.raw(LIST, body, headers={"Content-Type": "application/json"}, is_json=False)
    enveloped = json.loads(answer.content)
    assert set(enveloped) == {"Output", "Version"}
    assert enveloped["Version"] == "1.0"
    assert answer.status == (200 if "CollectionIds" in enveloped["Output"] else 400)


@each(
    "(dispatch)",
    "ours",
    {
        "a character set": "application/x-amz-json-1.1; charset=utf-8",
        "without a space": "application/x-amz-json-1.1;charset=UTF-8",
        "capitals": "Application/X-Amz-Json-1.1",
    },
)
def _(service: Service, content_type: str) -> None:
    """The content type may have this."""
    assert service.raw(LIST, b"{}", headers={"Content-Type": content_type}).status == 200


@each(
    "(dispatch)",
    "contract",
    {
        "amz-sdk-invocation-id": {"amz-sdk-invocation-id": str(uuid.UUID(int=1))},
        "amz-sdk-request": {"amz-sdk-request": "attempt=1; max=3"},
        "X-Amz-User-Agent": {"X-Amz-User-Agent": "aws-sdk-js/3.0"},
        "x-amz-content-sha256": {
            "x-amz-content-sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        },
        "x-amzn-query-mode": {"x-amzn-query-mode": "true"},
        "Accept": {"Accept": "*/*"},
        "Accept-Encoding": {"Accept-Encoding": "gzip, br"},
        "Origin": {"Origin": "https://example.com"},
        "X-Amzn-Trace-Id": {"X-Amzn-Trace-Id": "Root=1-5759e988-bd862e3fe1be46a994272793"},
        "Expect": {"Expect": "100-continue"},
    },
)
def _(service: Service, headers: dict[str, str]) -> None:
    """A header that SDKs send is tolerated."""
    assert service.raw(LIST, b"{}", headers=headers).status == 200


@case("(dispatch)", "contract")
def _(service: Service) -> None:
    """Answers are not compressed, whatever the client accepts."""
    answer = service.raw(LIST, b"{}", headers={"Accept-Encoding": "gzip, deflate, br"})
    assert "content-encoding" not in answer.headers


@case("(dispatch)", "recording:error-invalids3object-raw")
def _(service: Service) -> None:
    """Every answer has a request id of its own."""
    ids = {service.raw(LIST, b"{}").headers["x-amzn-requestid"] for _ in range(5)}
    assert len(ids) == 5


@each(
    "(dispatch)",
    "ours",
    {"GET": "GET", "PUT": "PUT", "DELETE": "DELETE", "PATCH": "PATCH", "OPTIONS": "OPTIONS", "HEAD": "HEAD"},
)
def _(service: Service, method: str) -> None:
    """A method other than POST reaches no operation, and is no internal error."""
    answer = service.raw(LIST, b"", method=method, is_json=False)
    assert 400 <= answer.status < 500, answer.status
    assert b"CollectionIds" not in answer.content


@each(
    "(dispatch)",
    "ours",
    {"a folder": "/x/", "a file": "/index.html", "the operation": "/ListCollections", "encoded": "/%2e%2e/"},
)
def _(service: Service, path: str) -> None:
    """A path other than / reaches no operation, and is no internal error."""
    answer = service.raw(LIST, b"{}", path=path, is_json=False)
    assert 400 <= answer.status < 500, answer.status
    assert b"CollectionIds" not in answer.content


@case("(dispatch)", "contract")
def _(service: Service) -> None:
    """A body far too large is answered with 413 and no JSON."""
    answer = service.raw("DetectFaces", b" " * 30 * MIB, is_json=False)
    assert answer.status == 413
    assert answer.headers.get("content-type") != JSON_1_1


@case("(dispatch)", "contract")
def _(service: Service) -> None:
    """The largest picture fits even with a megabyte of spaces around it."""
    body = b'{"CollectionId":"' + b"a" * 300 + b'","Image":{"Bytes":"' + b"A" * (-(-BYTES_MAX // 3) * 4) + b'"}}'
    answer = service.raw("IndexFaces", body)
    assert answer.error == "ValidationException", answer.content


@case("(dispatch)", "contract")
def _(service: Service) -> None:
    """One connection serves one request after another."""
    for body in (b"{}", b"{", b"[]", b"{}"):
        service.raw(LIST, body)


@case("(dispatch)", "model")
def _(service: Service) -> None:
    """The SDK's own call and the bare request have the same answer."""
    bare = service.raw("DescribeCollection", {"CollectionId": album})
    assert bare.body == service.ok("DescribeCollection", CollectionId=album).body
    found(FaceCount=4)(bare)
