"""A photographer's folder becomes a collection, whatever happens on the way."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from rekognition_emulator.cli.commands import app
from tests.server.conformance.liar import Told, liar
from tests.support.server import ROOT, Server

PICTURES = (
    "people/df01_img2.jpg",
    "people/df01_img10.jpg",
    "people/df02_img8.jpg",
    "people/fr_obama_1.jpg",
    "people/fr_biden_1.jpg",
    "groups/fr_obama_and_biden.jpg",
    "groups/bbt_1.jpg",
)


@pytest.fixture(scope="module")
def folder(faces_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven photographs in two folders."""
    folder = tmp_path_factory.mktemp("photographer") / "wedding"
    for name in PICTURES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(faces_dir / name, folder / name)
    return folder


FAILING = {"broken Zoë.jpg", "empty.png", "gone.jpg", "large.jpg"}


CALLER = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-central-1"}


def run(server: Server, *arguments: object, code: int = 0, **environment: str) -> str:
    """Runs the command to its end and returns what it says."""
    command = ["index-album", *map(str, arguments), "--endpoint-url", server.url]
    ended = CliRunner().invoke(app, command, env=CALLER | environment)
    assert ended.exit_code == code, ended.output
    return ended.output


def start(server: Server, *arguments: object) -> subprocess.Popen[str]:
    """Starts the command in a process of its own."""
    command = [sys.executable, "-m", "rekognition_emulator", "index-album", *map(str, arguments)]
    return subprocess.Popen(
        [*command, "--endpoint-url", server.url],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **CALLER},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell has what it starts in the background ignore Ctrl-C, and whatever that starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - nothing else
    )


def stored(server: Server, collection: str) -> dict[str, list[str]]:
    """ExternalImageId → ids of the faces."""
    found: dict[str, list[str]] = {}
    for page in server.client().get_paginator("list_faces").paginate(CollectionId=collection):
        for face in page["Faces"]:
            found.setdefault(face["ExternalImageId"], []).append(face["FaceId"])
    return found


def test_a_folder_becomes_a_collection(server: Server, folder: Path, tmp_path: Path) -> None:
    """Every picture is indexed under its path, what cannot be is reported with a reason, and all of it once."""
    (folder / "notes.txt").write_text("bring more light")
    (folder / "broken Zoë.jpg").write_text("no picture")
    (folder / "empty.png").touch()
    (folder / "gone.jpg").symlink_to("nowhere")
    (folder / "large.jpg").write_bytes(bytes(5 * 2**20 + 1))
    journal, table, rows = tmp_path / "journal", tmp_path / "report.csv", tmp_path / "report.jsonl"
    said = run(server, folder, "--collection", "wedding", "--journal", journal, "--report", table, code=1)
    assert "7 pictures indexed" in said
    assert "4 failed; 1 other file." in said
    assert "large.jpg: it has 5.0 MB, and may have 5; from S3 it may have 15" in said
    faces = stored(server, "wedding")
    assert faces.keys() == {name.replace("/", ":") for name in PICTURES}
    with table.open(newline="") as file:
        report = {row["path"]: row for row in csv.DictReader(file)}
    assert {path for path, row in report.items() if row["status"] == "failed"} == FAILING
    assert {path: int(row["faces"]) for path, row in report.items() if row["status"] == "indexed"} == {
        name: len(faces[name.replace("/", ":")]) for name in PICTURES
    }
    assert "InvalidImageFormatException" in report["broken Zoë.jpg"]["error"]
    assert report["broken Zoë.jpg"]["external_image_id"] == "broken::20:Zo::C3AB:.jpg"

    for name in FAILING:
        (folder / name).unlink()
    os.utime(folder / PICTURES[0], ns=(1, 1))  # touched, not changed
    said = run(server, folder, "--collection", "wedding", "--journal", journal, "--report", rows)
    assert "0 pictures indexed, 7 unchanged" in said
    assert stored(server, "wedding") == faces
    assert journal.read_text().count('"status"') == len(PICTURES) + 1
    told = [json.loads(row) for row in rows.read_text().splitlines()]
    assert sum(row["faces"] for row in told) == sum(map(len, faces.values()))

    server.client().delete_collection(CollectionId="wedding")
    run(server, folder, "--collection", "wedding", "--journal", journal)
    assert {name: len(ids) for name, ids in stored(server, "wedding").items()} == {
        name: len(ids) for name, ids in faces.items()
    }


