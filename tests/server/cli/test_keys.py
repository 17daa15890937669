import base64
import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg_pool import ConnectionPool
from typer.testing import CliRunner

from rekognition_emulator.auth.keyring import Keyring
from rekognition_emulator.auth.keys import AccessKey
from rekognition_emulator.auth.policy import Decision, parse_policy
from rekognition_emulator.auth.vault import Vault, read_master_key_file
from rekognition_emulator.cli.commands import app
from rekognition_emulator.domain.faces import Owner
from rekognition_emulator.storage.keys import PostgresKeyStore
from rekognition_emulator.storage.postgres import PostgresStore
from tests.support.gallery import ACTOR

WEDDING = "arn:aws:rekognition:eu-west-1:123456789012:collection/wedding"
Run = Callable[..., str]


@pytest.fixture
def run(database_url: str, tmp_path: Path) -> Run:
    """Runs ``keys`` on a database of this test alone and returns what it says."""

    def run(*arguments: object, succeeds: bool = True, **environment: str) -> str:
        usual = {
            "REKOGNITION_DATABASE_URL": database_url,
            "REKOGNITION_DATA_DIR": str(tmp_path),
            "REKOGNITION_ACCOUNT_ID": "123456789012",
            "COLUMNS": "200",
        }
        result = CliRunner().invoke(app, ["keys", *map(str, arguments)], env=usual | environment)
        assert (result.exit_code == 0) is succeeds, result.output
        assert "Traceback" not in result.output
        return result.output

    return run


@pytest.fixture
def stored(pool: ConnectionPool) -> Callable[[], list[AccessKey]]:
    """Reads the keys that there are."""
    return lambda: list(PostgresKeyStore(pool).all_keys())


def credentials(said: str) -> tuple[str, str]:
    """Returns id and secret that were shown."""
    shown = re.search(r"export AWS_ACCESS_KEY_ID=(\S+)\nexport AWS_SECRET_ACCESS_KEY=(\S+)\n", said)
    assert shown, said
    return shown[1], shown[2]


def session_of(said: str) -> Any:
    """Returns the credentials of a session among what else was said."""
    (printed,) = (line for line in said.splitlines() if line.startswith("{"))
    return json.loads(printed)


def test_create(run: Run, stored: Callable[[], list[AccessKey]], tmp_path: Path) -> None:
    """The secret is shown once and kept encrypted with a master key that is made with the first key."""
    access_key_id, secret = credentials(run("create", "backend", "--policy", "full"))
    assert re.fullmatch(r"AKIA[A-Z2-7]{16}", access_key_id)
    assert re.fullmatch(r"[a-zA-Z0-9]{40}", secret)
    (key,) = stored()
    assert (key.access_key_id, key.name, key.account) == (access_key_id, "backend", "123456789012")
    assert (key.enabled, key.expires_at) == (True, None)
    vault = Vault(read_master_key_file(tmp_path / "master.key"))
    assert key.secret(vault) == secret
    said = run("list")
    assert access_key_id in said
    assert secret not in said


def test_a_search_key_in_one_line(run: Run, stored: Callable[[], list[AccessKey]]) -> None:
    """It finds in one collection, and that is all; it can belong to another account and have an end."""
    run("create", "web", "--policy", "search", "--collection", "wedding", "--days", 30, "--account", "123456789012")
    (key,) = stored()
    policy = parse_policy(key.policy)
    assert policy.decide("rekognition:SearchFacesByImage", WEDDING) is Decision.ALLOWED
    assert policy.decide("rekognition:SearchFacesByImage", f"{WEDDING}2") is Decision.NOT_ALLOWED
    assert policy.decide("rekognition:ListFaces", WEDDING) is Decision.NOT_ALLOWED
    assert key.expires_at
    assert timedelta(days=29.9) < key.expires_at - datetime.now(UTC) < timedelta(days=30.1)
    assert "search: wedding" in run("list")


