"""TagResource, UntagResource and ListTagsForResource."""

import re
from typing import Final

from rekognition_emulator.api import rekognition as api
from rekognition_emulator.domain.faces import Collection
from rekognition_emulator.operations.context import Context
from rekognition_emulator.operations.rendering import collection_arn

_ARN: Final = re.compile(r"arn:[^:]+:rekognition:[^:]*:[^:]*:.+", re.DOTALL)
_NAME: Final = re.compile(r"[a-zA-Z0-9_.\-]+")
"""As the model has it; a resource name is given as any text, and PostgreSQL cannot even be asked for some."""


def tag_resource(context: Context, request: api.TagResourceRequest) -> api.TagResourceResponse:
    """Adds tags to a collection, or gives those that are there new values."""
    context.tags.add_tags(context.actor, _collection(context, request["ResourceArn"]), request["Tags"])
    return {}


def untag_resource(context: Context, request: api.UntagResourceRequest) -> api.UntagResourceResponse:
    """Removes tags from a collection; keys that are not there are ignored."""
    context.tags.remove_tags(context.actor, _collection(context, request["ResourceArn"]), request["TagKeys"])
    return {}


def list_tags_for_resource(
    context: Context, request: api.ListTagsForResourceRequest
) -> api.ListTagsForResourceResponse:
    """Returns the tags of a collection."""
    return {"Tags": context.tags.get_tags(_collection(context, request["ResourceArn"]))}


def _collection(context: Context, arn: str) -> Collection:
    """Returns the collection that a full resource name means, the caller's own ones being all there are."""
    if not _ARN.fullmatch(arn):
        raise api.InvalidParameterException("The resource ARN is not valid.")
    name = arn.removeprefix(collection_arn(context.owner, ""))
    if not _NAME.fullmatch(name):  # nor does anybody else's whole resource name, with its colons
        raise api.ResourceNotFoundException("The resource does not exist")
    return context.store.get_collection(context.owner, name)
