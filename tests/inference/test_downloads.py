"""Fetching files from a server that may do anything."""

import fcntl
import hashlib
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rekognition_emulator.models import downloads
from rekognition_emulator.models.downloads import DownloadFailed, fetch
from rekognition_emulator.models.weights import ModelUnusable
from tests.support.publisher import Fault, Publisher, Visit, cut_off, instead, publishing, redirect, refusal, whole

CONTENTS = hashlib.shake_256(b"weights").digest(1_000_000)
SHA256 = hashlib.sha256(CONTENTS).hexdigest()
NAME = "net.onnx"


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    """A server that has the file."""
    with publishing() as publisher:
        publisher.shelf[NAME] = CONTENTS
        yield publisher


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file will lie, in a folder that does not exist yet."""
    return tmp_path / "models" / NAME


def pull(path: Path, *servers: Publisher | str, sha256: str | None = SHA256) -> list[tuple[int, int | None]]:
    """Fetches the file and returns what was told on the way."""
    told: list[tuple[int, int | None]] = []
    addresses = [server if isinstance(server, str) else server.address(NAME) for server in servers]
    fetch(path, addresses, sha256, progress=lambda *bytes_: told.append(bytes_), examine=lambda _: None)
    return told


def failure(path: Path, *servers: Publisher | str, sha256: str | None = SHA256) -> str:
    """Returns why the file could not be fetched, in one line, and sees to it that none lies there."""
    with pytest.raises(DownloadFailed) as failed:
        pull(path, *servers, sha256=sha256)
    assert not path.exists()
    assert "\n" not in str(failed.value)
    return str(failed.value)


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_a_file_is_fetched_whole(publisher: Publisher, path: Path) -> None:
    """It lies in its place alone, and its progress was told to the end."""
    told = pull(path, publisher)
    assert path.read_bytes() == CONTENTS
    assert [each.name for each in path.parent.iterdir()] == [NAME]
    assert told[-1] == (len(CONTENTS), len(CONTENTS))
    assert [at_hand for at_hand, _ in told] == sorted(at_hand for at_hand, _ in told)


def test_a_broken_connection_is_continued(publisher: Publisher, path: Path) -> None:
    """Only what is missing is asked for again."""
    publisher.faults.append(cut_off(400_000))
    pull(path, publisher)
    assert path.read_bytes() == CONTENTS
    assert publisher.asked == [None, "bytes=400000-"]


def test_another_run_continues(publisher: Publisher, path: Path) -> None:
    """What came before a server gave up for good is kept, and the next run asks another one for the rest."""
    publisher.faults.extend([cut_off(300_000), refusal(503)])
    assert "503" in failure(path, publisher)
    with publishing() as other:
        other.shelf[NAME] = CONTENTS
        pull(path, other)
        assert other.asked == ["bytes=300000-"]
    assert path.read_bytes() == CONTENTS


def test_a_whole_part_needs_no_network(path: Path) -> None:
    """A run that was killed before the move is ended by the next one."""
    path.parent.mkdir()
    path.with_name(f"{NAME}.part").write_bytes(CONTENTS)
    pull(path)
    assert path.read_bytes() == CONTENTS


@pytest.mark.parametrize(
    ("kept", "fault"),
    [
        (CONTENTS[:400_000], whole),
        (CONTENTS[:400_000], lambda visit, contents: visit.answer(206, contents, Content_Range="bytes 0-9/10")),
        (CONTENTS[:400_000], lambda visit, contents: visit.answer(206, contents[400_000:])),
        (CONTENTS + b"more", None),
        (b"of another file", None),
        (b"of another file", cut_off(10)),
    ],
    ids=["no ranges", "another range", "no word of the range", "too long a part", "wrong part", "wrong part, cut off"],
)
def test_a_part_that_cannot_be_continued_is_begun_anew(
    publisher: Publisher, path: Path, kept: bytes, fault: Fault | None
) -> None:
    """Whatever lies there and whatever the server makes of a range, the file is right in the end."""
    path.parent.mkdir()
    path.with_name(f"{NAME}.part").write_bytes(kept)
    publisher.faults.extend([fault] if fault else [])
    pull(path, publisher)
    assert path.read_bytes() == CONTENTS


FAULTS = st.one_of(
    st.integers(0, 2000).map(cut_off),
    st.binary(max_size=2000).map(instead),
    st.sampled_from([200, 204, 206, 301, 404, 416, 429, 500]).map(refusal),
    st.just(whole),
    st.tuples(st.integers(0, 2000), st.integers(0, 2000)).map(
        lambda ends: (
            lambda visit, contents: visit.answer(
                206, contents[slice(*ends)], Content_Range=f"bytes {ends[0]}-{ends[1]}/{len(contents)}"
            )
        )
    ),
)


@given(kept=st.one_of(st.integers(0, 2000), st.binary(max_size=2100)), faults=st.lists(FAULTS, max_size=5))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_other_file_ever_comes_to_its_place(publisher: Publisher, kept: int | bytes, faults: list[Fault]) -> None:
    """Whatever lies there and whatever servers do, the file is right or absent, and an honest server mends the rest."""
    small = CONTENTS[:2000]
    publisher.shelf[NAME] = small
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, NAME)
        path.with_name(f"{NAME}.part").write_bytes(small[:kept] if isinstance(kept, int) else kept)
        publisher.faults.extend(faults)
        with suppress(DownloadFailed):
            pull(path, publisher, sha256=hashlib.sha256(small).hexdigest())
        assert not path.exists() or path.read_bytes() == small
        publisher.faults.clear()
        pull(path, publisher, sha256=hashlib.sha256(small).hexdigest())
        assert path.read_bytes() == small
        assert [each.name for each in path.parent.iterdir()] == [NAME]


def test_other_contents_are_refused(publisher: Publisher, path: Path) -> None:
    """The sentence has both checksums, and nothing of the file is kept."""
    publisher.faults.append(instead(b"other"))
    said = failure(path, publisher)
    assert SHA256 in said
    assert hashlib.sha256(b"other").hexdigest() in said
    assert not list(path.parent.iterdir())


def test_the_next_address_is_asked(publisher: Publisher, path: Path) -> None:
    """A mirror that is down, one that has other contents and one that lacks the file cost nothing but time."""
    with publishing() as liar, publishing() as empty:
        liar.faults.append(instead(b"other"))
        pull(path, f"http://127.0.0.1:{closed_port()}/{NAME}", liar, empty, publisher)
    assert path.read_bytes() == CONTENTS


def test_a_file_that_stays_cut_short_is_refused(publisher: Publisher, path: Path) -> None:
    """The sentence says how much of it came; a few attempts are enough."""
    publisher.faults.extend([cut_off(500_000), *[lambda visit, _: visit.answer(206, b"", Content_Length=9)] * 9])
    assert "127.0.0.1" in failure(path, publisher)
    assert len(publisher.asked) == downloads.ATTEMPTS


def test_an_endless_body_is_refused(publisher: Publisher, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never stops fills no disk."""

    def endless(visit: Visit, _: bytes) -> None:
        visit.send_response(200)
        visit.end_headers()
        while True:
            visit.wfile.write(b"x" * 10_000)

    monkeypatch.setattr(downloads, "BYTES_MAX", 2_000_000)
    publisher.faults.append(endless)
    assert "more than the 2,000,000 bytes" in failure(path, publisher)
    assert not list(path.parent.iterdir())


