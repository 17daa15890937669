"""CreateCollection, DeleteCollection, DescribeCollection and ListCollections."""

from rekognition_emulator.api import rekognition as api
from rekognition_emulator.arn import collection_arn
from rekognition_emulator.domain.faces import Collection
from rekognition_emulator.operations.context import Context
from rekognition_emulator.operations.paging import page_size, read_token, write_token


def create_collection(context: Context, request: api.CreateCollectionRequest) -> api.CreateCollectionResponse:
    """Creates an empty collection for faces of this server's face model."""
    collection = context.store.create_collection(
        context.actor, context.owner, request["CollectionId"], context.engine.model.version, request.get("Tags")
    )
    return {
        "StatusCode": 200,
        "CollectionArn": _arn(collection).removeprefix("arn:"),  # as AWS answers it, here alone
        "FaceModelVersion": collection.face_model_version,
    }


def delete_collection(context: Context, request: api.DeleteCollectionRequest) -> api.DeleteCollectionResponse:
    """Deletes a collection with everything in it."""
    context.store.delete_collection(context.actor, context.owner, request["CollectionId"])
    return {"StatusCode": 200}


def describe_collection(context: Context, request: api.DescribeCollectionRequest) -> api.DescribeCollectionResponse:
    """Describes a collection, also one whose face model this server does not run."""
    collection = context.store.get_collection(context.owner, request["CollectionId"])
    return {
        "FaceCount": collection.face_count,
        "FaceModelVersion": collection.face_model_version,
        "CollectionARN": _arn(collection),
        "CreationTimestamp": collection.created_at,
        "UserCount": collection.user_count,
    }


def list_collections(context: Context, request: api.ListCollectionsRequest) -> api.ListCollectionsResponse:
    """Lists the caller's collections by ascending name."""
    scope = ("ListCollections", context.owner.account, context.owner.region)
    after = read_token(request.get("NextToken"), *scope)
    page = context.store.list_collections(context.owner, after=after, limit=page_size(request.get("MaxResults")))
    response: api.ListCollectionsResponse = {
        "CollectionIds": [collection.name for collection in page.items],
        "FaceModelVersions": [collection.face_model_version for collection in page.items],
    }
    if page.more:
        response["NextToken"] = write_token(page.items[-1].name, *scope)
    return response


def _arn(collection: Collection) -> str:
    return collection_arn(collection.owner.region, collection.owner.account, collection.name)
