"""``python -m rekognition_emulator.demo``: an album is indexed and a selfie finds its person.

Makes an album of people who do not exist, indexes it through boto3, searches it with a selfie of one of them, and
writes one of the pictures found with its faces boxed. Talks to the server at REKOGNITION_ENDPOINT_URL, or starts one.
"""

import io
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import boto3
import PIL.Image
import PIL.ImageDraw

from rekognition_emulator.demo.people import PEOPLE, AlbumPicture, album, selfie
from rekognition_emulator.domain.detection import BoundingBox

PICTURES: Final = 24
OUTPUT: Final = Path("out/demo.png")


def main() -> None:
    """Runs the demo and exits with 1 if the server missed a picture or showed a stranger."""
    visitor = PEOPLE[3]
    pictures = {f"picture-{number:02}.jpg": picture for number, picture in enumerate(album(1, PICTURES))}
    truth = {name for name, picture in pictures.items() if any(who.seed == visitor for who in picture.appearances)}
    with _endpoint() as url:
        rekognition = boto3.client(
            "rekognition",
            endpoint_url=url,
            region_name="us-east-1",
            # A server without an access key takes any.
            aws_access_key_id=os.environ.get("AWS_ACCESS_KEY_ID", "any"),
            aws_secret_access_key=os.environ.get("AWS_SECRET_ACCESS_KEY", "any"),
        )
        collection = f"demo-{uuid.uuid4().hex[:8]}"
        rekognition.create_collection(CollectionId=collection)
        try:
            _index(rekognition, collection, pictures)
            matches = _search(rekognition, collection, selfie(visitor))
        finally:
            rekognition.delete_collection(CollectionId=collection)
    found = {match["Face"]["ExternalImageId"] for match in matches}
    if matches:
        best = matches[0]["Face"]
        others = [who.box for who in pictures[best["ExternalImageId"]].appearances if who.seed != visitor]
        _draw(pictures[best["ExternalImageId"]].jpeg, best["BoundingBox"], others)
        print(f"\nThe best match, boxed: {OUTPUT}")
    print(f"In {len(truth)} pictures; found in {len(found & truth)} of them, and in {len(found - truth)} others.")
    sys.exit(found != truth)


@contextmanager
def _endpoint() -> Iterator[str]:
    """Yields the URL of a running server, or of one that lives as long as the demo."""
    if url := os.environ.get("REKOGNITION_ENDPOINT_URL"):
        yield url
        return
    with TemporaryDirectory(prefix="rekognition-demo-") as data_dir:
        environment = {**os.environ, "REKOGNITION_DATA_DIR": data_dir, "REKOGNITION_PORT": "0"}
        with subprocess.Popen(
            [sys.executable, "-m", "rekognition_emulator"],
            env={**environment, "REKOGNITION_LOG_LEVEL": "warning"},
            stdout=subprocess.PIPE,
            text=True,
        ) as server:
            assert server.stdout
            try:
                ready = next((found for line in server.stdout if (found := re.search(r"ready on (\S+)", line))), None)
                if ready is None:
                    sys.exit("The server did not start.")
                yield ready[1]
            finally:
                server.terminate()


def _index(rekognition: Any, collection: str, pictures: dict[str, AlbumPicture]) -> None:  # noqa: ANN401 # an SDK client has no type
    started, faces = time.monotonic(), 0
    for name, picture in pictures.items():
        answer = rekognition.index_faces(CollectionId=collection, Image={"Bytes": picture.jpeg}, ExternalImageId=name)
        faces += len(answer["FaceRecords"])
    seconds = time.monotonic() - started
    print(f"Indexed {faces} faces of {len(pictures)} pictures in {seconds:.1f} s.")


def _search(rekognition: Any, collection: str, picture: bytes) -> list[dict[str, Any]]:  # noqa: ANN401 # likewise
    answer = rekognition.search_faces_by_image(CollectionId=collection, Image={"Bytes": picture})
    matches: list[dict[str, Any]] = answer["FaceMatches"]
    print("\nA selfie of one of them is found in:")
    for match in matches:
        print(f"  {match['Similarity']:6.2f} %  {match['Face']['ExternalImageId']}")
    return matches


def _draw(jpeg: bytes, found: dict[str, float], others: Sequence[BoundingBox]) -> None:
    """Writes a picture with the face that was found boxed in green, and the others in white."""
    image = PIL.Image.open(io.BytesIO(jpeg))
    draw = PIL.ImageDraw.Draw(image)
    boxes = [(box, "white") for box in others]
    boxes.append((BoundingBox(found["Left"], found["Top"], found["Width"], found["Height"]), "lime"))
    for box, colour in boxes:
        corners = (box.left, box.top, box.left + box.width, box.top + box.height)
        size = (image.width, image.height) * 2
        draw.rectangle([ratio * side for ratio, side in zip(corners, size, strict=True)], outline=colour, width=4)
    OUTPUT.parent.mkdir(exist_ok=True)
    image.save(OUTPUT)


if __name__ == "__main__":
    main()