def test_a_policy_of_one_s_own(run: Run, stored: Callable[[], list[AccessKey]], tmp_path: Path) -> None:
    """A file is taken as it is, or refused with what is wrong in it."""
    file = tmp_path / "index-only.json"

    def write(**members: Any) -> None:
        statement = {"Effect": "Allow", "Action": "rekognition:Index*", "Resource": "*"} | members
        file.write_text(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))

    write(Condition={})
    assert "the element Condition" in run("create", "a", "--policy", file, succeeds=False)
    write(Action="rekognition:IndexFace")
    assert "rekognition:IndexFace, which is none" in run("create", "a", "--policy", file, succeeds=False)
    write()
    assert "--collection narrows" in run("create", "a", "--policy", file, "--collection", "b", succeeds=False)
    run("create", "a", "--policy", file)
    assert stored()[0].policy == file.read_text()
    assert "index-only.json" in run("list")


def test_the_policy_of_a_lambda(run: Run, stored: Callable[[], list[AccessKey]], tmp_path: Path) -> None:
    """It is about other services as well: what is left out is said once each, and the key can do the rest."""
    file = tmp_path / "lambda-role.json"
    logs, dynamodb = ["logs:CreateLogGroup", "logs:PutLogEvents"], ["dynamodb:PutItem"]
    allowed = [
        (logs, "arn:aws:logs:*:*:*"),
        (["s3:GetObject"], ["arn:aws:s3:::photos/*"]),
        (dynamodb, ["arn:aws:dynamodb:us-east-1:000000000000:table/faces"]),
        (["rekognition:IndexFaces"], "*"),
    ]
    statements = [{"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in allowed]
    file.write_text(json.dumps({"Version": "2012-10-17", "Statement": statements}))
    said = run("create", "lambda", "--policy", file)
    assert re.findall(r"Left out of statement (\d).*: (.*)\.", said) == [("1", ", ".join(logs)), ("3", *dynamodb)]
    policy = parse_policy(stored()[0].policy)
    assert policy.decide("rekognition:IndexFaces", WEDDING) is Decision.ALLOWED
    assert policy.decide("s3:GetObject", "arn:aws:s3:::photos/a/b") is Decision.ALLOWED
    assert policy.decide("s3:GetObject", "arn:aws:s3:::private/a") is Decision.NOT_ALLOWED
    assert policy.decide("logs:PutLogEvents", "*") is Decision.NOT_ALLOWED
    file.write_text(json.dumps({"Statement": statements[0]}))
    assert "says nothing about Rekognition" in run("create", "logs", "--policy", file, succeeds=False)


def test_images_in_s3(run: Run, stored: Callable[[], list[AccessKey]]) -> None:
    """A ready-made policy and a session name those that are said, ``full`` all that there are."""
    run("create", "backend", "--policy", "full")
    run("create", "web", "--policy", "search", "--collection", "wedding")
    run("create", "kiosk", "--policy", "search", "--collection", "wedding", "--s3", "selfies/*")
    assert "search: wedding, selfies/*" in run("list")
    selfie, other = "arn:aws:s3:::selfies/a.jpg", "arn:aws:s3:::private/a.jpg"
    assert [
        [parse_policy(key.policy).decide("s3:GetObject", each) is Decision.ALLOWED for each in (selfie, other)]
        for key in stored()
    ] == [[True, True], [False, False], [True, False]]


REFUSALS = [
    (("create", "two words", "--policy", "full"), "is no name"),
    (("create", "AKIAIOSFODNN7EXAMPLE", "--policy", "full"), "looks like the id"),
    (("create", "web", "--policy", "all"), "none of full, read, search"),
    (("create", "web", "--policy", "."), "none of full, read, search"),
    (("create", "web", "--policy", "search", "--collection", "a/b"), "is no collection's id"),
    (("create", "web", "--policy", "full", "--account", "12"), "is no account"),
    (("create", "web"), "--policy"),
    (("create", "web", "--policy", "search", "--s3", "selfies"), "is not a bucket and a name in it"),
    (("create", "web", "--policy", "search", "--s3", "selfies/${aws:username}"), "is not a bucket and a name in it"),
    (("create", "web", "--policy", "full", "--days", "inf"), "from 0.001 to 36,500"),
    (("create", "web", "--policy", "full", "--days", "nan"), "from 0.001 to 36,500"),
    (("create", "web", "--policy", "full", "--days", "1e9"), "from 0.001 to 36,500"),
    (("create", "web", "--policy", "full", "--days", "0"), "from 0.001 to 36,500"),
    (("rotate", "nobody"), "no key called nobody"),
    (("disable", "nobody"), "no key nobody"),
    (("delete", "AKIAIOSFODNN7EXAMPLE"), "no key AKIA"),
    (("session", "--key", "nobody", "--collection", "a"), "no key called nobody"),
    (("session", "--key", "nobody", "--collection", "a", "--minutes", "721"), "--minutes"),
]
"""Arguments, and what is said of them."""


def test_what_cannot_be_done_is_said_in_words(run: Run) -> None:
    """One sentence, exit code 1 or, for the options, the command line's own."""
    for arguments, says in REFUSALS:
        assert says in run(*arguments, succeeds=False), arguments


def test_a_name_is_taken_once(run: Run) -> None:
    """The sentence says what to do instead."""
    run("create", "web", "--policy", "search")
    assert "called web: rotate it" in run("create", "web", "--policy", "full", succeeds=False)


@pytest.mark.parametrize("hours", ["1e12", "inf", "nan", "-1"])
def test_a_grace_that_is_none(run: Run, stored: Callable[[], list[AccessKey]], hours: str) -> None:
    """It is refused in words, and nothing is changed."""
    run("create", "web", "--policy", "search")
    before = stored()
    assert "from 0 to 876,000" in run("rotate", "web", f"--grace-hours={hours}", succeeds=False)
    assert "from 0.001 to" in run("rotate", "web", "--days", "0", succeeds=False)
    assert stored() == before


def test_rotation(run: Run, stored: Callable[[], list[AccessKey]]) -> None:
    """The successor may do the same; the old key is good for a week, for as long as is said, or until disabled."""
    first, _ = credentials(run("create", "web", "--policy", "search"))
    second, _ = credentials(run("rotate", "web"))
    keys = {key.access_key_id: key for key in stored()}
    assert keys[second].policy == keys[first].policy
    assert keys[second].expires_at is None
    end = keys[first].expires_at
    assert end
    assert timedelta(days=6.9) < end - datetime.now(UTC) < timedelta(days=7.1)
    credentials(run("rotate", "web", "--grace-hours", 0, "--days", 1))
    keys = {key.access_key_id: key for key in stored()}
    assert all(key.is_expired(datetime.now(UTC)) is (name in {first, second}) for name, key in keys.items())
    run("disable", first)
    assert [key.access_key_id for key in stored() if not key.enabled] == [first]


def test_an_expired_key_is_not_rotated_by_mistake(run: Run) -> None:
    """Its successor would be expired, too, unless somebody says for how long it is good."""
    run("create", "web", "--policy", "full", "--days", 0.001)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AccessKey, "is_expired", lambda *_: True)
        assert "say with --days" in run("rotate", "web", succeeds=False)
        assert "has expired" in run("session", "--key", "web", "--collection", "a", succeeds=False)
        credentials(run("rotate", "web", "--days", 1))


def test_disable_enable_delete(run: Run, stored: Callable[[], list[AccessKey]]) -> None:
    """By name or by id, as often as one likes."""
    access_key_id, _ = credentials(run("create", "web", "--policy", "full"))
    assert "1 key disabled" in run("disable", "web")
    assert "disabled" in run("list")
    assert "is disabled" in run("session", "--key", "web", "--collection", "a", succeeds=False)
    assert "1 key enabled" in run("enable", access_key_id)
    assert stored()[0].enabled
    assert "1 key deleted" in run("delete", "web")
    assert stored() == []


def test_a_session_is_good_for_the_servers_of_this_master_key(run: Run, pool: ConnectionPool, tmp_path: Path) -> None:
    """What is printed is what a credential_process prints, and a server's keyring takes it."""
    run("create", "web", "--policy", "search")
    printed = session_of(run("session", "--key", "web", "--collection", "wedding", "--minutes", 2))
    assert printed["Version"] == 1
    keyring = Keyring(PostgresKeyStore(pool), lambda: Vault(read_master_key_file(tmp_path / "master.key")))
    keyring.refresh()
    now = datetime.now(UTC)
    found = keyring.find(printed["AccessKeyId"], printed["SessionToken"], now)
    assert found.secret == printed["SecretAccessKey"]
    assert timedelta(seconds=60) < datetime.fromisoformat(printed["Expiration"]) - now <= timedelta(seconds=120)
    assert found.principal.decide_in_session("s3:GetObject", "arn:aws:s3:::selfies/a") is Decision.NOT_ALLOWED
    said = run("session", "--key", "web", "--collection", "wedding", "--s3", "selfies/*")
    assert "may not read all of selfies/* in S3" in said
    printed = session_of(said)
    found = keyring.find(printed["AccessKeyId"], printed["SessionToken"], now)
    assert found.principal.decide_in_session("s3:GetObject", "arn:aws:s3:::selfies/a") is Decision.ALLOWED


@pytest.mark.parametrize(
    ("options", "is_of_use"),
    [
        (["--policy", "full"], True),
        (["--policy", "search"], True),
        (["--policy", "search", "--collection", "wedding"], True),
        (["--policy", "search", "--collection", "party"], False),
        (["--policy", "index.json"], False),
        (["--policy", "elsewhere.json"], True),
    ],
)
def test_a_session_that_could_do_nothing_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], *, is_of_use: bool
) -> None:
    """As its key may not search in the collection; one that may in some region will do."""
    monkeypatch.chdir(tmp_path)
    for name, action, resource in (
        ("index", "rekognition:IndexFaces", "*"),
        ("elsewhere", "rekognition:Search*", "arn:aws:rekognition:eu-*:123456789012:collection/wedding"),
    ):
        statement = {"Effect": "Allow", "Action": action, "Resource": resource}
        (tmp_path / f"{name}.json").write_text(json.dumps({"Statement": statement}))
    run("create", "web", *options)
    said = run("session", "--key", "web", "--collection", "wedding", succeeds=is_of_use)
    assert ("SessionToken" in said) is is_of_use
    assert ("may not search by image in the collection wedding" in said) is not is_of_use


