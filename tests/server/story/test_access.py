"""Who gets in: keys are made and managed beside a running server, and count within seconds."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError

from rekognition_emulator.auth.presets import BROWSER_ACTIONS, policy_of
from rekognition_emulator.auth.sessions import issue_session
from rekognition_emulator.auth.vault import Vault, read_master_key_file
from tests.support.clients import Client
from tests.support.server import Keys, Server, create_key, keys_command, printed_keys

SECONDS = 10


@pytest.fixture(scope="module")
def data_dir(new_data_dir: Callable[[], Path]) -> Path:
    """The data directory of this module's servers."""
    return new_data_dir()


@pytest.fixture(scope="module")
def backend(data_dir: Path) -> Keys:
    """A key that may do everything."""
    return create_key(data_dir, "backend")


@pytest.fixture(scope="module")
def guarded(start_server: Callable[..., Server], data_dir: Path, backend: Keys) -> Server:
    """A server that asks for keys, and that others can reach."""
    server = start_server(data_dir, REKOGNITION_HOST="0.0.0.0", REKOGNITION_CORS_ORIGINS="https://shop.example")
    server.url = server.url.replace("0.0.0.0", "127.0.0.1")
    server.keys = backend
    server.client().create_collection(CollectionId="wedding")
    return server


@contextmanager
def refused(code: str) -> Iterator[None]:
    """Expects an error."""
    with pytest.raises(ClientError) as error:
        yield
    assert error.value.response["Error"]["Code"] == code


def code_of(client: Any) -> str | None:
    """Returns the error with which a client may not list collections; None if it may."""
    try:
        client.list_collections()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return None


def eventually(client: Any, code: str | None) -> None:
    """Waits until a client is refused so."""
    deadline = time.monotonic() + SECONDS
    while (found := code_of(client)) != code:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


@pytest.mark.timeout(180)
def test_a_key_s_life_beside_a_running_server(
    start_server: Callable[..., Server], new_data_dir: Callable[[], Path]
) -> None:
    """The first key closes the door; disabling, enabling, rotating and deleting count within seconds, too."""
    data_dir = new_data_dir()
    server = start_server(data_dir)
    anybody = server.client()
    anybody.create_collection(CollectionId="before")
    first = server.client(keys=create_key(data_dir, "backend"))
    eventually(anybody, "UnrecognizedClientException")
    eventually(first, None)
    assert first.list_collections()["CollectionIds"] == ["before"]
    assert keys_command(data_dir, "disable", "backend").returncode == 0
    eventually(first, "UnrecognizedClientException")
    assert keys_command(data_dir, "enable", "backend").returncode == 0
    eventually(first, None)
    second = server.client(keys=printed_keys(keys_command(data_dir, "rotate", "backend").stdout))
    eventually(second, None)
    assert code_of(first) is None
    third = server.client(keys=printed_keys(keys_command(data_dir, "rotate", "backend", "--grace-hours", "0").stdout))
    eventually(third, None)
    eventually(first, "ExpiredTokenException")
    eventually(second, "ExpiredTokenException")
    assert keys_command(data_dir, "delete", "backend").returncode == 0
    eventually(third, "UnrecognizedClientException")
    assert code_of(anybody) == "UnrecognizedClientException"
    assert server.stop() == 0


@pytest.mark.timeout(180)
def test_deleting_the_last_key_opens_no_server(
    start_server: Callable[..., Server], new_data_dir: Callable[[], Path]
) -> None:
    """Neither one that has seen the key nor one that starts afterwards; opening them is a command of its own."""
    data_dir = new_data_dir()
    before = start_server(data_dir)
    create_key(data_dir, "backend")
    eventually(before.client(), "UnrecognizedClientException")
    deleted = keys_command(data_dir, "delete", "backend")
    assert "`keys open`" in deleted.stderr
    after = start_server(data_dir)
    for server in (before, after):
        assert [code_of(server.client()) for _ in range(5)] == ["UnrecognizedClientException"] * 5
    assert keys_command(data_dir, "open").returncode == 0
    for server in (before, after):
        eventually(server.client(), None)
    assert after.stop() == before.stop() == 0


