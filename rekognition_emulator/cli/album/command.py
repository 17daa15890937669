"""``index-album``: a collection becomes what a folder of pictures is, now and whenever that has changed.

It knows nothing of this program's insides and asks the public API, through boto3, so that it serves AWS as well.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import typer
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from rich.progress import TextColumn

from rekognition_emulator.cli.album.client import open_client
from rekognition_emulator.cli.album.journal import Journal, Outcome, digest
from rekognition_emulator.cli.album.pictures import (
    EXTERNAL_IMAGE_ID_MAX,
    Album,
    Bucket,
    Exclusions,
    Folder,
    Picture,
)
from rekognition_emulator.cli.album.reencoding import ORIGINAL_BYTES_MAX, NotReencoded, foreign_format, reencode
from rekognition_emulator.cli.album.report import readable, summary, write_report
from rekognition_emulator.cli.album.superseding import EarlierFaces
from rekognition_emulator.cli.progress import counting
from rekognition_emulator.cli.wording import counted, in_words
from rekognition_emulator.files import private
from rekognition_emulator.s3 import OBJECT_BYTES_MAX

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as shells have it."""

_NOT_THE_PICTURE: Final = frozenset(
    {
        "AccessDeniedException",
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "ResourceNotFoundException",
        "UnrecognizedClientException",
    }
)
"""Errors that every other picture would meet, too."""

