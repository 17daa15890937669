"""``python -m rekognition_emulator.demo``: an album is indexed and a selfie finds its person.

Makes an album of people who do not exist, indexes it through boto3, searches it with a selfie of one of them, and
writes one image of the selfie and the best matches, with their faces boxed. Talks to the server at
REKOGNITION_ENDPOINT_URL, or starts one.
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
import PIL.ImageOps

from rekognition_emulator.demo.people import PEOPLE, AlbumPicture, album, selfie
from rekognition_emulator.domain.detection import BoundingBox

PICTURES: Final = 24
OUTPUT: Final = Path("out/demo.png")

COLUMNS, ROWS = 3, 2
TILE_PX: Final = (300, 200)
"""Width and height at which each match is shown."""

COLOURS: Final = 200
"""Of the palette: few enough for a file below 100 kB."""


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
    _draw(selfie(visitor), visitor, [(pictures[match["Face"]["ExternalImageId"]], match) for match in matches])
    print(f"\nThe selfie and what it finds, boxed: {OUTPUT}")
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


def _draw(selfie_jpeg: bytes, visitor: int, matches: Sequence[tuple[AlbumPicture, dict[str, Any]]]) -> None:
    """Writes the selfie and beside it the best matches: the face that was found boxed in green, others in white."""
    width, height = TILE_PX
    sheet = PIL.Image.new("RGB", ((COLUMNS + 1) * width, ROWS * height), "white")
    sheet.paste(PIL.ImageOps.fit(_opened(selfie_jpeg), (width, ROWS * height)))
    draw = PIL.ImageDraw.Draw(sheet)
    for number, (picture, match) in enumerate(matches[: COLUMNS * ROWS]):
        row, column = divmod(number, COLUMNS)
        left, top = (column + 1) * width, row * height
        sheet.paste(_opened(picture.jpeg).resize(TILE_PX), (left, top))
        found = match["Face"]["BoundingBox"]
        boxes = [(who.box, "white") for who in picture.appearances if who.seed != visitor]
        boxes.append((BoundingBox(found["Left"], found["Top"], found["Width"], found["Height"]), "lime"))
        for box, colour in boxes:
            ratios = (box.left, box.top, box.left + box.width, box.top + box.height)
            corners = [ratio * side for ratio, side in zip(ratios, TILE_PX * 2, strict=True)]
            draw.rectangle(
                [corner + (left, top)[axis % 2] for axis, corner in enumerate(corners)], outline=colour, width=2
            )
        draw.text((left + 6, top + height - 18), f"{match['Similarity']:.1f} %", fill="white")
    OUTPUT.parent.mkdir(exist_ok=True)
    sheet.quantize(COLOURS).save(OUTPUT, optimize=True)


def _opened(jpeg: bytes) -> PIL.Image.Image:
    return PIL.Image.open(io.BytesIO(jpeg)).convert("RGB")


if __name__ == "__main__":
    main()
