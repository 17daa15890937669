"""The main job with aiobotocore: index an album concurrently, then find a person in it by picture and by face.

Takes a folder with ``album/*.jpg`` and ``selfie.jpg`` in it; prints as JSON what came of each step. Region, credentials
and endpoint come from the environment, as they do for every program that uses the SDK.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from aiobotocore.session import get_session  # type: ignore[import-not-found]  # lives in an environment of its own

COLLECTION = {"CollectionId": "aiobotocore"}


async def main_job(album: dict[str, bytes], selfie: bytes) -> dict[str, Any]:
    """Does the main job and returns what is to be seen of it."""
    async with get_session().create_client("rekognition") as rekognition:

        async def index(name: str, picture: bytes) -> tuple[str, list[str]]:
            answer = await rekognition.index_faces(**COLLECTION, Image={"Bytes": picture}, ExternalImageId=name)
            return name, [record["Face"]["FaceId"] for record in answer["FaceRecords"]]

        created = await rekognition.create_collection(**COLLECTION)
        indexed = dict(await asyncio.gather(*(index(*picture) for picture in album.items())))
        listing = rekognition.get_paginator("list_faces").paginate(**COLLECTION, PaginationConfig={"PageSize": 2})
        pages = [[face["FaceId"] for face in page["Faces"]] async for page in listing]
        (face_id,) = indexed["ada-plain.jpg"]
        by_image, by_face, detected = await asyncio.gather(
            rekognition.search_faces_by_image(**COLLECTION, Image={"Bytes": selfie}),
            rekognition.search_faces(**COLLECTION, FaceId=face_id),
            rekognition.detect_faces(Image={"Bytes": selfie}),
        )
        deleted = await rekognition.delete_faces(**COLLECTION, FaceIds=[face_id])
        described = await rekognition.describe_collection(**COLLECTION)
        dropped = await rekognition.delete_collection(**COLLECTION)
        try:
            await rekognition.search_faces(**COLLECTION, FaceId=face_id)
        except rekognition.exceptions.ResourceNotFoundException as error:
            gone = error.response["Error"]["Message"]
    return {
        "arn": created["CollectionArn"],
        "indexed": indexed,
        "pages": pages,
        "foundByImage": [[match["Face"]["ExternalImageId"], match["Similarity"]] for match in by_image["FaceMatches"]],
        "foundByFace": [match["Face"]["ExternalImageId"] for match in by_face["FaceMatches"]],
        "detected": len(detected["FaceDetails"]),
        "deleted": deleted["DeletedFaces"],
        "facesLeft": described["FaceCount"],
        "dropped": dropped["StatusCode"],
        "gone": gone,
    }


folder = Path(sys.argv[1])
pictures = {path.name: path.read_bytes() for path in (folder / "album").iterdir()}
json.dump(asyncio.run(main_job(pictures, (folder / "selfie.jpg").read_bytes())), sys.stdout)
