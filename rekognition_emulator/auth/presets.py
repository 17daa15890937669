"""Policies that have a name, so that a key takes one line, and what they are made of."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rekognition_emulator.auth.policy import READ_OBJECT, READ_OBJECT_VERSION, SERVICE

ACTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "full": ("rekognition:*",),
    "read": (
        "rekognition:Compare*",
        "rekognition:Describe*",
        "rekognition:Detect*",
        "rekognition:Get*",
        "rekognition:List*",
        "rekognition:Search*",
    ),
    "search": ("rekognition:Search*",),
}
"""Name → what it allows. ``read`` has the verbs of operations that change nothing, so that keys made today read with
operations that come later. ``search`` is for a web front end: it finds, and it can neither list nor change anything."""

BROWSER_ACTIONS: Final = ("rekognition:SearchFacesByImage",)
"""What a session in somebody's browser is for: a selfie in, matches out."""


OBJECTS: Final = re.compile(r"\*|[0-9a-zA-Z.\-_*?]{1,255}/(?:(?!\$\{).){1,1024}", re.DOTALL)
"""Objects in S3 that a policy may name: a bucket and the object's name, both with wildcards, or ``*`` for all."""


def policy_of(
    actions: Sequence[str], account: str, collections: Sequence[str] = (), objects: Sequence[str] = ()
) -> str:
    """Returns a policy document that allows actions everywhere, or on these collections of an account only.

    Args:
        actions: of this service.
        account: whose collections are meant.
        collections: ids; none for everything that the account has.
        objects: which images in S3 may be read besides, as ``OBJECTS`` has them.
    """
    resources = [f"arn:aws:{SERVICE}:*:{account}:collection/{name}" for name in collections] or ["*"]
    statements = [_allow(actions, resources)]
    if objects:
        statements.append(_allow([READ_OBJECT, READ_OBJECT_VERSION], [f"arn:aws:s3:::{each}" for each in objects]))
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def preset(name: str, account: str, collections: Sequence[str] = (), objects: Sequence[str] = ()) -> str:
    """Returns the policy document of this name; arguments as ``policy_of``'s.

    ``full`` reads every image in S3 unless objects are named, the others only those that are.
    """
    return policy_of(ACTIONS[name], account, collections, objects or (("*",) if name == "full" else ()))


def _allow(actions: Sequence[str], resources: Sequence[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
