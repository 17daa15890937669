"""The operations that are served: one record each, from which handlers, priorities, bills and policies derive."""

from collections.abc import Mapping
from typing import Any, Final, cast

from rekognition_emulator.api import rekognition as api
from rekognition_emulator.api.operation import Operation, Priority
from rekognition_emulator.operations.analysis import compare_faces, detect_faces
from rekognition_emulator.operations.collection import (
    create_collection,
    delete_collection,
    describe_collection,
    list_collections,
)
from rekognition_emulator.operations.context import Context
from rekognition_emulator.operations.indexing import delete_faces, index_faces, list_faces
from rekognition_emulator.operations.retry import Handler, retry_on_model_change
from rekognition_emulator.operations.search import search_faces, search_faces_by_image
from rekognition_emulator.operations.tags import list_tags_for_resource, tag_resource, untag_resource
from rekognition_emulator.operations.users import (
    associate_faces,
    create_user,
    delete_user,
    disassociate_faces,
    list_users,
    search_users,
    search_users_by_image,
)

OPERATIONS: Final[api.Operations[Context]] = {
    "AssociateFaces": Operation(associate_faces, read_only=False, billing_group="1"),
    "CompareFaces": Operation(compare_faces, read_only=True, billing_group="1"),
    "CreateCollection": Operation(create_collection, read_only=False),
    "CreateUser": Operation(create_user, read_only=False),
    "DeleteCollection": Operation(delete_collection, read_only=False),
    "DeleteFaces": Operation(delete_faces, read_only=False),
    "DeleteUser": Operation(delete_user, read_only=False),
    "DescribeCollection": Operation(describe_collection, read_only=True),
    "DetectFaces": Operation(detect_faces, read_only=True, priority=Priority.BULK, billing_group="2"),
    "DisassociateFaces": Operation(disassociate_faces, read_only=False, billing_group="1"),
    "IndexFaces": Operation(index_faces, read_only=False, priority=Priority.BULK, billing_group="1"),
    "ListCollections": Operation(list_collections, read_only=True),
    "ListFaces": Operation(list_faces, read_only=True),
    "ListTagsForResource": Operation(list_tags_for_resource, read_only=True),
    "ListUsers": Operation(list_users, read_only=True),
    "SearchFaces": Operation(search_faces, read_only=True, billing_group="1"),
    "SearchFacesByImage": Operation(search_faces_by_image, read_only=True, billing_group="1"),
    "SearchUsers": Operation(search_users, read_only=True, billing_group="1"),
    "SearchUsersByImage": Operation(search_users_by_image, read_only=True, billing_group="1"),
    "TagResource": Operation(tag_resource, read_only=False),
    "UntagResource": Operation(untag_resource, read_only=False),
}
"""Operation → its record. That name, request and response belong together is proved by the type of this table."""

_RECORDS: Final = cast("Mapping[str, Operation[Context, Any, Any]]", OPERATIONS)

SERVED: Final[Mapping[str, Handler]] = {
    name: retry_on_model_change(record.handler) for name, record in _RECORDS.items()
}
"""Operation → handler, as a server calls it: whatever an operation does, it does it with one face model."""

BULK: Final = frozenset(name for name, record in _RECORDS.items() if record.priority is Priority.BULK)
READ_ONLY: Final = frozenset(name for name, record in _RECORDS.items() if record.read_only)

BILLING_GROUPS: Final[Mapping[str, str]] = {
    name: record.billing_group for name, record in _RECORDS.items() if record.billing_group
}