def test_what_changes_in_the_folder_changes_in_the_collection(
    server: Server, faces_dir: Path, folder: Path, tmp_path: Path
) -> None:
    """An edit, a rename and a deletion leave no face behind that a search would find, also none of a user."""
    album = tmp_path / "album"
    shutil.copytree(folder, album)
    arguments = (album, "--collection", "edited", "--journal", tmp_path / "journal")
    run(server, *arguments)
    before, client = stored(server, "edited"), server.client()
    names = ["people:df01_img2.jpg", "people:df02_img8.jpg", "people:fr_obama_1.jpg"]
    client.create_user(CollectionId="edited", UserId="ada")
    client.associate_faces(CollectionId="edited", UserId="ada", FaceIds=before[names[0]][:1])
    shutil.copy(faces_dir / "people" / "df02_img8.jpg", album / "people" / "df01_img2.jpg")
    (album / "people" / "df02_img8.jpg").rename(album / "people" / "renamed.jpg")
    (album / "people" / "fr_obama_1.jpg").unlink()
    said = run(server, *arguments)
    assert "1 picture no longer in the album" in said
    assert "removed, of pictures that have changed or gone." in run(server, *arguments, "--prune")
    after = stored(server, "edited")
    assert after.keys() == before.keys() - set(names[1:]) | {"people:renamed.jpg"}
    gone = {face for name in names for face in before[name]}
    assert not gone & {face for faces in after.values() for face in faces}
    assert {name: after[name] for name in before.keys() - set(names)} == {
        name: before[name] for name in before.keys() - set(names)
    }


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_what_was_cut_off_is_gone_on_with(how: signal.Signals, server: Server, folder: Path, tmp_path: Path) -> None:
    """Ended in the middle, by a kill or by Ctrl-C, the next run sends the rest and stores nothing twice.

    The third picture is stored, and its answer still on the way, when that happens. What is interrupted waits for it.
    """
    collection, journal = f"cut-{how.name}", tmp_path / "journal"
    arguments = (folder, "--collection", collection, "--journal", journal, "--workers", 1)
    answers, cut_off, ended = count(1), Event(), Event()

    def hold_the_third(told: Told) -> None:
        if told.operation == "IndexFaces" and next(answers) == 3:
            cut_off.set()
            assert ended.wait(60)

    with liar(server.url, hold_the_third) as url:
        process = start(replace(server, url=url), *arguments)
        assert cut_off.wait(60)
        process.send_signal(how)
        if how == signal.SIGKILL:
            process.wait(60)
        ended.set()
        process.communicate(timeout=60)
    assert process.returncode == (130 if how == signal.SIGINT else -how)
    begun = stored(server, collection)
    # One more may have been sent before the process came to notice the interrupt.
    assert len(begun) == 3 if how == signal.SIGKILL else 3 <= len(begun) <= 4
    assert journal.read_text().count('"status"') == (2 if how == signal.SIGKILL else len(begun))
    said = run(server, *arguments)
    assert "7 pictures indexed" not in said
    ((indexed, unchanged),) = re.findall(r"(\d) pictures? indexed, (\d) unchanged", said)
    assert int(indexed) + int(unchanged) == len(PICTURES)
    complete = stored(server, collection)
    assert complete.keys() == {name.replace("/", ":") for name in PICTURES}
    assert {name: complete[name] for name in begun} == begun


def test_a_throttled_album_arrives(start_server: Callable[..., Server], folder: Path, tmp_path: Path) -> None:
    """Where the service takes one request at a time, the others come again until it does."""
    narrow = start_server(REKOGNITION_WORKERS="1", REKOGNITION_QUEUE_MAX="0")
    arguments = (folder, "--collection", "narrow", "--journal", tmp_path / "journal", "--workers", 4)
    said = run(narrow, *arguments)
    assert "7 pictures indexed" in said
    assert "Throttling" not in said


def test_what_every_picture_would_meet_ends_the_run(server: Server, folder: Path, tmp_path: Path) -> None:
    """No folder, no credentials, no server: one sentence, and no failure per picture."""
    common = ("--collection", "nothing", "--journal", tmp_path / "journal")
    assert "is no folder" in run(server, tmp_path / "missing", *common, code=1)
    bare = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"}
    assert "credentials" in run(server, folder, *common, code=1, **bare, HOME=str(tmp_path))
    assert "journal" in run(server, folder, "--collection", "nothing", "--journal", tmp_path / "no" / "journal", code=1)


@pytest.fixture(scope="module")
def storage_url(faces_dir: Path) -> Iterator[str]:
    """A server that speaks S3, with pictures below a prefix, others beside it, and what consoles leave behind."""
    pytest.importorskip("moto", reason="S3 is played by moto, a tool of the tests")
    from moto.server import ThreadedMotoServer

    storage = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    storage.start()
    url = "http://{}:{}".format(*storage.get_host_and_port())
    names: dict[str, Any] = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **names)
    s3.create_bucket(Bucket="events")
    for name in PICTURES[:3]:
        s3.put_object(Bucket="events", Key=f"album 7/{name}", Body=(faces_dir / name).read_bytes())
    s3.put_object(Bucket="events", Key="album 7/", Body=b"")
    s3.put_object(Bucket="events", Key="album 7/notes.txt", Body=b"text")
    s3.put_object(Bucket="events", Key="album 70/other.jpg", Body=b"not ours")
    yield url
    storage.stop()


def test_an_album_in_s3_is_read_by_the_server(
    start_server: Callable[..., Server], storage_url: str, tmp_path: Path
) -> None:
    """Objects below the prefix, as below a folder, are indexed under their paths, without passing through here."""
    credentials = {"AWS_ACCESS_KEY_ID": "server", "AWS_SECRET_ACCESS_KEY": "server", "AWS_DEFAULT_REGION": "us-east-1"}
    server = start_server(REKOGNITION_S3_ENDPOINT_URL=storage_url, **credentials)
    arguments = ("--collection", "bucket", "--journal", tmp_path / "journal", "--s3-endpoint-url", storage_url)
    said = run(server, "s3://events/album 7", *arguments)
    assert "3 pictures indexed" in said
    assert "1 other file." in said
    faces = stored(server, "bucket")
    assert faces.keys() == {name.replace("/", ":") for name in PICTURES[:3]}
    run(server, "s3://events/album 7/", *arguments)
    assert stored(server, "bucket") == faces
