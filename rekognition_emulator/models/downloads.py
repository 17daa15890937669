"""Downloads of weights: resumed, checked by SHA-256, and never opened half.

A file is written beside its place, as ``NAME.part``, and moved there when its SHA-256 is right: nobody ever opens a
part of one. What a broken connection left is continued, if need be from another server and by another run, since the
SHA-256 says what the whole must be. Where none is known nothing is continued, because nothing would tell whether two
pieces belong together.
"""

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from io import BufferedRandom
from pathlib import Path
from typing import Final
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3 import exceptions

from rekognition_emulator.models.weights import ModelUnusable, sync_folder

BYTES_MAX: Final = 1 << 30
"""Of a file. The largest of the table has about half of that. Source: ours."""

CONNECT_TIMEOUT_S: Final = 3
"""A publisher that cannot be reached must not hold up set-up. Source: ours; a round trip anywhere takes less than a
tenth of it."""

READ_TIMEOUT_S: Final = 15
"""Before the answer, and between two pieces of it."""

DURATION_S_MAX: Final = 3600
"""Of one answer, however steadily it trickles; what has come by then is continued by the next run. Source: ours."""

ATTEMPTS: Final = 3
"""At one address, each of which continues what the one before has left."""

REDIRECTS_MAX: Final = 5
PIECE_BYTES: Final = 1 << 18

Progress = Callable[[int, int | None], None]
"""Called with the bytes at hand, and with those of the whole file where the server says so."""


_UNREACHABLE: Final = {
    exceptions.NameResolutionError: "the name of its host is not known here",  # a kind of the next
    exceptions.NewConnectionError: "no connection",
    exceptions.ConnectTimeoutError: f"no connection within {CONNECT_TIMEOUT_S} s",
}
_WITHOUT_AN_ANSWER: Final = {
    exceptions.SSLError: "no trusted TLS connection",
    ValueError: "it leads to an address that is none",
}


class DownloadFailed(ModelUnusable):
    """A file could not be fetched."""


class PublisherUnreachable(DownloadFailed):
    """None of the servers that have a file can be reached from here."""


class _Refused(Exception):
    """An address does not give the file; the text goes on after "it"."""


class _Unreachable(_Refused):
    """Nothing answers at an address."""


class _BrokenOff(_Refused):
    """An address did not give the whole file, but another attempt may."""


def fetch(
    path: Path,
    addresses: Sequence[str],
    sha256: str | None,
    *,
    progress: Progress,
    examine: Callable[[Path], None],
) -> str | None:
    """Fetches a file, unless it cannot be had.

    Args:
        path: where it will lie, whole and durable. The folder is made if it is missing.
        addresses: to try in this order.
        sha256: of the file, if it is known.
        progress: told how far it is.
        examine: called with the whole file, where no SHA-256 says that it is right, before it is moved to its place;
            raises ModelUnusable to prevent that.

    Returns:
        The address that gave it; None where an earlier run had brought all of it.

    Raises:
        DownloadFailed: no address gave it, or it cannot be written; the text says what to do.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _claimed(part) as file:
            address = _fill(file, addresses, sha256, progress, partial(examine, part))
            os.fsync(file.fileno())
            part.replace(path)
        sync_folder(path.parent)
    except _Refused as refused:
        kind = PublisherUnreachable if isinstance(refused, _Unreachable) else DownloadFailed
        raise kind(
            f"{path.name} could not be fetched: {refused}. Fetch it by other means and put it into {path.parent}."
        ) from refused
    except OSError as error:
        raise DownloadFailed(f"{path} cannot be written: {error.strerror}.") from error
    return address


def _sha256_of(file: BufferedRandom) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _claimed(part: Path) -> Iterator[BufferedRandom]:
    """Opens a part that nobody else writes to meanwhile; an empty one is not left behind."""
    with part.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DownloadFailed(f"{part} is being written by another process.") from None
        if not part.exists() or not os.path.samestat(part.stat(), os.fstat(file.fileno())):
            raise DownloadFailed(f"{part} has just been written by another process.")
        try:
            yield file
        except BaseException:
            if os.fstat(file.fileno()).st_size == 0:
                part.unlink(missing_ok=True)
            raise


def _fill(
    file: BufferedRandom,
    addresses: Sequence[str],
    sha256: str | None,
    progress: Progress,
    examine: Callable[[], None],
) -> str | None:
    """Returns the address that gave what was missing; None where nothing was."""
    if sha256 is None:
        file.truncate(0)
    elif _sha256_of(file) == sha256:  # all that was missing is the move
        return None
    reasons: list[str] = []
    kind: type[_Refused] = _Unreachable
    with urllib3.PoolManager(timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S)) as pool:
        for address in addresses:
            try:
                _fill_from(pool, address, file, sha256, progress)
                if sha256 is None:
                    examine()
            except (_Refused, ModelUnusable) as refused:
                if sha256 is None:
                    file.truncate(0)
                reasons.append(f"{address}: {str(refused).rstrip('.')}")
                kind = kind if isinstance(refused, _Unreachable) else _Refused
            else:
                return address
    raise kind("; ".join(reasons))


def _fill_from(
    pool: urllib3.PoolManager, address: str, file: BufferedRandom, sha256: str | None, progress: Progress
) -> None:
    """Fetches from one address, in a few attempts, and checks the whole."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            continued = _receive(pool, address, file, progress)
            file.flush()
            _check(file, sha256, continued=continued)
        except _BrokenOff:
            if sha256 is None:
                file.truncate(0)
            if attempt == ATTEMPTS:
                raise
        else:
            return


