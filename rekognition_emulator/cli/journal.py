"""What has become of an album's pictures, remembered for the next run.

JSON lines in a private file: what was asked for, then what happened, each line written before or after the call that it
is about, so that a run which was killed is gone on with and no face is lost sight of:

- ``sending``: a picture is about to be sent; faces may be stored of which nobody has heard yet.
- an outcome: it is indexed; these are its faces, and those of earlier versions that are still to go.
- ``settled``: nothing came of sending it. ``gone``: it left the album, and its faces the collection.

A journal of an earlier collection of the same name says nothing about this one and is begun again. One of other wishes
still knows which faces there are; the pictures are sent again.
"""

import hashlib
import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Final, Literal, Self

from rekognition_emulator.cli.pictures import Picture
from rekognition_emulator.storage.files import lock, private, whole_file

_VERSION: Final = 2
"""In version 1, outcomes did not say which faces they are about."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What has become of a picture.

    Attributes:
        status: unchanged, in reports only: an earlier run has indexed it; vanished: it left the album, and its faces
            are still in the collection; removed: they left it, too.
        sha256: of its content; None where it was not read here.
        faces: stored in the collection.
        unindexed: reason → faces that were found and not stored for it.
        error: why it failed, was left out or removed, or what is wrong with its earlier faces.
        face_ids: of the faces stored; None where a journal does not say.
        stale: ids of faces of earlier versions that are still in the collection, and should not be.
        removed: faces that left the collection in this run, because the picture has changed or gone.
        altered: what was sent instead of the file: a smaller JPEG, or one of another format.
    """

    path: str
    external_image_id: str
    size_bytes: int
    stamp: str
    status: Literal["indexed", "unchanged", "failed", "skipped", "vanished", "removed"]
    sha256: str | None = None
    faces: int = 0
    unindexed: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None
    face_ids: tuple[str, ...] | None = None
    stale: tuple[str, ...] = ()
    removed: int = 0
    altered: Literal["shrunk", "converted"] | None = None

    @property
    def is_indexed(self) -> bool:
        """Whether the collection has it as it is in the album."""
        return self.status in {"indexed", "unchanged"}

    @property
    def needs_attention(self) -> bool:
        """Whether somebody has to do something about it."""
        return self.status == "failed" or (self.error is not None and (self.is_indexed or self.status == "vanished"))


@dataclass(frozen=True, slots=True)
class Sending:
    """A picture that was about to be sent when a run ended.

    Attributes:
        sha256: of its content; None where it was not read here.
        stamp: as ``Picture`` has it.
    """

    external_image_id: str
    sha256: str | None
    stamp: str

    def is_of(self, outcome: Outcome) -> bool:
        """Whether it had the content of this picture: then the service has told, by now, which faces that gave."""
        if self.sha256 or outcome.sha256:
            return self.sha256 == outcome.sha256
        return self.stamp == outcome.stamp