_SERVER_ERROR: Final = 500
"""From this status on, nobody knows whether anything was done."""


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """How pictures are indexed: members of IndexFaces, None for the service's default."""

    collection: str
    max_faces: int | None
    quality_filter: str | None

    @property
    def request(self) -> dict[str, Any]:
        """The members that every request has."""
        members = {
            "CollectionId": self.collection,
            "MaxFaces": self.max_faces,
            "QualityFilter": self.quality_filter,
        }
        return {name: value for name, value in members.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Handling:
    """What is done with files that are not sent as they are.

    Attributes:
        exclude: globs of what does not belong to the album.
        shrink: re-encode what is too large.
        convert: re-encode formats that the service does not take.
        prune: remove the faces of pictures that are no longer in the album.
    """

    exclude: Sequence[str] = ()
    shrink: bool = False
    convert: bool = False
    prune: bool = False


def index_album(  # noqa: PLR0913 - each is an option of the command line
    source: str,
    wishes: IndexOptions,
    handling: Handling,
    *,
    endpoint_url: str | None,
    s3_endpoint_url: str | None,
    region: str | None,
    journal: Path | None,
    report: Path | None,
    workers: int,
) -> None:
    """Indexes all pictures of an album that are not indexed yet, and removes what they had been before they changed.

    Exits with 1 if a picture fails, or if faces stay that should not.
    """
    outcomes: dict[str, Outcome] = {}
    try:
        if report:
            open(report, "ab", opener=private).close()  # not to learn after an hour that it cannot be written
        client = open_client("rekognition", endpoint_url, region, workers)
        album = _open_album(source, Exclusions(handling.exclude), s3_endpoint_url, region, workers)
        if isinstance(album, Bucket) and (handling.shrink or handling.convert):
            sys.exit("Pictures in S3 are read by the service as they are: --shrink and --convert are for folders.")
        identity = {"album": album.name, **_identify(client, wishes.collection)}
        with Journal(journal or _beside(album, wishes.collection), identity, asdict(wishes)) as remembered:
            earlier = EarlierFaces(client, wishes.collection, remembered)
            indexer = _Indexer(client, album, wishes, handling, remembered, earlier)
            try:
                _index_all(indexer, workers, outcomes)
            finally:
                if report:
                    write_report(report, (outcomes[path] for path in sorted(outcomes)))
                for line in summary(wishes.collection, outcomes.values()):
                    typer.echo(line)
    except KeyboardInterrupt:
        typer.echo("Stopped. Run the same command again, and it continues from here.", err=True)
        sys.exit(INTERRUPTED)
    except (BotoCoreError, ClientError, OSError) as error:
        sys.exit(f"{in_words(error)}\nOnce that is corrected, run the same command again: it continues from here.")
    sys.exit(1 if any(outcome.needs_attention for outcome in outcomes.values()) else 0)


@dataclass(frozen=True, slots=True)
class _Indexer:
    """Indexes one picture at a time; safe to use from many threads."""

    client: Any
    album: Album
    wishes: IndexOptions
    handling: Handling
    journal: Journal
    earlier: EarlierFaces

    def index(self, picture: Picture) -> Outcome:
        """Returns what becomes of a picture, which is only sent if nothing else is known of it.

        Raises:
            BotoCoreError, ClientError: the service does not answer, or answers nobody.
        """
        if known := self.journal.find(picture):
            return self._keep(known)
        about = Outcome(picture.path, picture.external_image_id, picture.size_bytes, picture.stamp, "failed")
        kind = foreign_format(picture.path)
        if not picture.is_picture and not (kind and self.handling.convert):
            takes = f"{kind} is no format of the service; --convert sends it as a JPEG"
            return replace(about, status="skipped", error=takes if kind else "its name is not that of a JPEG or PNG")
        if reason := self._refusal(picture):
            return self._failed(about, reason)
        return self._send(picture, about)

    def leave(self, path: str, outcomes: Mapping[str, Outcome]) -> Outcome:
        """Returns what becomes of the faces of a picture that is no longer in the album.

        They go if that is wished, or if the picture is only called something else now: then its new faces are in.
        """
        known = self.journal.known(path)
        sent = self.journal.interrupted(path)
        about = known or Outcome(path, sent[0].external_image_id, 0, "", "vanished")
        face_ids, doubt = self.earlier.of(path)
        moved_to = known and next((there for there in outcomes.values() if _is_same(known, there)), None)
        if self.handling.prune or moved_to or not (face_ids or about.faces or doubt):
            stale, doubt_too = self.earlier.remove(face_ids)
            gone = replace(about, removed=len(face_ids) - len(stale), stale=stale, error=doubt_too or doubt, faces=0)
            if gone.error:
                return replace(gone, status="vanished")
            self.journal.forget(path)
            return replace(gone, status="removed", error=f"it is {readable(moved_to.path)} now" if moved_to else None)
        vanished = self._clear(about) if about.stale else about
        return replace(vanished, status="vanished", error=vanished.error or doubt, unindexed={})

    def _send(self, picture: Picture, about: Outcome) -> Outcome:
        try:
            image = self.album.read(picture)
            if "Bytes" in image:
                about = replace(about, sha256=digest(image["Bytes"]))
                if known := self.journal.find_content(about):
                    return self._keep(replace(known, stamp=picture.stamp))
                image, about = self._as_taken(image, about)
            self.journal.begin(about)
            answer = self.client.index_faces(
                Image=image, ExternalImageId=picture.external_image_id, **self.wishes.request
            )
        except (OSError, NotReencoded) as error:
            return self._failed(about, getattr(error, "strerror", None) or str(error))
        except ParamValidationError as error:
            self.journal.settle(picture.path)
            return self._failed(about, str(error))
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] < _SERVER_ERROR:
                self.journal.settle(picture.path)
            if error.response["Error"]["Code"] in _NOT_THE_PICTURE:
                raise
            return self._failed(about, "{Code}: {Message}".format(**error.response["Error"]))
        reasons = Counter(reason for face in answer["UnindexedFaces"] for reason in face["Reasons"])
        face_ids = tuple(record["Face"]["FaceId"] for record in answer["FaceRecords"])
        indexed = replace(about, status="indexed", faces=len(face_ids), face_ids=face_ids, unindexed=dict(reasons))
        stale, doubt = self.earlier.of(picture.path, indexed)
        # The new version is in. Only once it is written down what has to go, that goes.
        return self._clear(replace(indexed, stale=tuple(sorted(stale)), error=doubt))

    def _as_taken(self, image: dict[str, Any], about: Outcome) -> tuple[dict[str, Any], Outcome]:
        if foreign_format(about.path):
            altered: Literal["shrunk", "converted"] = "converted"
        elif about.size_bytes > self.album.bytes_max:
            altered = "shrunk"
        else:
            return image, about
        content = reencode(image["Bytes"], about.path, self.album.bytes_max)
        return {"Bytes": content}, replace(about, altered=altered)

    def _keep(self, known: Outcome) -> Outcome:
        """Returns what becomes of a picture that an earlier run has indexed as it is."""
        return replace(self._clear(known), status="unchanged")

    def _clear(self, indexed: Outcome) -> Outcome:
        """Remembers a picture that is indexed, and removes what is stale of it."""
        self.journal.add(replace(indexed, error=None))
        if not indexed.stale:
            return indexed
        stale, reason = self.earlier.remove(indexed.stale)
        cleared = replace(indexed, stale=stale)
        self.journal.add(replace(cleared, error=None))
        return replace(cleared, removed=len(indexed.stale) - len(stale), error=reason or indexed.error)

    def _failed(self, about: Outcome, reason: str) -> Outcome:
        before = self.journal.known(about.path)
        if before and before.faces:
            reason += f"; still stored: {counted(before.faces, 'face')} of its earlier version"
        return replace(about, status="failed", error=reason)

    def _refusal(self, picture: Picture) -> str | None:
        """Returns why the service would not take a picture, as far as that is known without asking it."""
        reencoded = self.handling.shrink or foreign_format(picture.path)
        most = ORIGINAL_BYTES_MAX if reencoded else self.album.bytes_max
        if picture.size_bytes > most:
            sizes = f"it has {picture.size_bytes / 2**20:.1f} MB, and may have {most >> 20}"
            if reencoded or isinstance(self.album, Bucket):
                return sizes
            return f"{sizes}; from S3 it may have {OBJECT_BYTES_MAX >> 20}, and --shrink makes it smaller"
        if not picture.size_bytes:
            return "it is empty"
        if len(picture.external_image_id) > EXTERNAL_IMAGE_ID_MAX:
            return f"its path, as an ExternalImageId, is longer than {EXTERNAL_IMAGE_ID_MAX} characters"
        return None