def _check(file: BufferedRandom, sha256: str | None, *, continued: bool) -> None:
    found = _sha256_of(file)
    if sha256 is None or found == sha256:
        return
    file.truncate(0)
    # The fault may be in the older piece: then the whole is worth an attempt.
    kind = _BrokenOff if continued else _Refused
    raise kind(f"it has the SHA-256 {found} instead of {sha256}")


def _receive(pool: urllib3.PoolManager, address: str, file: BufferedRandom, progress: Progress) -> bool:
    """Appends to a file what it lacks, or begins it anew where the server does not continue.

    Returns:
        Whether it was continued.
    """
    at_hand = begun = file.seek(0, os.SEEK_END)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begun}-"} if begun else {})
    try:
        with closing(_answer(pool, address, headers)) as answer:
            whole_bytes = _whole_bytes(answer, file, begun)
            if answer.status == 200:  # noqa: PLR2004 - HTTP's number for the file from its beginning
                file.truncate(0)
                at_hand = begun = 0
            deadline = time.monotonic() + DURATION_S_MAX
            while piece := answer.read1(PIECE_BYTES, decode_content=False):
                at_hand += len(piece)
                if at_hand > BYTES_MAX:
                    file.truncate(0)
                    raise _Refused(f"it sends more than the {BYTES_MAX:,} bytes that any file may have")
                if time.monotonic() > deadline:
                    raise _Refused(f"it was still sending after {DURATION_S_MAX} s")
                file.write(piece)
                progress(at_hand, whole_bytes)
    except (exceptions.HTTPError, ValueError) as error:  # the latter: an address that is none
        file.flush()
        raise _in_words(error, begun, at_hand) from error
    file.flush()
    if whole_bytes is not None and at_hand < whole_bytes:
        raise _BrokenOff(f"it sent {at_hand:,} of {whole_bytes:,} bytes")
    return begun > 0


def _whole_bytes(answer: urllib3.BaseHTTPResponse, file: BufferedRandom, begun: int) -> int | None:
    """Returns how long the whole file is, if the answer says so; refuses one that is not what was asked for."""
    whole_bytes = answer.length_remaining
    match answer.status:
        case 200:
            pass
        case 206:
            said = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
            if not said or int(said[1]) != begun:
                file.truncate(0)
                raise _BrokenOff("it continues the file at another place than it was asked to")
            whole_bytes = None if said[2] == "*" else int(said[2])
        case 416 if begun:
            file.truncate(0)
            raise _BrokenOff("its file is shorter than what is at hand")
        case _:
            raise _Refused(f"it answers {answer.status}")
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise _Refused(f"it sends the file packed as {answer.headers['Content-Encoding']}")
    if whole_bytes is not None and whole_bytes > BYTES_MAX:
        raise _Refused(f"it announces {whole_bytes:,} bytes, and no file may have more than {BYTES_MAX:,}")
    return whole_bytes


def _answer(pool: urllib3.PoolManager, address: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
    """Asks, and follows redirects."""
    url = address
    for _ in range(REDIRECTS_MAX + 1):
        answer = pool.request("GET", url, headers=headers, redirect=False, retries=False, preload_content=False)
        location = answer.get_redirect_location()
        if not location:
            return answer
        answer.close()
        url = _redirected(url, location)
    raise _Refused(f"it redirects more than {REDIRECTS_MAX} times")


def _redirected(url: str, location: str) -> str:
    """Returns where a redirect leads: to https, or from a mirror that is http to http."""
    target = urljoin(url, location)
    if urlsplit(target).scheme not in {"https", urlsplit(url).scheme}:
        raise _Refused(f"it redirects to {target}, which is not https")
    return target


def _in_words(error: Exception, begun: int, at_hand: int) -> _Refused:
    for kind, words in (_UNREACHABLE | _WITHOUT_AN_ANSWER).items():
        if isinstance(error, kind):
            return _Unreachable(words) if kind in _UNREACHABLE else _Refused(words)
    if isinstance(error, exceptions.ReadTimeoutError):
        # Who says nothing at all will hardly do so when asked again.
        silent = _BrokenOff if at_hand > begun else _Refused
        return silent(f"it was silent for {READ_TIMEOUT_S} s after {at_hand:,} bytes")
    return _BrokenOff(f"the connection broke off after {at_hand:,} bytes")