class Journal:
    """Pictures that are indexed, in a file; to be used as a context manager, by one process, from many threads."""

    def __init__(self, path: Path, identity: Mapping[str, str], wishes: Mapping[str, object]) -> None:
        """Nothing is read before it is entered.

        Args:
            path: of the file.
            identity: which album this is, in which collection, and when that was ``created``.
            wishes: how pictures are indexed.
        """
        self._path = path
        self._identity = identity
        self._wishes = wishes
        self._known: dict[str, Outcome] = {}
        self._sending: dict[str, list[Sending]] = {}
        self._lock = threading.Lock()
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        """Reads what there is, and begins the file again with it, since the last line may be half a one.

        Raises:
            OSError: it cannot be read or written, is something else, or belongs to another run or another album.
        """
        try:
            with open(self._path, "ab", opener=private) as before:
                self._read_alone(before)
                with whole_file(self._path) as file:
                    file.writelines(f"{line}\n".encode() for line in self._lines())
                self._file = open(self._path, "a", opener=private)
                lock(self._file, self._path)
        except FileExistsError:
            raise
        except OSError as error:
            why = error.strerror or error
            raise OSError(
                f"The journal {self._path} cannot be written: {why}; --journal names another place."
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the file."""
        assert self._file
        self._file.close()

    @property
    def paths(self) -> set[str]:
        """Every picture of which faces were, or may be, in the collection when the journal was entered."""
        return self._known.keys() | self._sending.keys()

    def known(self, path: str) -> Outcome | None:
        """Returns what became of a picture of this name, whatever it is now."""
        return self._known.get(path)

    def interrupted(self, path: str) -> Sequence[Sending]:
        """Returns what was about to be sent of it, run after run, and nobody knows what came of it."""
        return self._sending.get(path, [])

    def find(self, picture: Picture) -> Outcome | None:
        """Returns what became of this picture, unless it has changed since."""
        known = None if picture.path in self._sending else self._known.get(picture.path)
        return known if known and (known.size_bytes, known.stamp) == (picture.size_bytes, picture.stamp) else None

    def find_content(self, about: Outcome) -> Outcome | None:
        """Returns what became of this picture if it has the same content as then, whatever its time says."""
        known = None if about.path in self._sending else self._known.get(about.path)
        return known if known and about.sha256 and known.sha256 == about.sha256 else None

    def begin(self, about: Outcome) -> None:
        """Remembers that a picture is about to be sent; like the others, safe from a kill when this returns."""
        self._write({"sending": about.path, **asdict(Sending(about.external_image_id, about.sha256, about.stamp))})

    def settle(self, path: str) -> None:
        """Remembers that nothing came of sending it this time."""
        self._write({"settled": path})

    def add(self, outcome: Outcome) -> None:
        """Remembers a picture that is indexed, and which faces are its own."""
        if self._known.get(outcome.path) != outcome or outcome.path in self._sending:
            self._write(asdict(outcome))

    def forget(self, path: str) -> None:
        """Remembers that a picture left the album, and its faces the collection."""
        self._write({"gone": path})

    def _write(self, line: Mapping[str, object]) -> None:
        with self._lock:
            assert self._file
            self._file.write(f"{json.dumps(line)}\n")
            self._file.flush()

    def _lines(self) -> Iterable[str]:
        yield json.dumps({"journal": _VERSION, **self._identity, **self._wishes})
        yield from (json.dumps(asdict(outcome)) for outcome in self._known.values())
        for path, sendings in self._sending.items():
            yield from (json.dumps({"sending": path, **asdict(sent)}) for sent in sendings)

    def _read_alone(self, file: IO[bytes]) -> None:
        if not lock(file, self._path):
            raise FileExistsError(f"{self._path} is in use: another run works with this journal.")
        first, *lines = self._path.read_text(errors="replace").split("\n")
        if not first:
            return
        head = _parsed(first) or {}
        if "journal" not in head or not isinstance(head["journal"], int):
            raise FileExistsError(f"{self._path} is no journal, and nothing is overwritten.")
        if head["journal"] > _VERSION:
            raise FileExistsError(f"{self._path} is a journal of a later version of this program.")
        if differs := [name for name, value in self._identity.items() if head.get(name) != value]:
            if differs == ["created"]:
                return
            raise FileExistsError(
                f"{self._path} is the journal of {head.get('album')} in {head.get('arn')}; --journal names another."
            )
        for line in lines:
            if content := _parsed(line):  # cut off, as the last one may be: that picture is sent again
                self._take(content)
        if {name: head.get(name) for name in self._wishes} != self._wishes:
            self._known = {path: replace(known, stamp="", sha256=None) for path, known in self._known.items()}

    def _take(self, line: dict[str, Any]) -> None:
        with suppress(KeyError, TypeError):
            if "sending" in line:
                path = line.pop("sending")
                self._sending.setdefault(path, []).append(Sending(**line))
            elif "settled" in line:
                path = line["settled"]
                self._sending[path].pop()
                self._sending = {path: sendings for path, sendings in self._sending.items() if sendings}
            elif "gone" in line:
                self._known.pop(str(line["gone"]), None)
                self._sending.pop(str(line["gone"]), None)
            else:
                ids = line.get("face_ids")
                face_ids = None if ids is None else tuple(map(str, ids))
                told = {**line, "face_ids": face_ids, "stale": tuple(map(str, line.get("stale", ())))}
                outcome = Outcome(**told)
                self._known[outcome.path] = outcome
                self._sending.pop(outcome.path, None)


def _parsed(line: str) -> dict[str, Any] | None:
    with suppress(ValueError, RecursionError):
        content = json.loads(line)
        return content if isinstance(content, dict) else None
    return None


def digest(content: bytes) -> str:
    """Returns the SHA-256 of a picture."""
    return hashlib.sha256(content).hexdigest()
