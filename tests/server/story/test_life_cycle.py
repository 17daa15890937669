"""Data outlive the machine they were made on: backups and exports answer as the original did."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from rekognition_emulator.cli.commands import app
from tests.support.server import Server


def command(data_dir: Path, *arguments: object, succeeds: bool = True) -> str:
    """Runs a command beside whatever serves from the directory, and returns what it says."""
    environment = {"REKOGNITION_DATA_DIR": str(data_dir)}
    ended = CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)
    assert (ended.exit_code == 0) is succeeds, ended.output
    return ended.output


def answers(server: Server, selfie: bytes, collection: str = "party") -> dict[str, Any]:
    """What a visitor and the marketplace are told."""
    client = server.client()
    searched = client.search_faces_by_image(CollectionId=collection, Image={"Bytes": selfie})
    users = client.search_users_by_image(CollectionId=collection, Image={"Bytes": selfie}, UserMatchThreshold=0)
    return {
        "faces": client.list_faces(CollectionId=collection)["Faces"],
        "matches": searched["FaceMatches"],
        "users": users["UserMatches"],
        "described": {
            name: value
            for name, value in client.describe_collection(CollectionId=collection).items()
            if name not in {"ResponseMetadata", "CollectionARN"}
        },
    }


def test_backup_export_and_restore_answer_as_the_original(
    start_server: Callable[..., Server], new_data_dir: Callable[[], Path], party: Path
) -> None:
    """Backed up and exported while it serves, then lost, a collection comes back either way with the same answers."""
    data_dir, shelf = new_data_dir(), new_data_dir()
    server = start_server(data_dir)
    client = server.client()
    client.create_collection(CollectionId="party", Tags={"season": "summer"})
    for file in sorted((party / "album").iterdir()):
        client.index_faces(CollectionId="party", Image={"Bytes": file.read_bytes()}, ExternalImageId=file.name)
    client.create_user(CollectionId="party", UserId="ada")
    selfie = (party / "selfie.jpg").read_bytes()
    known = [
        match["Face"]["FaceId"]
        for match in client.search_faces_by_image(
            CollectionId="party", Image={"Bytes": selfie}, FaceMatchThreshold=0, MaxFaces=1
        )["FaceMatches"]
    ]
    client.associate_faces(CollectionId="party", UserId="ada", FaceIds=known)
    before = answers(server, selfie)
    assert before["users"]

    command(data_dir, "backup", "--to", shelf / "backup")
    command(data_dir, "export", "--all", "--to", shelf / "exports")
    file = shelf / "exports" / "eu-central-1" / "party.jsonl.gz"
    command(data_dir, "import", file, "--as", "copy")
    assert {**answers(server, selfie, "copy"), "described": {}} == {**before, "described": {}}
    assert "in use" in command(data_dir, "restore", "--from", shelf / "backup", "--force", succeeds=False)
    assert "nothing wrong" in command(data_dir, "verify")
    server.kill()
    os.kill(int((data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)
    shutil.rmtree(data_dir / "postgres")

    for way in (("restore", "--from", shelf / "backup"), ("import", file)):
        home = new_data_dir()
        command(home, *way)
        assert "nothing wrong" in command(home, "verify")
        assert answers(start_server(home), selfie) == before
    for written in (shelf / "backup", file):
        assert "as it was written" in command(shelf, "verify", written)
