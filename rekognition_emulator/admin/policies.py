"""What access keys allow: a ready-made policy, narrowed, or one that was written for IAM."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import botocore_models
from rekognition_emulator.admin.collections import require_collection_ids
from rekognition_emulator.admin.errors import Refused, require
from rekognition_emulator.arn import SERVICE
from rekognition_emulator.auth.policy import READ_OBJECT, READ_OBJECT_VERSION, adopt_policy, parse_policy
from rekognition_emulator.auth.presets import OBJECTS, preset


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """What a key is to allow.

    Attributes:
        document: as ``parse_policy`` reads it.
        name: what to call it in lists.
        left_out: number of a statement → its actions that are about other services and were left out.
    """

    document: str
    name: str
    left_out: Mapping[int, Sequence[str]] = field(default_factory=dict)


def preset_policy(name: str, account: str, collections: Sequence[str] = (), objects: Sequence[str] = ()) -> KeyPolicy:
    """Returns a ready-made policy.

    Args:
        name: one of ``presets.ACTIONS``.
        account: of the key.
        collections: only these; by default all of the account.
        objects: images in S3 that may be named, as ``presets.OBJECTS`` has them.

    Raises:
        Refused: no collection or object can be called so.
    """
    require_collection_ids(collections)
    require_objects(objects)
    narrower = [*collections, *objects]
    named = f"{name}: {', '.join(narrower)}" if narrower else name
    return KeyPolicy(preset(name, account, collections, objects), named)


def own_policy(name: str, text: str) -> KeyPolicy:
    """Returns a policy that somebody has written for IAM, without what is about other services.

    Raises:
        PolicyUnusable: it has no meaning here.
        Refused: it names an action that the service does not have.
    """
    adopted = adopt_policy(text)
    actions = [f"{SERVICE}:{operation}" for operation in botocore_models.load().operation_names]
    idle = parse_policy(adopted.document).idle_actions([*actions, READ_OBJECT, READ_OBJECT_VERSION])
    if idle:
        raise Refused(f"The policy has the Action {idle[0]}, which is none of Rekognition's.")
    return KeyPolicy(adopted.document, name, adopted.left_out)


def require_objects(patterns: Sequence[str]) -> None:
    """Raises ``Refused`` unless these are images in S3 as ``presets.OBJECTS`` has them."""
    for pattern in patterns:
        require(OBJECTS.fullmatch(pattern), f"{pattern} is not a bucket and a name in it, such as photos/party/*.")