def test_a_server_that_others_can_reach_needs_a_key(guarded: Server) -> None:
    """With one it starts, says so, and answers nobody else."""
    assert guarded.client().list_collections()["CollectionIds"] == ["wedding"]
    assert code_of(guarded.client(keys=("test", "test"))) == "UnrecognizedClientException"
    assert code_of(guarded.client(keys=(guarded.keys[0], "wrong"))) == "InvalidSignatureException"
    assert guarded.post("ListCollections", {}).json()["__type"] == "MissingAuthenticationTokenException"


def test_what_needs_no_key_does_nothing(guarded: Server) -> None:
    """Health pages tell that the server is alive and ready; every other page is unknown or wants a signature."""
    assert httpx.get(f"{guarded.url}/healthz").status_code == 200
    assert httpx.get(f"{guarded.url}/readyz").status_code == 200
    for path in ("/docs", "/openapi.json", "/redoc", "/keys"):
        assert httpx.get(f"{guarded.url}{path}").status_code == 404
    assert httpx.post(f"{guarded.url}/x").status_code == 404
    assert httpx.post(f"{guarded.url}/sessions").json()["__type"] == "MissingAuthenticationTokenException"


def test_health_pages_are_asked_in_the_ways_of_load_balancers(guarded: Server, data_dir: Path) -> None:
    """Also with HEAD; any other method is refused, with what is allowed, a request's id and its line in the log."""
    for path in ("/healthz", "/readyz"):
        answer = httpx.head(f"{guarded.url}{path}")
        assert (answer.status_code, answer.content) == (200, b"")
        refused = httpx.delete(f"{guarded.url}{path}")
        assert refused.status_code == 405
        assert set(refused.headers["allow"].split(", ")) == {"GET", "HEAD"}
        lines = [json.loads(line) for line in (data_dir / "server.log").read_text().splitlines() if line[:1] == "{"]
        (line,) = [line for line in lines if line.get("request_id") == refused.headers["x-amzn-requestid"]]
        assert (line["status"], line["error"]) == (405, "405")


def test_a_refused_client_gets_the_answer_however_much_it_sends(guarded: Server) -> None:
    """Five megabytes are sent to the end, and then the answer is there; nobody's connection is broken."""
    for keys in (("AKIANOBODYNOBODYNOBO", "x"), (guarded.keys[0], "wrong")):
        client = guarded.client(keys=keys)
        for _ in range(3):
            with pytest.raises(ClientError, match=r"UnrecognizedClient|InvalidSignature"):
                client.detect_faces(Image={"Bytes": bytes(5 * 2**20)})


def ask_for_session(server: Server, keys: Keys, **body: Any) -> httpx.Response:
    """Asks for a session as a back end does."""
    headers = {"Content-Type": "application/json"}
    request = AWSRequest("POST", f"{server.url}/sessions", headers, json.dumps(body).encode())
    SigV4Auth(boto3.Session(*keys).get_credentials(), "rekognition", "eu-central-1").add_auth(request)
    return httpx.post(request.url, content=request.data, headers=dict(request.headers.items()))


def test_a_session_finds_by_picture_in_one_collection_and_no_more(guarded: Server, data_dir: Path) -> None:
    """Whether the server issues it or the command line does."""
    issued = ask_for_session(guarded, guarded.keys, CollectionId="wedding").json()
    printed = keys_command(data_dir, "session", "--key", "backend", "--collection", "wedding")
    for session in (issued, json.loads(printed.stdout)):
        keys = session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"]
        client = guarded.client(keys=keys)
        with refused("InvalidImageFormatException"):  # so it was let in
            client.search_faces_by_image(CollectionId="wedding", Image={"Bytes": b"no picture"})
        with refused("AccessDeniedException"):
            client.search_faces_by_image(CollectionId="party", Image={"Bytes": b"no picture"})
        with refused("AccessDeniedException"):
            client.list_faces(CollectionId="wedding")
        with refused("UnrecognizedClientException"):
            guarded.client(keys=(*keys[:2], keys[2][:-8] + "AAAAAAA=")).list_collections()


