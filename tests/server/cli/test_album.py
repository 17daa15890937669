"""``index-album`` against a service of the test's own, which can be killed at any of its calls, or the journal's."""

import csv
import hashlib
import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import PIL.features
import PIL.Image
import pytest
from botocore.exceptions import ClientError

from rekognition_emulator.cli import album
from rekognition_emulator.cli.album import Handling, IndexOptions, index_album
from rekognition_emulator.cli.journal import Journal

JPEG = b"\xff\xd8\xff"


class Killed(BaseException):
    """The process is gone."""


class Service:
    """IndexFaces and its like, as AWS has them: the same picture under the same name is stored once.

    A picture's content says how many faces it has: by its last byte.
    """

    def __init__(self) -> None:
        self.faces: dict[str, tuple[str, str]] = {}
        self.users: dict[str, str] = {}
        self.refused: set[str] = set()
        self.sticky: set[str] = set()
        self.sent: list[bytes] = []
        self.step = 0
        self.kill_at = -1
        self.exceptions = type("Exceptions", (), {"ResourceNotFoundException": type("Gone", (Exception,), {})})

    def tick(self) -> None:
        """A point at which the process may be killed."""
        self.step += 1
        if self.step == self.kill_at:
            raise Killed

    def refuse(self, operation: str, code: str = "AccessDeniedException") -> None:
        """Says no, as to a key that may not."""
        if operation in self.refused:
            error = {"Error": {"Code": code, "Message": f"no {operation}"}}
            raise ClientError({**error, "ResponseMetadata": {"HTTPStatusCode": 400}}, operation)

    def describe_collection(self, **_: str) -> Any:
        """It is there."""
        return {"CollectionARN": "arn", "CreationTimestamp": datetime(2026, 1, 1, tzinfo=UTC)}

    def index_faces(self, *, Image: dict[str, bytes], ExternalImageId: str, **_: Any) -> Any:  # noqa: N803 - AWS's names
        """Stores faces, between two points at which the caller may be killed."""
        self.tick()
        self.refuse("IndexFaces", "InvalidImageFormatException")
        content = Image["Bytes"]
        self.sent.append(content)
        image_id = hashlib.sha256(content + ExternalImageId.encode()).hexdigest()
        ids = [face for face, (image, _) in self.faces.items() if image == image_id]
        ids = ids or [f"{image_id[:8]}-{len(self.sent)}-{number}" for number in range(content[-1] % 8)]
        self.faces |= dict.fromkeys(ids, (image_id, ExternalImageId))
        self.tick()
        return {"FaceRecords": [{"Face": {"FaceId": face}} for face in ids], "UnindexedFaces": []}

    def delete_faces(self, *, FaceIds: list[str], **_: str) -> Any:  # noqa: N803
        """Deletes those that belong to nobody."""
        self.tick()
        self.refuse("DeleteFaces")
        unsuccessful = []
        for face in FaceIds:
            if face not in self.faces:
                unsuccessful.append({"FaceId": face, "Reasons": ["FACE_NOT_FOUND"]})
            elif face in self.users:
                reasons = ["ASSOCIATED_TO_AN_EXISTING_USER"]
                unsuccessful.append({"FaceId": face, "UserId": self.users[face], "Reasons": reasons})
            else:
                del self.faces[face]
        self.tick()
        return {"UnsuccessfulFaceDeletions": unsuccessful}

    def disassociate_faces(self, *, UserId: str, FaceIds: list[str], **_: str) -> None:  # noqa: N803
        """Takes faces from a user, unless somebody gives them back at once."""
        self.tick()
        for face in FaceIds:
            if self.users.get(face) == UserId and face not in self.sticky:
                del self.users[face]
        self.tick()

    def get_paginator(self, _: str) -> "Service":
        """ListFaces is the only one."""
        return self

    def paginate(self, **_: str) -> Iterator[Any]:
        """Lists all faces, one a page."""
        self.refuse("ListFaces")
        for face, (image, name) in list(self.faces.items()):
            yield {"Faces": [{"FaceId": face, "ImageId": image, "ExternalImageId": name}]}

    def stored(self) -> dict[str, int]:
        """ExternalImageId → faces."""
        counted: dict[str, int] = {}
        for _, name in self.faces.values():
            counted[name] = counted.get(name, 0) + 1
        return counted


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    """What the command talks to; a journal's writes are points at which it may be killed, too."""
    service, write = Service(), Journal._write

    def write_or_die(journal: Journal, line: Any) -> None:
        service.tick()
        write(journal, line)
        service.tick()

    monkeypatch.setattr(album, "_client", lambda *_: service)
    monkeypatch.setattr(Journal, "_write", write_or_die)
    return service


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where pictures are."""
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(service: Service, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command to its end, and returns its exit code and what it says."""

    def run(wishes: IndexOptions | None = None, **handling: Any) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            index_album(
                str(folder),
                wishes or IndexOptions("album", None, None),
                Handling(**handling),
                endpoint_url=None,
                s3_endpoint_url=None,
                region=None,
                journal=tmp_path / "journal",
                report=tmp_path / "report.csv",
                workers=1,
            )
        said = "".join(capsys.readouterr())
        code = ended.value.code
        return (1, f"{said}{code}") if isinstance(code, str) else (int(code or 0), said)

    return run