def _is_same(vanished: Outcome, present: Outcome) -> bool:
    """Whether a picture has the content of one that is no longer there; of objects in S3, the ETag says so."""
    if not present.is_indexed:
        return False
    if vanished.sha256 or present.sha256:
        return vanished.sha256 == present.sha256
    return bool(vanished.stamp) and (vanished.stamp, vanished.size_bytes) == (present.stamp, present.size_bytes)


def _index_all(indexer: _Indexer, workers: int, outcomes: dict[str, Outcome]) -> None:
    """Indexes every picture, shows how far it is, and adds what becomes of each to ``outcomes``.

    Raises:
        KeyboardInterrupt: after the answers to what was sent have come.
        OSError: the album cannot be listed, or has nothing in it any more.
    """
    pictures = list(indexer.album.list_pictures())
    vanished = sorted(indexer.journal.paths - {picture.path for picture in pictures})
    if vanished and not pictures and indexer.handling.prune:
        raise FileNotFoundError(
            f"There is nothing in {indexer.album.name}, as if it were not mounted: nothing is pruned."
        )
    with counting(TextColumn("{task.fields[faces]:,} faces")) as bars:
        task = bars.add_task(indexer.wishes.collection, total=len(pictures), faces=0)
        faces = 0

        def took(outcome: Outcome) -> None:
            outcomes[outcome.path] = outcome
            if outcome.needs_attention:
                line = f"{readable(outcome.path)}: {outcome.error}"
                bars.print(line, markup=False, highlight=False, soft_wrap=True)

        for outcome in _in_parallel(indexer.index, pictures, workers):
            took(outcome)
            faces += outcome.faces
            bars.update(task, advance=1, faces=faces)
        for path in vanished:
            took(indexer.leave(path, outcomes))


def _in_parallel(index: Callable[[Picture], Outcome], pictures: Iterable[Picture], workers: int) -> Iterator[Outcome]:
    """Yields what becomes of pictures, as it is known. Only a few wait: pictures are read when it is their turn."""
    coming = iter(pictures)
    pending: set[Future[Outcome]] = set()
    with ThreadPoolExecutor(workers) as executor:
        try:
            while True:
                pending.update(
                    executor.submit(index, picture) for picture in islice(coming, 2 * workers - len(pending))
                )
                if not pending:
                    return
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for each in done:
                    yield each.result()
        finally:
            for each in pending:
                each.cancel()


def _open_album(
    source: str, exclusions: Exclusions, endpoint_url: str | None, region: str | None, workers: int
) -> Album:
    if source.startswith("s3://"):
        address = urlsplit(source)
        # Not by the address' own path: in a key, a question mark or a hash is a character like any other.
        prefix = source.removeprefix(f"s3://{address.netloc}").lstrip("/")
        return Bucket(open_client("s3", endpoint_url, region, workers), address.netloc, prefix, exclusions)
    if not Path(source).is_dir():
        raise NotADirectoryError(f"{source} is no folder.")
    return Folder(Path(source), exclusions)


def _identify(client: Any, collection: str) -> dict[str, str]:  # noqa: ANN401 - likewise
    """Returns what tells a collection from every other, also from an earlier one of its name; makes it if need be."""
    try:
        found = client.describe_collection(CollectionId=collection)
    except client.exceptions.ResourceNotFoundException:
        client.create_collection(CollectionId=collection)
        found = client.describe_collection(CollectionId=collection)
    return {"arn": found["CollectionARN"], "created": found["CreationTimestamp"].isoformat()}


def _beside(album: Album, collection: str) -> Path:
    """Returns where the journal is by default: beside a folder, or for one in S3 in the current one."""
    folder = Path(album.name) if isinstance(album, Folder) else Path(Path(album.name).name)
    return folder.with_name(f"{folder.name}.{collection}.journal")
