"""Pictures that were made to hurt, built piece by piece."""

import struct
import zlib
from collections.abc import Iterable

PIXEL = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples of a pixel by a PNG's colour type."""


def chunk(kind: bytes, body: bytes) -> bytes:
    """One piece of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def header(width: int, height: int, depth: int = 8, colour: int = 2, interlace: int = 0) -> bytes:
    """The first chunk of a PNG."""
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))


def png(first: bytes, *pieces: bytes) -> bytes:
    """A PNG of these chunks."""
    return b"\x89PNG\r\n\x1a\n" + first + b"".join(pieces) + chunk(b"IEND", b"")


def rows(width: int, height: int, depth: int = 8, colour: int = 2, *, filtered: int = 0) -> bytes:
    """Compressed pixels of a PNG, all rows alike."""
    row = bytes([filtered]) + b"\x55" * -(-width * depth * PIXEL[colour] // 8)
    deflate = zlib.compressobj(9)
    return chunk(b"IDAT", b"".join(deflate.compress(row) for _ in range(height)) + deflate.flush())


def interlaced(width: int, height: int) -> bytes:
    """A PNG of black pixels in seven passes: a decoder holds the whole of it."""
    deflate = zlib.compressobj(9)
    rows = 2 * (height + 8)  # of all passes, none longer than the picture's: more than enough
    data = b"".join(deflate.compress(bytes(1 + width)) for _ in range(rows)) + deflate.flush()
    return png(header(width, height, colour=0, interlace=1), chunk(b"IDAT", data))


def segment(kind: int, body: bytes) -> bytes:
    """One piece of a JPEG."""
    return bytes([0xFF, kind]) + struct.pack(">H", len(body) + 2) + body


def frame(kind: int, width: int, height: int, components: int = 3, *, sampling: int = 0x11) -> bytes:
    """A JPEG's frame of components 1, 2, ... that are all sampled alike."""
    parts = b"".join(bytes([number + 1, sampling, 0]) for number in range(components))
    return segment(kind, struct.pack(">BHHB", 8, height, width, components) + parts)


def scan(components: Iterable[int], first: int = 0, last: int = 63, high: int = 0, low: int = 0) -> bytes:
    """What stands before a JPEG's compressed data."""
    parts = b"".join(bytes([component, 0]) for component in components)
    return segment(0xDA, bytes([len(parts) // 2]) + parts + bytes([first, last, high << 4 | low]))


TABLES = (
    segment(0xDB, bytes([0]) + bytes([1]) * 64)
    # For means: 0 is nothing more; for the rest: 4 bits, 0000 to 1110, say that 2^n blocks or more have ended.
    + segment(0xC4, bytes([0x00, 1, 1, *[0] * 14, 0, 1]))
    + segment(0xC4, bytes([0x10, 0, 0, 0, 15, *[0] * 12, *[n << 4 for n in range(15)]]))
)


def empty_scan(blocks: int) -> bytes:
    """Compressed data which says that nothing follows in any of so many blocks: 19 bits for 32,767 of them."""
    bits = ""
    while blocks:
        ended = min(blocks, 32767)
        power = ended.bit_length() - 1
        bits += f"{power:04b}" + (f"{ended - 2**power:0{power}b}" if power else "")
        blocks -= ended
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")


def progressive(width: int, height: int, scans: int, components: int = 3, *, between: bytes = b"") -> bytes:
    """A valid grey JPEG in which scan after scan refines what is nothing: 100 bytes for each megapixel and scan."""
    blocks = -(-width // 8) * -(-height // 8)
    means = bytes(blocks * components // 8 + 1)
    pieces = [b"\xff\xd8", TABLES, frame(0xC2, width, height, components)]
    pieces += [scan(range(1, components + 1), last=0, low=1), means]
    refinement = empty_scan(blocks)
    for number in range(scans):
        component = number % components + 1
        begins = number < components
        pieces += [between, scan([component], 1, high=not begins, low=begins), refinement]
    return b"".join(pieces) + b"\xff\xd9"


def baseline(width: int, height: int, *before: bytes, kind: int = 0xC0, components: int = 3) -> bytes:
    """A valid grey JPEG of one scan with some segments before it."""
    blocks = -(-width // 8) * -(-height // 8) * components
    data = bytes(blocks * 5 // 8 + 1)  # five zeros each: a mean of nothing more, and an end
    first = scan(range(1, components + 1))
    return b"".join([b"\xff\xd8", *before, TABLES, frame(kind, width, height, components), first, data, b"\xff\xd9"])


def notes(orientation: int, order: str = "<", *, kind: int = 3, count: int | None = None, start: int = 8) -> bytes:
    """A camera's notes with one entry."""
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", start)
    entry = struct.pack(f"{order}HHIHH", 0x0112, kind, 1, orientation, 0)
    return head + struct.pack(f"{order}H", 1 if count is None else count) + entry + bytes(4)
