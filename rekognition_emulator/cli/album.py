"""``index-album``: changes when many pictures are indexed in another way.

It knows nothing of this program's insides and asks the public API, through boto3, so that it serves AWS as well.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import boto3
import typer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from rich.progress import TextColumn

from rekognition_emulator.cli.journal import Journal, Outcome, digest, write_report
from rekognition_emulator.cli.pictures import EXTERNAL_IMAGE_ID_MAX, OBJECT_BYTES_MAX, Album, Bucket, Folder, Picture
from rekognition_emulator.cli.progress import counting

ATTEMPTS: Final = 10
"""Of a request that is throttled or lost. By then, with the SDK's pauses, some minutes have passed."""

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


@dataclass(frozen=True, slots=True)
class Wishes:
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


def index_album(  # noqa: PLR0913 - each is an option of the command line
    source: str,
    wishes: Wishes,
    *,
    endpoint_url: str | None,
    s3_endpoint_url: str | None,
    region: str | None,
    journal: Path | None,
    report: Path | None,
    workers: int,
) -> None:
    """Indexes all pictures of an album that are not indexed yet; exits with 1 if one fails."""
    try:
        if report:
            report.touch()  # not to learn after an hour that it cannot be written
        client = _client("rekognition", endpoint_url, region, workers)
        album = _open_album(source, s3_endpoint_url, region, workers)
        identity = {"album": album.name, **_identify(client, wishes.collection), **asdict(wishes)}
        with Journal(journal or _beside(album, wishes.collection), identity) as remembered:
            indexer = _Indexer(client, album, wishes, remembered)
            outcomes: dict[str, Outcome] = {}
            try:
                _index_all(indexer, workers, outcomes)
            finally:
                if report:
                    write_report(report, (outcomes[path] for path in sorted(outcomes)))
                _say(wishes.collection, outcomes)
    except KeyboardInterrupt:
        typer.echo("Stopped; the same command goes on from here.", err=True)
        sys.exit(INTERRUPTED)
    except (BotoCoreError, ClientError, OSError) as error:
        sys.exit(f"{error}\nWhen that is mended, the same command goes on from here.")
    sys.exit(1 if any(outcome.status == "failed" for outcome in outcomes.values()) else 0)


@dataclass(frozen=True, slots=True)
class _Indexer:
    """Indexes one picture at a time; safe to use from many threads."""

    client: Any
    album: Album
    wishes: Wishes
    journal: Journal

    def index(self, picture: Picture) -> Outcome:
        """Returns what becomes of a picture, which is only sent if nothing else is known of it.

        Raises:
            BotoCoreError, ClientError: the service does not answer, or answers nobody.
        """
        if known := self.journal.find(picture):
            return known
        about = Outcome(picture.path, picture.external_image_id, picture.size_bytes, picture.stamp, "failed")
        if not picture.is_picture:
            return replace(about, status="skipped", error="its name ends neither in .jpg, .jpeg nor .png")
        if reason := self._refusal(picture):
            return replace(about, error=reason)
        return self._send(picture, about)

    def _send(self, picture: Picture, about: Outcome) -> Outcome:
        try:
            image = self.album.read(picture)
            if "Bytes" in image:
                about = replace(about, sha256=digest(image["Bytes"]))
                if known := self.journal.find_content(about):
                    return replace(known, stamp=picture.stamp)
            answer = self.client.index_faces(
                Image=image, ExternalImageId=picture.external_image_id, **self.wishes.request
            )
        except (OSError, ParamValidationError) as error:
            return replace(about, error=getattr(error, "strerror", None) or str(error))
        except ClientError as error:
            if error.response["Error"]["Code"] in _NOT_THE_PICTURE:
                raise
            return replace(about, error="{Code}: {Message}".format(**error.response["Error"]))
        reasons = Counter(reason for face in answer["UnindexedFaces"] for reason in face["Reasons"])
        return replace(about, status="indexed", faces=len(answer["FaceRecords"]), unindexed=dict(reasons))

    def _refusal(self, picture: Picture) -> str | None:
        """Returns why the service would not take a picture, as far as that is known without asking it."""
        if picture.size_bytes > self.album.bytes_max:
            sizes = f"it has {picture.size_bytes / 2**20:.1f} MB, and may have {self.album.bytes_max >> 20}"
            return sizes if isinstance(self.album, Bucket) else f"{sizes}; from S3 it may have {OBJECT_BYTES_MAX >> 20}"
        if not picture.size_bytes:
            return "it is empty"
        if len(picture.external_image_id) > EXTERNAL_IMAGE_ID_MAX:
            return f"its path, as an ExternalImageId, is longer than {EXTERNAL_IMAGE_ID_MAX} characters"
        return None


def _index_all(indexer: _Indexer, workers: int, outcomes: dict[str, Outcome]) -> None:
    """Indexes every picture, shows how far it is, and adds what becomes of each to ``outcomes``.

    Raises:
        KeyboardInterrupt: after the answers to what was sent have come.
    """
    pictures = list(indexer.album.list_pictures())
    with counting(TextColumn("{task.fields[faces]:,} faces")) as bars:
        task = bars.add_task(indexer.wishes.collection, total=len(pictures), faces=0)
        faces = 0
        for outcome in _in_parallel(indexer.index, pictures, workers):
            outcomes[outcome.path] = outcome
            if outcome.status == "indexed":
                indexer.journal.add(outcome)
            elif outcome.status == "failed":
                bars.print(f"{outcome.path}: {outcome.error}", markup=False, highlight=False, soft_wrap=True)
            faces += outcome.faces
            bars.update(task, advance=1, faces=faces)


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


def _client(service: str, endpoint_url: str | None, region: str | None, workers: int) -> Any:  # noqa: ANN401 - boto3 makes its clients' classes at run time
    # Adaptive: once a request is throttled, it sends no faster than the service takes them.
    retries = {"mode": "adaptive", "total_max_attempts": ATTEMPTS}
    return boto3.session.Session(region_name=region).client(
        service, endpoint_url=endpoint_url, config=Config(retries=retries, max_pool_connections=workers)
    )


def _open_album(source: str, endpoint_url: str | None, region: str | None, workers: int) -> Album:
    if source.startswith("s3://"):
        address = urlsplit(source)
        # Not by the address' own path: in a key, a question mark or a hash is a character like any other.
        prefix = source.removeprefix(f"s3://{address.netloc}").lstrip("/")
        return Bucket(_client("s3", endpoint_url, region, workers), address.netloc, prefix)
    if not Path(source).is_dir():
        raise NotADirectoryError(f"{source} is no folder.")
    return Folder(Path(source))


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


def _say(collection: str, outcomes: Mapping[str, Outcome]) -> None:
    counts = Counter(outcome.status for outcome in outcomes.values())
    faces = sum(outcome.faces for outcome in outcomes.values())
    unindexed = sum(sum(outcome.unindexed.values()) for outcome in outcomes.values())
    typer.echo(
        f"{collection}: {counts['indexed']:,} pictures indexed, with {faces:,} faces and {unindexed:,} that were left"
        f" out; {counts['failed']:,} failed; {counts['skipped']:,} other files."
    )
