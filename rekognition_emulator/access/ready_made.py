"""Policies that have a name, so that a key takes one line. Changes when a kind of client deserves another one."""

import json
from collections.abc import Mapping, Sequence
from typing import Final

ACTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "full": ("rekognition:*",),
    "read": (
        "rekognition:Describe*",
        "rekognition:List*",
        "rekognition:Search*",
        "rekognition:DetectFaces",
        "rekognition:CompareFaces",
    ),
    "search": ("rekognition:Search*",),
}
"""Name → what it allows. ``search`` is for a web front end: it finds, and it can neither list nor change anything."""

BROWSER_ACTIONS: Final = ("rekognition:SearchFacesByImage",)
"""What a session in somebody's browser is for: a selfie in, matches out."""


def policy_of(actions: Sequence[str], account: str, collections: Sequence[str] = ()) -> str:
    """Returns a policy document that allows actions everywhere, or on these collections of an account only."""
    resources = [f"arn:aws:rekognition:*:{account}:collection/{name}" for name in collections] or ["*"]
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resources}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
