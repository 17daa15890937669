"""Errors as AWS puts them on the wire. Those of the service's own model are in ``api.rekognition``.

Two body shapes exist: service exceptions carry ``__type``, ``Code``, ``Logref`` and ``Message``; errors of the
framework in front of the service carry ``__type`` and, only if there is something to say, ``message`` in lower case.
"""

from typing import ClassVar


class ServiceError(Exception):
    """An answer that is an error, as AWS would give it. Subclass names are the error codes.

    Attributes:
        message: the text for the caller; None where AWS sends none.
        status: the HTTP status.
        message_key: how the member that carries the text is spelt.
        declared: whether the service's model declares it: only then ``Code`` and ``Logref`` are sent.
    """

    status: ClassVar[int] = 400
    message_key: ClassVar[str] = "Message"
    declared: ClassVar[bool] = True

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or "")
        self.message = message

    @property
    def code(self) -> str:
        """The error code, as in ``__type``."""
        return type(self).__name__


class FrameworkError(ServiceError):
    """An error of the framework in front of the service, absent from its model; never raised itself."""

    message_key = "message"
    declared = False


class ValidationException(FrameworkError):
    """The request violates constraints of the model; the text lists all of them."""


class SerializationException(FrameworkError):
    """The body is not JSON, or a value has the wrong type."""

    # Source: raw answers of another JSON 1.1 service in front of the same framework, 2026.
    message_key = "Message"


class MissingAuthenticationTokenException(FrameworkError):
    """The request is not signed."""


class IncompleteSignatureException(FrameworkError):
    """The Authorization header is no signature, or lacks a part."""


class InvalidSignatureException(FrameworkError):
    """The signature is wrong, or for another time, region or service."""


class UnrecognizedClientException(FrameworkError):
    """There is no such access key, or its session token is none of ours."""


class ExpiredTokenException(FrameworkError):
    """The session, or the access key, is over."""


class UnknownOperationException(FrameworkError):
    """The target header is missing or names no operation of this service."""


class UnsupportedOperationException(FrameworkError):
    """An operation that AWS has and this server does not. Differs from AWS (#operations-without-a-handler)."""