def test_an_announced_size_is_bounded(publisher: Publisher, path: Path) -> None:
    """What is too large is refused before any of it is read."""
    publisher.faults.append(lambda visit, _: visit.answer(200, b"", Content_Length=downloads.BYTES_MAX + 1))
    assert "announces 1,073,741,825 bytes" in failure(path, publisher)


def test_a_silent_server_is_given_up(publisher: Publisher, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether before its answer or within, silence is bounded."""
    ended = threading.Event()

    def silent(visit: Visit, contents: bytes) -> None:
        cut_off(1000)(visit, contents)
        ended.wait(20)

    monkeypatch.setattr(downloads, "READ_TIMEOUT_S", 0.2)
    publisher.faults.extend([silent] * downloads.ATTEMPTS)
    assert "it was silent for 0.2 s" in failure(path, publisher)
    ended.set()


def test_a_trickle_is_given_up_and_continued(publisher: Publisher, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that goes on and on ends; what came of it is kept for the next run."""
    monkeypatch.setattr(downloads, "DURATION_S_MAX", 0)
    assert "still sending after 0 s" in failure(path, publisher)
    monkeypatch.undo()
    pull(path, publisher)
    assert path.read_bytes() == CONTENTS


def test_a_closed_network_is_said_in_words(path: Path) -> None:
    """The sentence names the file, each address with its trouble, and the folder to put it into."""
    addresses = [f"http://127.0.0.1:{closed_port()}/{NAME}", f"https://nowhere.invalid/{NAME}"]
    said = failure(path, *addresses)
    assert said == (
        f"{NAME} could not be fetched: {addresses[0]}: no connection; {addresses[1]}: the name of its host is not "
        f"known here. Fetch it by other means and put it into {path.parent}."
    )


def test_no_trust_without_tls(publisher: Publisher, path: Path) -> None:
    """What speaks no TLS where it should is refused."""
    assert "no trusted TLS connection" in failure(path, publisher.address(NAME).replace("http:", "https:"))


def test_redirects_are_followed(publisher: Publisher, path: Path) -> None:
    """Within a mirror without TLS they may stay without; a range is asked for again after each."""
    publisher.faults.extend([redirect(f"/{NAME}"), redirect(publisher.address(NAME)), cut_off(7), redirect(f"/{NAME}")])
    pull(path, publisher)
    assert publisher.asked[-2:] == ["bytes=7-", "bytes=7-"]


def test_redirects_lead_to_https_or_nowhere(publisher: Publisher, path: Path) -> None:
    """No other scheme, no way down from https, no circle."""
    for target in ("ftp://127.0.0.1/x", "file:///etc/passwd"):
        publisher.faults.append(redirect(target))
        assert "which is not https" in failure(path, publisher)
    with pytest.raises(downloads._Refused, match="not https"):
        downloads._redirected("https://127.0.0.1/a", "http://127.0.0.1/b")
    publisher.faults.append(redirect("http://[broken/"))
    assert "an address that is none" in failure(path, publisher)
    publisher.faults.extend([redirect("/again")] * 9)
    assert "redirects more than 5 times" in failure(path, publisher)


def test_packed_files_are_refused(publisher: Publisher, path: Path) -> None:
    """Nobody asked for them, and unpacked they may be of any size."""
    publisher.faults.append(lambda visit, contents: visit.answer(200, contents, Content_Encoding="gzip"))
    assert "packed as gzip" in failure(path, publisher)


def test_without_a_checksum_nothing_is_continued(publisher: Publisher, path: Path) -> None:
    """Nothing would tell whether two pieces belong to one file."""
    path.parent.mkdir()
    path.with_name(f"{NAME}.part").write_bytes(b"older")
    publisher.faults.append(cut_off(400_000))
    pull(path, publisher, sha256=None)
    assert path.read_bytes() == CONTENTS
    assert publisher.asked == [None, None]


def test_without_a_checksum_a_file_is_examined(publisher: Publisher, path: Path) -> None:
    """What is found wrong never comes to its place."""

    def examine(part: Path) -> None:
        assert part.read_bytes() == CONTENTS
        raise ModelUnusable("It is no network.")

    with pytest.raises(DownloadFailed, match=r"It is no network\. Fetch it by other means"):
        fetch(path, [publisher.address(NAME)], None, progress=lambda *_: None, examine=examine)
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("folder", ["/proc/models", "/dev/null/models"])
def test_a_folder_that_cannot_be_written_is_said_in_words(publisher: Publisher, folder: str) -> None:
    """Nothing is asked of anybody."""
    assert "cannot be written" in failure(Path(folder, NAME), publisher)
    assert not publisher.asked


def test_two_runs_do_not_write_one_file(publisher: Publisher, path: Path) -> None:
    """The second is told so."""
    path.parent.mkdir()
    with path.with_name(f"{NAME}.part").open("wb") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        assert "being written by another process" in failure(path, publisher)
