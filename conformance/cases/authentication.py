"""Cases on signatures.

A service that answers a request without a signature does not check any; then these cases are not offered.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from botocore.auth import SigV4Auth, SigV4QueryAuth
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


def at(service: Service, date: datetime) -> Sign:
    """Returns what signs as if it were another time."""

    def sign(request: AWSRequest) -> None:
        signer = SigV4Auth(service.session.boto.get_credentials(), "rekognition", service.region)
        request.context["timestamp"] = request.headers["X-Amz-Date"] = date.strftime("%Y%m%dT%H%M%SZ")
        signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        headers = signer.signed_headers(signer.headers_to_sign(request))
        scope = signer.scope(request)
        request.headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={headers}, Signature={signature}"
        )

    return sign


@case("(authentication)", "contract")
def _(service: Service) -> None:
    """A request without a signature is refused."""
    refused(service, lambda _request: None, "MissingAuthenticationTokenException", "Missing Authentication Token")


@each(
    "(authentication)",
    "contract",
    {"of another kind": "Bearer abc", "without parts": "AWS4-HMAC-SHA256 x", "empty": ""},
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


PARAMETERS: Final = tuple(
    f"Authorization header requires '{name}' parameter." for name in ("Credential", "Signature", "SignedHeaders")
)


@each(
    "(authentication)",
    "contract",
    {
        "the signature": ("Credential=a, SignedHeaders=b", PARAMETERS[1:2]),
        "the headers": ("Credential=a, Signature=c", PARAMETERS[2:]),
        "two": ("SignedHeaders=b", PARAMETERS[:2]),
    },
)
def _(service: Service, lacking: tuple[str, tuple[str, ...]]) -> None:
    """Exactly the parts that a signature lacks are listed."""
    parts, missing = lacking
    header = f"AWS4-HMAC-SHA256 {parts}"

    def sign(request: AWSRequest) -> None:
        service.signer()(request)
        request.headers.replace_header("Authorization", header)

    refused(service, sign, "IncompleteSignatureException", f"{' '.join(missing)} Authorization={header}")


@each("(authentication)", "contract", {"old": -16, "early": 16})
def _(service: Service, minutes: int) -> None:
    """A signature that is more than a quarter of an hour off is refused."""
    date = datetime.now(UTC) + timedelta(minutes=minutes)
    told = refused(service, at(service, date), "InvalidSignatureException").body["message"]
    begin = "Signature expired: " if minutes < 0 else "Signature not yet current: "
    assert told.startswith(f"{begin}{date:%Y%m%dT%H%M%SZ} is "), told
    assert told.endswith(f" {'-' if minutes < 0 else '+'} 15 min.)"), told


@each("(authentication)", "contract", {"minutes ago": -14, "minutes ahead": 14})
def _(service: Service, minutes: int) -> None:
    """Clocks may differ by fourteen minutes."""
    if not service[checked]:
        raise NotOffered("signatures")
    answer = service.raw(LIST, b"{}", sign=at(service, datetime.now(UTC) + timedelta(minutes=minutes)))
    assert answer.status == 200, answer.content


@case("(authentication)", "contract")
def _(service: Service) -> None:
    """A signature for what cannot be a region is refused."""
    credentials = service.session.boto.get_credentials()
    sign = SigV4Auth(credentials, "rekognition", "NOWHERE").add_auth
    refused(service, sign, "InvalidSignatureException", "Credential should be scoped to a valid region.")


@each(
    "(authentication)",
    "contract",
    {
        "the target": lambda _: ("X-Amz-Target", "RekognitionService.DeleteCollection"),
        "the date": lambda now: ("X-Amz-Date", f"{now:%Y%m%dT%H%M}00Z"),
        "the host": lambda _: ("Host", "example.com"),
    },
)
def _(service: Service, change: Callable[[datetime], tuple[str, str]]) -> None:
    """A header that was changed after signing is refused."""

    def sign(request: AWSRequest) -> None:
        service.signer()(request)
        name, value = change(datetime.now(UTC) - timedelta(minutes=1))
        del request.headers[name]
        request.headers[name] = value

    refused(service, sign, "InvalidSignatureException")


@case("(authentication)", "contract")
def _(service: Service) -> None:
    """A session token that nobody has issued is refused."""
    credentials = service.session.boto.get_credentials()
    made_up = Credentials(credentials.access_key, credentials.secret_key, "token")
    sign = SigV4Auth(made_up, "rekognition", service.region).add_auth
    text: Final = "The security token included in the request is invalid."
    refused(service, sign, "UnrecognizedClientException", text)


@each("(authentication)", "ours", {"unsigned": "UNSIGNED-PAYLOAD", "another": "0" * 64})
def _(service: Service, value: str) -> None:
    """The content must be signed, and be what its hash says."""

    def sign(request: AWSRequest) -> None:
        request.headers["X-Amz-Content-SHA256"] = value
        service.signer()(request)

    refused(service, sign, "InvalidSignatureException")


@case("(authentication)", "ours")
def _(service: Service) -> None:
    """A signature in the query is none."""
    credentials = service.session.boto.get_credentials()
    sign = SigV4QueryAuth(credentials, "rekognition", service.region).add_auth
    refused(service, sign, "MissingAuthenticationTokenException")


@case("(authentication)", "contract")
def _(service: Service) -> None:
    """A good signature is accepted."""
    assert service.raw("DescribeCollection", {"CollectionId": album}).status == 200
