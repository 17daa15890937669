"""Spoils inputs; all follows from a random generator that the caller seeds."""

import json
import struct
import zlib
from collections.abc import Sequence
from random import Random
from typing import Any

NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""Where counters turn over."""

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 1e308, -1e-320, 2**31, 2**63, -(2**63) - 1, 10**400),
    *("", " ", "a", "a" * 256, "a" * 5000, "\0", "\ud800", "\uffff", "é", "日本", "😀" * 90, "../../etc/passwd"),
    *("%2e%2e%2f", "';--", "${jndi:x}", "<x>", "\r\nSet-Cookie: a", "NaN", "1e999", "arn:aws:rekognition:::", "AAAA"),
    *("00000000-0000-4000-8000-000000000000", "eyJhIjoxfQ==", "\u2028", "\u202e", "a\u0301"),
    *([], {}, [None], [[]] * 50, ["a"] * 5000, {"": ""}, {"Bytes": "AAAA"}, {"S3Object": {}}, {"a": {"b": {"c": []}}}),
)
"""What programs have stumbled over."""

SPOILT_HEADERS = (
    b"Content-Length: 0",
    b"Content-Length: 5",
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Content-Encoding: gzip",
    b"Content-Type: application/json",
    b"Content-Type: text/xml",
    b"Content-Type:",
    b"Expect: 100-continue",
    b"Expect: 200-ok",
    b"Upgrade: websocket\r\nConnection: upgrade",
    b"Upgrade: h2c\r\nConnection: upgrade",
    b"Connection: keep-alive",
    b"X-Amz-Target: RekognitionService.",
    b"X-Amz-Target: \xff\xfe",
    b"X-Amz-Date: 99999999T999999Z",
    b"X-Amz-Date: 20260101T000000Z",
    b"X-Amz-Security-Token: " + b"A" * 4000,
    b"X-Amz-Content-Sha256: UNSIGNED-PAYLOAD",
    b"Authorization: AWS4-HMAC-SHA256",
    b"Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/rekognition/aws4_request, "
    b"SignedHeaders=host;x-amz-date, Signature=" + b"0" * 64,
    b"Authorization: AWS4-HMAC-SHA256 Credential=a/b/c/d/e/f/g,SignedHeaders=;,Signature=\xff",
    b"Authorization: Basic YTpi",
    b"Authorization: " + b"," * 4000,
    b"Host: \xff",
    b"Host:",
    b"X: " + b"y" * 70_000,
    b"Origin: null",
    b"\0: \0",
    b" folded: line",
    b"no colon",
)


def spoil(random: Random, original: bytes, others: Sequence[bytes], *, wounds_max: int = 8) -> bytes:
    """Returns bytes that were bytes of something valid: flipped, overwritten, cut, doubled, mixed with another's."""
    spoilt = bytearray(original)
    for _ in range(random.randint(1, wounds_max)):
        if not spoilt:
            break
        at = random.randrange(len(spoilt))
        length = min(random.choice((1, 1, 2, 4, 16, 256, 4096)), len(spoilt) - at)
        random.choice(WOUNDS)(random, spoilt, slice(at, at + length))
        if random.random() < 0.15:
            other = random.choice(others)
            begin = random.randrange(len(other))
            spoilt[at : at + length] = other[begin : begin + random.choice((length, 4096))]
    return bytes(spoilt)


def _flip(random: Random, spoilt: bytearray, where: slice) -> None:
    spoilt[where.start] ^= 1 << random.randrange(8)


def _overwrite(random: Random, spoilt: bytearray, where: slice) -> None:
    spoilt[where] = random.randbytes(where.stop - where.start)


def _insert(random: Random, spoilt: bytearray, where: slice) -> None:
    spoilt[where.start : where.start] = random.randbytes(where.stop - where.start)


def _count(random: Random, spoilt: bytearray, where: slice) -> None:
    width = random.choice("BHI")
    number = struct.pack(random.choice("<>") + width, random.choice(NUMBERS) % 2 ** (8 * struct.calcsize(width)))
    spoilt[where.start : where.start + len(number)] = number


def _repeat(random: Random, spoilt: bytearray, where: slice) -> None:
    spoilt[where.start : where.start] = spoilt[where] * random.choice((1, 2, 50))


def _cut(random: Random, spoilt: bytearray, where: slice) -> None:
    del spoilt[where.start : where.stop if random.random() < 0.7 else None]


WOUNDS = (_flip, _overwrite, _insert, _count, _repeat, _cut)


def spoil_picture(random: Random, original: bytes, others: Sequence[bytes]) -> bytes:
    """Returns a file that was a picture: half of the time its pieces stay whole, with lengths and checksums right."""
    kind = random.random()
    if kind < 0.5:
        return spoil(random, original, others)
    if original.startswith(b"\x89PNG"):
        pieces, join = _chunks(original), _join_chunks
    elif original.startswith(b"\xff\xd8"):
        pieces, join = _segments(original), _join_segments
    else:
        return spoil(random, original, others)
    for _ in range(random.randint(1, 4) if pieces else 0):
        at = random.randrange(len(pieces))
        match random.randrange(5):
            case 0 if len(pieces) > 1:
                del pieces[at]
            case 1:
                pieces[at:at] = [pieces[at]] * random.choice((1, 3, 300))
            case 2:
                pieces.insert(random.randrange(len(pieces)), pieces.pop(at))
            case _:
                name, body = pieces[at]
                pieces[at] = (name, spoil(random, body or b"\0", others, wounds_max=3))
    return join(pieces)


