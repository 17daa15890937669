"""Access control for tests: a server's authenticator and authorizer, and requests that are signed."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from rekognition_emulator.api.core import ServiceError
from rekognition_emulator.auth.keyring import Keyring
from rekognition_emulator.auth.keys import AccessKey
from rekognition_emulator.http.authentication import Authenticator, Caller, UnverifiedRequest
from rekognition_emulator.http.authorization import Authorizer
from rekognition_emulator.http.enforcement import Enforcement, Mode
from rekognition_emulator.http.sigv4 import Head
from tests.support.keys import SECRET, VAULT, ListedKeys

UNSIGNED = Head("POST", b"/", b"", [(b"host", b"localhost")])


def keyring(*keys: AccessKey) -> Keyring:
    """A keyring that has read these keys."""
    ring = Keyring(ListedKeys(list(keys)), lambda: VAULT)
    ring.refresh()
    return ring


@dataclass(frozen=True)
class Access:
    """Access control of one server; whoever needs no key is of the account 000000000000 and in us-east-1."""

    authenticator: Authenticator
    authorizer: Authorizer

    def enter(self, head: Head, body: bytes = b"", request_id: str = "id") -> Caller:
        """Returns who has sent a request, from its head to the last byte of its body."""
        request = UnverifiedRequest(head, request_id)
        unverified = self.authenticator.check_head(request)
        return self.authenticator.authenticate(request, unverified, sha256(body).hexdigest())


def access(ring: Keyring, mode: Mode | None = None, *, is_local: bool = True) -> Access:
    """Access control with these keys."""
    enforcement = Enforcement(mode)
    authenticator = Authenticator(
        ring, enforcement, is_local=is_local, account="000000000000", default_region="us-east-1"
    )
    return Access(authenticator, Authorizer(enforcement))


def signed(access_key_id: str, secret: str = SECRET, token: str | None = None) -> Head:
    """The head of a request that is signed so, with an empty body, for eu-west-1."""
    request = AWSRequest("POST", "http://localhost/", {"X-Amz-Target": "RekognitionService.ListCollections"}, b"")
    SigV4Auth(Credentials(access_key_id, secret, token), "rekognition", "eu-west-1").add_auth(request)
    headers = [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
    return Head("POST", b"/", b"", [*headers, (b"host", b"localhost")])


def refusal(ask: Callable[[], object]) -> tuple[str, str | None]:
    """Returns code and text of the error with which something is refused."""
    with pytest.raises(ServiceError) as refused:
        ask()
    return refused.value.code, refused.value.message