def test_collections_that_are_not_there_are_told(run: Run, pool: ConnectionPool) -> None:
    """In any region of the account; the key and the session are made all the same."""
    PostgresStore(pool).create_collection(ACTOR, Owner("123456789012", "eu-west-1"), "wedding", "1.1")
    said = run("create", "web", "--policy", "search", "--collection", "wedding", "--collection", "weding")
    assert re.findall(r"has no collection (\S+) yet", said) == ["weding"]
    assert credentials(said)
    assert "yet" not in run("session", "--key", "web", "--collection", "wedding")
    assert "has no collection weding yet" in run("session", "--key", "web", "--collection", "weding")
    other = run("create", "other", "--policy", "search", "--collection", "wedding", "--account", "222222222222")
    assert "The account 222222222222 has no collection wedding yet" in other


def test_open(run: Run, stored: Callable[[], list[AccessKey]]) -> None:
    """Only without any key, which deleting the last one says."""
    run("create", "web", "--policy", "full")
    run("create", "two", "--policy", "full")
    assert "delete them first" in run("open", succeeds=False)
    assert "last one" not in run("delete", "two")
    assert "last one" in run("delete", "web")
    assert not stored()
    assert "Nobody is asked for a key" in run("open")


def test_a_name_that_is_no_text_is_said_so(run: Run, tmp_path: Path) -> None:
    """As a shell passes on one in Latin-1: of a key, or of a policy's file."""
    name = os.fsdecode(b"caf\xe9")
    assert r"'caf\udce9' is no text" in run("disable", name, succeeds=False)
    (tmp_path / name).write_text(json.dumps({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}))
    assert r"'caf\udce9' is no text" in run("create", "web", "--policy", tmp_path / name, succeeds=False)


def test_the_master_key(run: Run, stored: Callable[[], list[AccessKey]], tmp_path: Path) -> None:
    """Another one, or none where one is needed, is noticed before anything is changed; no file is made in vain."""
    mine, other = (base64.b64encode(bytes([number] * 32)).decode() for number in (1, 2))
    run("create", "web", "--policy", "full", REKOGNITION_MASTER_KEY=mine)
    assert not (tmp_path / "master.key").exists()
    for environment in (
        {"REKOGNITION_MASTER_KEY": other},
        {"REKOGNITION_MASTER_KEY": "short"},
        {"REKOGNITION_MASTER_KEY_FILE": str(tmp_path / "missing")},
        {},
    ):
        said = run("create", "two", "--policy", "full", succeeds=False, **environment)
        assert "master key" in said
        assert mine not in said
        assert other not in said
        assert len(stored()) == 1
    assert not (tmp_path / "master.key").exists()
    (tmp_path / "mine").write_text(mine)
    run("rotate", "web", REKOGNITION_MASTER_KEY_FILE=str(tmp_path / "mine"))
    assert len(stored()) == 2