def report(tmp_path: Path) -> dict[str, dict[str, str]]:
    """Path → what the report says of it."""
    with (tmp_path / "report.csv").open(newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def put(folder: Path, **pictures: int) -> None:
    """Writes pictures: name → faces, of which no two have the same content."""
    for name, faces in pictures.items():
        (folder / f"{name}.jpg").write_bytes(JPEG + os.urandom(8) + bytes([faces]))


def test_an_edit_replaces_the_faces_of_the_earlier_version(run: Run, service: Service, folder: Path) -> None:
    """Also those of a user; and nothing is removed before the new version is in."""
    put(folder, a=3, b=1)
    assert run()[0] == 0
    service.users = dict.fromkeys(list(service.faces)[:2], "ada")
    put(folder, a=2)
    code, said = run()
    assert (code, service.stored()) == (0, {"a.jpg": 2, "b.jpg": 1})
    assert "3 faces removed, of pictures that have changed or gone." in said
    sent = len(service.sent)
    assert run()[1].strip() == (
        "album: 0 pictures indexed, 2 unchanged since an earlier run, with 3 faces and 0 left out; 0 failed; "
        "0 other files."
    )
    assert len(service.sent) == sent


def test_a_version_that_does_not_come_in_leaves_the_earlier_one(run: Run, folder: Path, service: Service) -> None:
    """Which the report says."""
    put(folder, a=3)
    run()
    (folder / "a.jpg").write_bytes(bytes(6 * 2**20))
    code, said = run()
    assert (code, service.stored()) == (1, {"a.jpg": 3})
    assert "--shrink makes it smaller; still stored: 3 faces of its earlier version" in said
    put(folder, a=1)
    assert (run()[0], service.stored()) == (0, {"a.jpg": 1})


def test_a_face_that_stays_is_named_until_it_goes(run: Run, service: Service, folder: Path, tmp_path: Path) -> None:
    """In the report and by the exit code, run after run."""
    put(folder, a=1)
    run()
    (face,) = service.faces
    service.users, service.sticky = {face: "ada"}, {face}
    put(folder, a=2)
    for _ in range(2):
        code, said = run()
        assert code == 1
        assert f"1 face of an earlier version still stored: by 1 user, ada: {face}" in said
        assert "1 face still stored that should not be." in said
        assert report(tmp_path)["a.jpg"]["stale"] == face
    service.sticky = set()
    assert (run()[0], service.stored()) == (0, {"a.jpg": 2})


def test_a_key_that_may_not_delete_is_told_what_stays(run: Run, service: Service, folder: Path) -> None:
    """And the run goes on."""
    put(folder, a=1, b=1)
    run()
    put(folder, a=2, b=2)
    service.refused = {"DeleteFaces"}
    code, said = run()
    assert (code, service.stored()) == (1, {"a.jpg": 3, "b.jpg": 3})
    assert "AccessDeniedException: no DeleteFaces" in said
    service.refused = set()
    assert (run()[0], service.stored()) == (0, {"a.jpg": 2, "b.jpg": 2})


def test_a_picture_that_left_the_album_is_reported_and_pruned(
    run: Run, service: Service, folder: Path, tmp_path: Path
) -> None:
    """Only if that is wished, and not because the folder is empty, as before it is mounted."""
    put(folder, a=3, b=1, c=0)
    run()
    (folder / "a.jpg").unlink()
    (folder / "c.jpg").unlink()
    for _ in range(2):
        code, said = run()
        assert (code, service.stored()) == (0, {"a.jpg": 3, "b.jpg": 1})
        assert "1 picture no longer in the album: --prune removes" in said
        assert report(tmp_path)["a.jpg"]["status"] == "vanished"
    (folder / "b.jpg").rename(tmp_path / "b.jpg")
    code, said = run(prune=True)
    assert (code, service.stored()) == (1, {"a.jpg": 3, "b.jpg": 1})
    assert "as if it were not mounted" in said
    (tmp_path / "b.jpg").rename(folder / "b.jpg")
    code, said = run(prune=True)
    assert (code, service.stored()) == (0, {"b.jpg": 1})
    assert "3 faces removed, of pictures that have changed or gone." in said
    assert report(tmp_path)["a.jpg"]["status"] == "removed"
    run(prune=True)
    assert "a.jpg" not in report(tmp_path)


def test_a_renamed_picture_is_found_under_its_new_name_alone(
    run: Run, service: Service, folder: Path, tmp_path: Path
) -> None:
    """Its faces under the old name go once those under the new one are in; a copy is no rename."""
    put(folder, a=3, b=1)
    run()
    (folder / "a.jpg").rename(folder / "z.jpg")
    (folder / "copy.jpg").write_bytes((folder / "b.jpg").read_bytes())
    assert (run()[0], service.stored()) == (0, {"z.jpg": 3, "b.jpg": 1, "copy.jpg": 1})
    assert report(tmp_path)["a.jpg"]["error"] == "it is z.jpg now"


def test_other_wishes_replace_what_was_indexed_by_the_earlier_ones(run: Run, service: Service, folder: Path) -> None:
    """The journal still knows the faces; a picture that changes after that leaves none behind."""
    put(folder, a=3)
    run()
    wishes = IndexOptions("album", 1, None)
    run(wishes)
    put(folder, a=1)
    assert (run(wishes)[0], service.stored()) == (0, {"a.jpg": 1})


def test_a_journal_of_before_does_not_know_faces_and_the_collection_does(
    run: Run, service: Service, folder: Path, tmp_path: Path
) -> None:
    """Faces of another album under the same name are not touched, and what is not certain is said."""
    put(folder, a=3, b=2, c=1)
    run()
    journal = (tmp_path / "journal").read_text()
    lines = [line for line in journal.splitlines() if '"sending"' not in line]
    old = "\n".join(lines).replace('"journal": 2', '"journal": 1')
    (tmp_path / "journal").write_text(re.sub(r', "face_ids".*(?=})', "", old) + "\n")
    service.faces |= {"theirs": ("their image", "b.jpg"), "their own": ("their other image", "c.jpg")}
    put(folder, a=1, b=1, c=2)
    code, said = run()
    assert code == 1
    assert service.stored() == {"a.jpg": 1, "b.jpg": 4, "c.jpg": 4}
    assert "or of another album: " in said
    assert {"theirs", "their own"} <= service.faces.keys()


@pytest.mark.parametrize("then", ["nothing", "edited", "deleted"])
def test_a_kill_at_any_point_leaves_no_old_face_and_loses_none(
    then: str, service: Service, run: Run, folder: Path, tmp_path: Path
) -> None:
    """An edit, a deletion, a rename and a new picture, cut off at each call and write, also if more changes after."""
    put(folder, other=2)
    killed = 0
    while True:
        service.kill_at = -1
        for path in folder.iterdir():
            path.unlink()
        put(folder, a=3, b=2, c=1)
        (tmp_path / "journal").unlink(missing_ok=True)
        # Another album, which may well have the same names.
        theirs = "their.jpg" if then != "nothing" else "a.jpg" if killed % 2 else "new.jpg"
        service.faces, service.users = {"theirs": ("their image", theirs)}, {}
        run()
        service.users = dict.fromkeys(list(service.faces)[1:3], "ada")

        put(folder, a=2, new=4)
        (folder / "b.jpg").unlink()
        (folder / "c.jpg").rename(folder / "renamed.jpg")
        service.step, service.kill_at = 0, killed + 1
        try:
            run(prune=True)
        except Killed:
            killed += 1
        else:
            break
        service.kill_at = -1
        expected = {"a.jpg": 2, "new.jpg": 4, "renamed.jpg": 1}
        if then == "edited":
            put(folder, a=1, new=5)
            expected |= {"a.jpg": 1, "new.jpg": 5}
        elif then == "deleted":
            (folder / "a.jpg").unlink()
            (folder / "new.jpg").unlink()
            del expected["a.jpg"], expected["new.jpg"]
        expected[theirs] = expected.get(theirs, 0) + 1
        code, said = run(prune=True)
        assert (service.stored(), code) == (expected, 0), (killed, said)
        assert run(prune=True)[0] == 0
        assert service.stored() == expected
    assert killed > 20


def test_versions_that_were_sent_and_not_answered_go_even_if_the_next_is_refused(
    run: Run, service: Service, folder: Path
) -> None:
    """Two runs are killed once the service has stored, a version is refused, and then one comes in."""
    put(folder, a=3)
    run()
    for faces in (2, 1):
        put(folder, a=faces)
        service.step, service.kill_at = (
            0,
            4,
        )  # sending is written in two steps, then the service is asked, and has stored
        with pytest.raises(Killed):
            run()
    service.kill_at = -1
    assert service.stored() == {"a.jpg": 6}
    put(folder, a=7)
    service.refused = {"IndexFaces"}
    assert run()[0] == 1
    service.refused = set()
    put(folder, a=5)
    assert (run()[0], service.stored()) == (0, {"a.jpg": 5})


def photograph(width: int, height: int, form: str, **options: Any) -> bytes:
    """A picture of noise, which compresses badly, with its upper left quarter red."""
    image = PIL.Image.effect_noise((width, height), 120).convert("RGB")
    image.paste((255, 0, 0), (0, 0, width // 2, height // 2))
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def test_what_is_too_large_is_shrunk_and_stays_upright(
    run: Run, service: Service, folder: Path, tmp_path: Path
) -> None:
    """As people see it: turned as its EXIF says, but without the place where it was taken."""
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    exif[0x010E] = "the place"
    (folder / "a.jpg").write_bytes(photograph(3600, 2400, "JPEG", quality=98, exif=exif))
    assert (folder / "a.jpg").stat().st_size > 5 * 2**20
    assert run()[0] == 1
    code, said = run(shrink=True)
    assert code == 0
    assert "1 picture re-encoded to fit." in said
    assert report(tmp_path)["a.jpg"]["altered"] == "shrunk"
    (sent,) = service.sent
    assert len(sent) <= 5 * 2**20
    with PIL.Image.open(io.BytesIO(sent)) as image:
        assert image.width < image.height
        assert not image.getexif()
        red, green, _ = image.convert("RGB").resize((2, 2), PIL.Image.Resampling.BOX).getpixel((1, 0))  # type: ignore[misc]
        assert red > 2 * green


@pytest.mark.parametrize("kind", ["WebP", "AVIF"])
def test_formats_that_the_service_does_not_take_are_named_and_converted(
    kind: str, run: Run, service: Service, folder: Path, tmp_path: Path
) -> None:
    """Never silently left out."""
    if not PIL.features.check(kind.lower()):
        pytest.skip(f"this Pillow knows no {kind}")
    (folder / f"a.{kind}").write_bytes(photograph(300, 200, kind.upper()))
    code, said = run()
    assert code == 0
    assert f"1 {kind} file among the other files: --convert sends them as JPEGs." in said
    assert f"{kind} is no format of the service" in report(tmp_path)[f"a.{kind}"]["error"]
    code, said = run(convert=True)
    assert code == 0
    assert "1 picture converted to JPEG." in said
    with PIL.Image.open(io.BytesIO(service.sent[0])) as image:
        assert (image.format, image.size) == ("JPEG", (300, 200))


def test_what_cannot_be_converted_fails_by_name(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a decoder, or with a damaged file."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (folder / "a.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (folder / "b.webp").write_bytes(b"RIFF")
    assert "HEIC is no format" in report_of(run, folder, "a.heic")
    code, said = run(convert=True)
    assert code == 1
    assert "a.heic: HEIC cannot be read here: Pillow needs the package pillow-heif for it" in said
    assert "b.webp: it cannot be re-encoded" in said


def report_of(run: Run, folder: Path, name: str) -> str:
    """What the report says is wrong with a file."""
    run()
    return report(folder.parent)[name]["error"]


def test_a_name_that_is_not_utf_8_is_indexed_and_reported(
    run: Run, service: Service, folder: Path, tmp_path: Path
) -> None:
    """And the next run knows it again."""
    (folder / os.fsdecode(b"latin1_\xe9t\xe9.jpg")).write_bytes(JPEG + b"\1")
    for status in ("indexed", "unchanged"):
        assert run()[0] == 0
        assert report(tmp_path)[r"latin1_\xe9t\xe9.jpg"]["status"] == status
    assert service.stored() == {"latin1_::E9:t::E9:.jpg": 1}
    assert len(service.sent) == 1