def test_warn_serves_and_says_whom_it_would_not_have_served(
    start_server: Callable[..., Server], data_dir: Path
) -> None:
    """Callers without a key go on as before, one with a key has its account, and each refusal is a line in the log."""
    keys = create_key(data_dir, "search", "--policy", "search", "--account", "111122223333")
    server = start_server(data_dir, REKOGNITION_AUTH="warn")
    anybody, search = server.client(), server.client(keys=keys)
    assert anybody.create_collection(CollectionId="soft")["CollectionArn"].split(":")[3] == "000000000000"
    assert search.create_collection(CollectionId="soft")["CollectionArn"].split(":")[3] == "111122223333"
    lines = [json.loads(line) for line in (data_dir / "server.log").read_text().splitlines() if line.startswith("{")]
    warned = [line for line in lines if line["event"] == "would be denied"]
    assert [(line["error"], line["refusals"]) for line in warned] == [
        ("UnrecognizedClientException", 1),
        ("AccessDeniedException", 2),
    ]
    assert "user/search is not authorized to perform: rekognition:CreateCollection" in warned[1]["why"]


def test_pages_of_named_sites_may_call(guarded: Server) -> None:
    """A browser is told so before it sends, for the headers that SDKs send; pages of other sites are not."""
    asked = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-amz-date,x-amz-security-token,x-amz-target",
    }
    answer = httpx.options(guarded.url, headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert set(answer.headers["access-control-allow-headers"].split(",")) >= set(
        asked["Access-Control-Request-Headers"].split(",")
    )
    for path in ("", "/sessions", "/elsewhere"):
        answer = httpx.post(f"{guarded.url}{path}", headers={"Origin": "https://shop.example"})
        assert answer.status_code in {400, 404}
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert "x-amzn-RequestId" in answer.headers["access-control-expose-headers"]
    foreign = httpx.options(guarded.url, headers=asked | {"Origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in foreign.headers


def test_without_a_setting_no_page_may_call(server: Server) -> None:
    """Nothing is said of other sites."""
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    answer = httpx.options(server.url, headers=asked)
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_page_searches_with_a_session(
    guarded: Server, data_dir: Path, backend: Keys, javascript: Client, party: Path
) -> None:
    """AWS's SDK for JavaScript finds with it, in that collection, until it ends; pages of other sites do not."""
    client = guarded.client()
    client.create_collection(CollectionId="album")
    picture = (party / "album/ada-plain.jpg").read_bytes()
    client.index_faces(CollectionId="album", Image={"Bytes": picture}, ExternalImageId="ada")
    session = ask_for_session(guarded, backend, CollectionId="album").json()
    vault = Vault(read_master_key_file(data_dir / "master.key"))
    policy = policy_of(BROWSER_ACTIONS, "000000000000", ["album"])
    over = issue_session(vault, backend[0], policy, datetime.now(UTC) - timedelta(seconds=1))
    searches = [(session, "album"), (session, "wedding"), (json.loads(over.to_json()), "album")]

    def seen(origin: str) -> Any:
        page = {"origin": origin, "picture": str(party / "selfie.jpg"), "searches": searches}
        return javascript.run(guarded, "browser.mjs", json.dumps(page))

    story = seen("https://shop.example")
    found, denied, expired = story["outcomes"]
    assert found == {"found": ["ada"]}
    assert denied["name"] == "AccessDeniedException"
    assert denied["message"].endswith(
        "collection/wedding because no session policy allows the rekognition:SearchFacesByImage action"
    )
    assert expired == {
        "name": "ExpiredTokenException",
        "message": "The security token included in the request is expired",
    }
    assert {"authorization", "content-type", "x-amz-date", "x-amz-security-token", "x-amz-target"} <= set(
        story["asked"]
    )
    elsewhere = seen("https://elsewhere.example")["outcomes"]
    assert [outcome["message"] for outcome in elsewhere] == ["blocked by CORS policy"] * 3
