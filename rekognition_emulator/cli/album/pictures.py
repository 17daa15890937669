"""Where an album's pictures lie, which files are none of it, and what the service calls them."""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, Final, NoReturn

from rekognition_emulator.s3 import OBJECT_BYTES_MAX

BYTES_MAX: Final = 5 * 2**20
"""Of an image in a request. Source: AWS developer guide, "Guidelines and quotas"."""

EXTERNAL_IMAGE_ID_MAX: Final = 255
"""Source: the service model, as are the characters that one may have."""

NOT_OURS: Final = (
    *("@eaDir", "#recycle", "#snapshot"),  # Synology: previews, waste, earlier states
    *("@Recycle", "@Recently-Snapshot"),  # QNAP
    *("$RECYCLE.BIN", "System Volume Information", "lost+found"),  # Windows, Linux
    *("__MACOSX", ".thumbnails", ".*"),  # what macOS adds to archives; previews; hidden
)
"""Names of folders and files that systems put beside pictures. What was thrown away must not be found again."""

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


@dataclass(frozen=True, slots=True)
class Exclusions:
    """Files and folders that do not belong to an album.

    Attributes:
        globs: as shells have them; one with a slash is about the path below the album, else about a name anywhere.
    """

    globs: Sequence[str] = ()

    def cover(self, path: str) -> bool:
        """Whether this path, or a folder that it is in, does not belong to the album."""
        return any(self._match(str(part), part.name) for part in (PurePosixPath(path), *PurePosixPath(path).parents))

    def _match(self, path: str, name: str) -> bool:
        return any(fnmatchcase(name, glob) for glob in NOT_OURS) or any(
            fnmatchcase(path, glob.strip("/")) if "/" in glob else fnmatchcase(name, glob) for glob in self.globs
        )


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

    def __init__(self, path: Path, exclusions: Exclusions = Exclusions()) -> None:
        self._path = path.resolve()
        self._exclusions = exclusions

    @property
    def name(self) -> str:
        """The absolute path."""
        return str(self._path)

    @property
    def bytes_max(self) -> int:
        """That of bytes."""
        return BYTES_MAX

    def list_pictures(self) -> Iterator[Picture]:
        """Walks through the folder and those in it.

        Raises:
            OSError: one of them cannot be read: its pictures would seem to have vanished.
        """

        def refuse(error: OSError) -> NoReturn:
            raise error

        for folder, inner, files in os.walk(self._path, onerror=refuse):
            below = Path(folder).relative_to(self._path)
            inner[:] = sorted(name for name in inner if not self._exclusions.cover((below / name).as_posix()))
            for name in sorted(files):
                file, path = Path(folder) / name, (below / name).as_posix()
                if not self._exclusions.cover(path):
                    seen = file.stat() if file.exists() else file.lstat()  # a link may lead nowhere
                    yield Picture(path, external_image_id(path), seen.st_size, str(seen.st_mtime_ns))

    def read(self, picture: Picture) -> dict[str, Any]:
        """Reads the file, if it is one: a pipe might keep us for ever."""
        if not (self._path / picture.path).is_file():
            raise FileNotFoundError("it is no file")
        return {"Bytes": (self._path / picture.path).read_bytes()}


class Bucket(Album):
    """A folder in S3; the service fetches its pictures itself."""

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - boto3 makes its clients' classes at run time
        bucket: str,
        prefix: str,
        exclusions: Exclusions = Exclusions(),
    ) -> None:
        self._exclusions = exclusions
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
                if path and not path.endswith("/") and not self._exclusions.cover(path):
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