def _chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at + 8 <= len(png):
        (length,) = struct.unpack_from(">I", png, at)
        found.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def _join_chunks(pieces: list[tuple[bytes, bytes]]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in pieces
    )


def _segments(jpeg: bytes) -> list[tuple[bytes, bytes]]:
    """Marker and body; all from the first scan on is one."""
    found, at = [], 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF and jpeg[at + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", jpeg, at + 2)
        found.append((jpeg[at : at + 2], jpeg[at + 4 : at + 2 + length]))
        at += 2 + length
    return [*found, (b"", jpeg[at:])]


def _join_segments(pieces: list[tuple[bytes, bytes]]) -> bytes:
    return b"\xff\xd8" + b"".join(
        name + struct.pack(">H", (len(body) + 2) % 65_536) + body if name else body for name, body in pieces
    )


def spoil_json(random: Random, request: dict[str, Any]) -> bytes:
    """Returns a body that was JSON for an operation: other values, keys twice or missing, and sometimes no JSON."""
    places = list(_places(request))
    changes = {random.choice(places): random.choice(VALUES) for _ in range(random.randint(0, 2))} if places else {}
    dropped = {random.choice(places)} if places and random.random() < 0.1 else set()

    def render(value: Any, path: tuple[Any, ...]) -> str:
        if path in changes:
            return json.dumps(changes[path], ensure_ascii=random.random() < 0.5)
        if isinstance(value, dict):
            members = [
                f"{json.dumps(name)}:{render(each, (*path, name))}"
                for name, each in value.items()
                if (*path, name) not in dropped
            ]
            if members and random.random() < 0.1:
                members.append(random.choice(members))
            if random.random() < 0.1:
                members.append(f'"Unknown":{json.dumps(random.choice(VALUES))}')
            return "{" + ",".join(members) + "}"
        if isinstance(value, list):
            return "[" + ",".join(render(each, (*path, place)) for place, each in enumerate(value)) + "]"
        return json.dumps(value)

    return _encoded(random, render(request, ()))


def _encoded(random: Random, text: str) -> bytes:
    """Returns text as UTF-8, and now and then in another encoding, cut, spoilt, or endlessly nested instead."""
    body = text.encode("utf-8", "surrogatepass")
    match random.randrange(12):
        case 0:
            return spoil(random, body, [b'{"a":[1,2]}', b"\xff\xfe\xed\xa0\x80", b"[" * 5000, b"NaN", b"\\ud800"])
        case 1:
            return text.encode(random.choice(("utf-16", "utf-32", "utf-7", "utf-8-sig")), "replace")
        case 2:
            return body[: random.randrange(len(body) + 1)]
        case 3:
            return random.choice((b"[", b'{"a":', b'{"CollectionId":[')) * random.choice((10, 1000, 100_000))
        case _:
            return body


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Returns the paths to every value inside."""
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, each in items for place in [(*path, key), *_places(each, (*path, key))]]


def spoil_http(random: Random, operation: str, body: bytes) -> bytes:
    """Returns what goes over the wire: mostly right, sometimes with odd headers, lengths, paths, chunks or no HTTP."""
    target = b"RekognitionService." + operation.encode()
    headers = [
        b"Host: localhost",
        b"Connection: close",
        b"Content-Type: application/x-amz-json-1.1",
        b"X-Amz-Target: " + target,
    ]
    if random.random() < 0.15:
        headers.append(b"Transfer-Encoding: chunked")
        body = _chunked(random, body)
    else:
        headers.append(b"Content-Length: %d" % len(body))
    for _ in range(random.choice((0, 0, 1, 3))):
        headers.insert(random.randrange(len(headers) + 1), random.choice(SPOILT_HEADERS))
    if random.random() < 0.03:
        headers += [b"X-%d: %d" % (number, number) for number in range(random.choice((100, 20_000)))]
    if random.random() < 0.05:
        del headers[random.randrange(len(headers))]
    message = b"\r\n".join([_request_line(random), *headers, b"", body])
    if random.random() < 0.05:
        message = spoil(random, message, [b"\r\n\r\n", b"GET / HTTP/1.1\r\n", b"0\r\n\r\n", b"\0"], wounds_max=3)
    if random.random() < 0.05:
        message = message[: random.randrange(len(message) + 1)]
    return message * (2 if random.random() < 0.03 else 1)


def _request_line(random: Random) -> bytes:
    method = random.choice((b"GET", b"PUT", b"OPTIONS", b"HEAD", b"TRACE", b"post", b"X" * 90, b"\xff"))
    path = random.choice((b"/..%2f", b"//", b"*", b"http://a/", b"/\xff", b"/%00", b"/?a=" + b"b" * 9000, b"/sessions"))
    version = random.choice((b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.1 x", b""))
    parts = ((method, b"POST"), (path, b"/"), (version, b"HTTP/1.1"))
    return b" ".join(odd if random.random() < 0.05 else usual for odd, usual in parts)


def _chunked(random: Random, body: bytes) -> bytes:
    size = random.choice((1, 7, 1000, 65_536))
    body = body[:2000] if size == 1 else body
    spoilt = random.random() < 0.2
    message = []
    for at in range(0, len(body), size):
        piece = body[at : at + size]
        odd = spoilt and random.random() < 0.1
        message += [random.choice((b"-1", b"f" * 17, b"x", b"0", b"1;a=b")) if odd else b"%x" % len(piece), piece]
    return b"\r\n".join([*message, b"0", b"", b""])
