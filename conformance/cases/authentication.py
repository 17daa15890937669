"""Signatures. Changes when AWS changes how it checks who calls.

A service that answers a request without a signature does not check any; then these cases are not offered.
"""

from collections.abc import Callable
from typing import Final

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from conformance.answer import Answer
from conformance.case import Family
from conformance.service import NotOffered, Service, given
from conformance.shared import album

family = Family("authentication")
case, each = family.case, family.each

LIST: Final = "ListCollections"
Sign = Callable[[AWSRequest], None]


@given
def checked(service: Service) -> bool:
    """Says whether the service refuses a request without a signature."""
    return service.raw(LIST, b"{}", sign=lambda _request: None).status != 200


def refused(service: Service, sign: Sign, code: str, text: str | None = None) -> Answer:
    """Expects that a request signed so is refused."""
    if not service[checked]:
        raise NotOffered("signatures")
    answer = service.raw(LIST, b"{}", sign=sign)
    assert answer.error == code, answer.content
    message = answer.body.get("message") or answer.body.get("Message")
    assert text is None or message == text, message
    return answer


def with_header(value: str) -> Sign:
    """Returns what signs with this Authorization."""
    return lambda request: request.headers.add_header("Authorization", value)


def signed_with(service: Service, key: str, secret: str, *, scope: str = "rekognition") -> Sign:
    """Returns what signs with these keys."""
    signer: Sign = SigV4Auth(Credentials(key, secret), scope, service.region).add_auth
    return signer


@case("(authentication)", "contract")
def _(service: Service) -> None:
    """A request without a signature is refused."""
    refused(service, lambda _request: None, "MissingAuthenticationTokenException", "Missing Authentication Token")


@each(
    "(authentication)",
    "contract",
    {"of another kind": "Bearer abc", "without parts": "AWS4-HMAC-SHA256 x", "empty": " "},
)
def _(service: Service, value: str) -> None:
    """A header that is no signature is refused."""
    if not service[checked]:
        raise NotOffered("signatures")
    answer = service.raw(LIST, b"{}", sign=with_header(value))
    codes = {"IncompleteSignatureException", "MissingAuthenticationTokenException", "UnrecognizedClientException"}
    assert answer.error in codes, answer.content


@case("(authentication)", "contract")
def _(service: Service) -> None:
    """An unknown access key is refused."""
    text: Final = "The security token included in the request is invalid."
    refused(service, signed_with(service, "AKIAUNKNOWNUNKNOWN00", "x" * 40), "UnrecognizedClientException", text)


@case("(authentication)", "contract")
def _(service: Service) -> None:
    """A wrong secret is refused."""
    key = service.session.boto.get_credentials().access_key
    answer = refused(service, signed_with(service, key, "wrong"), "InvalidSignatureException")
    assert answer.body.get("message", "").startswith("The request signature we calculated does not match")


@case("(authentication)", "contract")
def _(service: Service) -> None:
    """A body that was changed after signing is refused."""

    def sign(request: AWSRequest) -> None:
        signed = AWSRequest(request.method, request.url, dict(request.headers.items()), b'{"MaxResults":1}')
        service.signer()(signed)
        for name, value in signed.headers.items():
            if name not in request.headers:
                request.headers[name] = value

    refused(service, sign, "InvalidSignatureException")


@case("(authentication)", "contract")
def _(service: Service) -> None:
    """A signature for another service is refused."""
    credentials = service.session.boto.get_credentials()
    sign = signed_with(service, credentials.access_key, credentials.secret_key, scope="s3")
    refused(
        service, sign, "InvalidSignatureException", "Credential should be scoped to correct service: 'rekognition'."
    )


@case("(authentication)", "contract")
def _(service: Service) -> None:
    """Who calls is checked before the body is read."""
    if not service[checked]:
        raise NotOffered("signatures")
    answer = service.raw(LIST, b"{", sign=lambda _request: None)
    assert answer.error == "MissingAuthenticationTokenException", answer.content


@case("(authentication)", "contract")
def _(service: Service) -> None:
    """A good signature is accepted."""
    assert service.raw("DescribeCollection", {"CollectionId": album}).status == 200
