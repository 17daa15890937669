"""Amazon Resource Names (ARNs) of collections, of objects in S3 and of callers, and the ids that they are made of."""

import re
from typing import Final

SERVICE: Final = "rekognition"
"""In ARNs, in the names of actions and in the scope of signatures. Source: ``signingName`` of the service model."""

COLLECTION_ID: Final = re.compile(r"[a-zA-Z0-9_.\-]{1,255}")
"""Source: shape ``CollectionId`` of the service model."""

ACCOUNT_ID: Final = re.compile(r"[0-9]{12}")
"""Source: AWS Account Management, "AWS account identifiers"."""


def collection_arn(region: str, account: str, name: str) -> str:
    """Returns the full resource name of a collection; region and name may be patterns of a policy, or empty."""
    return f"arn:aws:{SERVICE}:{region}:{account}:collection/{name}"


def object_arn(path: str) -> str:
    """Returns the full resource name of ``bucket/key`` in S3, or of the objects that such a pattern means."""
    return f"arn:aws:s3:::{path}"


def user_arn(account: str, name: str) -> str:
    """Returns the full name of a caller with an access key of its own."""
    return f"arn:aws:iam::{account}:user/{name}"


def federated_user_arn(account: str, name: str) -> str:
    """Returns the full name of a caller with temporary credentials that were derived from the key of this name."""
    return f"arn:aws:sts::{account}:federated-user/{name}"
