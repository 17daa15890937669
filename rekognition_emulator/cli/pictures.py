"""Where an album's pictures lie and what they are called: changes when they may lie elsewhere."""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

BYTES_MAX: Final = 5 * 2**20
OBJECT_BYTES_MAX: Final = 15 * 2**20
"""Of a picture in a request, and of one in S3. Source: AWS developer guide, "Guidelines and quotas"."""

EXTERNAL_IMAGE_ID_MAX: Final = 255
"""Source: the service model, as are the characters that one may have."""

_PICTURE: Final = (".jpg", ".jpeg", ".png")
_OTHERS: Final = re.compile(rb"(?:[^a-zA-Z0-9_.\-/]|(?<=/)/)+")


@dataclass(frozen=True, slots=True)
class Picture:
    """A file of an album, or an object.

    Attributes:
        path: relative to the album; what people know it by.
        external_image_id: what the service knows it by.
        size_bytes: of its content.
        stamp: differs when the content does: the time of its last change, or what S3 says of its content.
    """

    path: str
    external_image_id: str
    size_bytes: int
    stamp: str

    @property
    def is_picture(self) -> bool:
        """Whether its name says that it is one of the kinds that the service reads."""
        return self.path.lower().endswith(_PICTURE)


class Album(ABC):
    """A folder of pictures, wherever it is."""

    @property
    @abstractmethod
    def name(self) -> str:
        """How it is written in full."""

    @property
    @abstractmethod
    def bytes_max(self) -> int:
        """The largest picture that the service takes from there."""

    @abstractmethod
    def list_pictures(self) -> Iterator[Picture]:
        """Yields whatever is there, pictures or not, in the order of their paths."""

    @abstractmethod
    def read(self, picture: Picture) -> dict[str, Any]:
        """Returns a picture as requests have it.

        Raises:
            OSError: it cannot be read.
        """


class Folder(Album):
    """A folder here; its pictures are sent along with requests."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()

    @property
    def name(self) -> str:
        """The absolute path."""
        return str(self._path)

    @property
    def bytes_max(self) -> int:
        """That of bytes."""
        return BYTES_MAX

    def list_pictures(self) -> Iterator[Picture]:
        """Walks through the folder and those in it, except hidden ones."""
        for folder, inner, files in os.walk(self._path):
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            for name in sorted(files):
                if not name.startswith("."):
                    file = Path(folder) / name
                    path = file.relative_to(self._path).as_posix()
                    seen = file.stat() if file.exists() else file.lstat()  # a link may lead nowhere
                    yield Picture(path, external_image_id(path), seen.st_size, str(seen.st_mtime_ns))

    def read(self, picture: Picture) -> dict[str, Any]:
        """Reads the file, if it is one: a pipe might keep us for ever."""
        if not (self._path / picture.path).is_file():
            raise FileNotFoundError("it is no file")
        return {"Bytes": (self._path / picture.path).read_bytes()}


class Bucket(Album):
    """A folder in S3; the service fetches its pictures itself."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:  # noqa: ANN401 - boto3 makes its clients' classes at run time
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    @property
    def name(self) -> str:
        """The address."""
        return f"s3://{self._bucket}/{self._prefix}"

    @property
    def bytes_max(self) -> int:
        """That of objects."""
        return OBJECT_BYTES_MAX

    def list_pictures(self) -> Iterator[Picture]:
        """Lists the objects below the prefix, except those that consoles make for empty folders."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
        for page in pages:
            for found in page.get("Contents", []):
                path = found["Key"].removeprefix(self._prefix)
                if path and not path.endswith("/"):
                    yield Picture(path, external_image_id(path), found["Size"], found["ETag"])

    def read(self, picture: Picture) -> dict[str, Any]:
        """Names the object."""
        return {"S3Object": {"Bucket": self._bucket, "Name": self._prefix + picture.path}}


def external_image_id(path: str) -> str:
    """Returns a path in the characters that an ExternalImageId may have, so that no two paths become the same.

    A slash becomes a colon: ``day 1/IMG_7.jpg`` is ``day::20:1:IMG_7.jpg``. Whatever else may not stand in one, as the
    space here, becomes two colons, its UTF-8 in hexadecimal digits, and a colon.
    """
    encoded = _OTHERS.sub(lambda found: b"::%s:" % found[0].hex().upper().encode(), os.fsencode(path))
    return encoded.replace(b"/", b":").decode()
