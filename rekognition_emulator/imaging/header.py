"""The header of a JPEG or PNG file, read before it is decoded, and the file without whatever makes no pixels.

A file is walked from piece to piece and written anew with those pieces alone that make pixels. Notes, profiles, texts,
previews and further pictures – where files hide what costs much to read, or what is meant for another program – never
reach a decoder; of a JPEG's EXIF we read the one number that we need. What decoding will cost is known at the end
of the walk: pixels, bytes of memory, and for a JPEG of many scans how many blocks all of them visit.

Refused: leaving this to Pillow. Its headers are read in Python, piece by piece: 15 MB of empty pieces took 18 s, with
the interpreter's lock held, and a progressive JPEG of 5 MB could ask for 25,000 scans, half an hour.
"""

import re
import struct
from dataclasses import dataclass
from typing import Final

from rekognition_emulator.domain.errors import PictureTooCostly, PictureTooLarge, PictureTooSmall, PictureUnreadable

SIDE_PX_MIN: Final = 80
"""Source: AWS developer guide, "Guidelines and quotas": minimum height and width."""

SIDE_PX_MAX: Final = 10_000
"""Source: AWS, as above; documented for labels and moderation, taken for faces too."""

PIECES_MAX: Final = 20_000
"""Segments of a JPEG, chunks of a PNG. Ours: a PNG of the largest side with a chunk for every row has half as many."""

HEADER_BYTES_MAX: Final = 2**18
"""Of what a JPEG's decoder needs before the first scan. Ours: tables take 3 kB, a preview of old files up to 64 kB."""

VISITS_MAX: Final = 64_000_000
"""Blocks that the scans of a JPEG visit. Ours: libjpeg visits each 6 times with its scripts, 20 million in the largest
picture that memory allows; a visit takes at most 50 ns."""

DECODES_WITHOUT_END: Final = 4
"""How often a JPEG without its end is decoded, to see whether more is missing; its scans may visit as much less."""

SCAN_VISITS: Final = 100
"""What beginning a scan costs, in blocks: its tables are made anew."""

DEFLATE_RATIO_MAX: Final = 1032
"""Source: zlib's technical details: no stream expands further."""

_MARKER: Final = re.compile(rb"\xff[\x01-\xfe]")
_MARKER_IN_SCAN: Final = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""In compressed data a zero follows 0xFF, and restarts belong to it."""

_FRAMES: Final = frozenset((0xC0, 0xC1, 0xC2))
"""Baseline, extended and progressive, with Huffman's code. Lossless, hierarchical and arithmetic JPEG nobody sends."""
_PROGRESSIVE: Final = 0xC2
_BARE: Final = frozenset((0x01, *range(0xD0, 0xD9)))
_TABLES: Final = frozenset((0xC4, 0xDB, 0xDD))
_COLOURS: Final = frozenset((0xE0, 0xEE))
"""JFIF and Adobe: which colours the components are."""
_IGNORED: Final = frozenset((0xDC, *range(0xE0, 0xF0), 0xFE))
_END, _SCAN, _EXIF = 0xD9, 0xDA, 0xE1

END: Final = b"\xff\xd9"
"""A JPEG's last two bytes."""

_COMPONENTS: Final = frozenset((1, 3, 4))
_SAMPLE_BITS, _FACTORS, _LENGTH_BYTES = 8, range(1, 5), 2
_PLACES: Final = 64
"""Coefficients of a block."""
_BLOCK_BYTES: Final = 2 * _PLACES
"""16 bits each."""

_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Colour type of a PNG → samples of a pixel."""
_PNG_TABLES: Final = {b"PLTE": 768, b"tRNS": 256}
"""Palette and transparency, with the most bytes that they may have."""
_PNG_HEADER_END: Final = 33
_PIXEL_BYTES: Final = 4
"""Of a PNG while it is decoded; less in some modes."""

_ORIENTATION: Final = 0x0112
_SHORT: Final = 3
"""Source: Exif 2.3: the tag, and the type of its value."""


@dataclass(frozen=True, slots=True)
class Outline:
    """What is known of a picture before it is decoded.

    Attributes:
        file: a JPEG or PNG of the same pixels, with nothing else in it.
        width_px: as stored, before it is turned upright.
        height_px: likewise.
        orientation: of a JPEG's first EXIF segment, 1 to 8; 1 where that is missing or damaged, and for every PNG.
        stored_bytes: what a decoder holds of the whole picture at once, or goes through if that is more; 0 if it
            decodes row by row.
        has_end: False for a JPEG that came without ``END``, which ``file`` has: only a decoder can tell whether pixels
            are missing, too.
    """

    file: bytes
    width_px: int
    height_px: int
    orientation: int
    stored_bytes: int
    has_end: bool = True


def outline(picture: bytes) -> Outline:
    """Reads a JPEG or PNG up to its compressed data, and whatever stands between several parts of that.

    Raises:
        PictureUnreadable: another format, or damaged.
        PictureTooSmall: a side under 80 px.
        PictureTooLarge: a side over 10,000 px.
        PictureTooCostly: its scans would take too long.
    """
    try:
        if picture.startswith(b"\xff\xd8\xff"):
            return _jpeg(picture)
        if picture.startswith(b"\x89PNG\r\n\x1a\n"):
            return _png(picture)
    except (struct.error, IndexError) as error:
        raise PictureUnreadable("a piece ends too early") from error
    raise PictureUnreadable("neither JPEG nor PNG")


def orientation(notes: bytes) -> int:
    """Returns the orientation in the first directory of a TIFF file, which is what EXIF is; 1 where there is none."""
    order = {b"II": "<", b"MM": ">"}.get(notes[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", notes, 4)
        (count,) = struct.unpack_from(f"{order}H", notes, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", notes, entry)
            if tag == _ORIENTATION:
                return value if kind == _SHORT and value in range(1, 9) else 1
    except struct.error:
        pass
    return 1


def _check_sides(width_px: int, height_px: int) -> None:
    if max(width_px, height_px) > SIDE_PX_MAX:
        raise PictureTooLarge(width_px, height_px, SIDE_PX_MAX)
    if min(width_px, height_px) < SIDE_PX_MIN:
        raise PictureTooSmall(f"{width_px} x {height_px}")


@dataclass(frozen=True, slots=True)
class _Frame:
    """A JPEG's frame: sides, and the blocks of each component by its id."""

    width_px: int
    height_px: int
    progressive: bool
    blocks: dict[int, int]


def _jpeg(picture: bytes) -> Outline:
    kept, frame, turn, start = _jpeg_header(picture)
    # In compressed data no marker but restarts can occur, so that these two bytes are an end wherever they stand.
    has_end = picture.rfind(END, start) >= 0
    if not has_end:
        picture = picture.removesuffix(END[:1]) + END
    kept.append(picture[start - 2 :])
    blocks = sum(frame.blocks.values())
    # Each takes a code for its mean and, unless that is left to later scans, one for its end.
    if len(kept[-1]) * 8 < blocks * (1 if frame.progressive else 2):
        raise PictureUnreadable("too short for its sides")
    stored_bytes = 0
    if frame.progressive or picture[start + 2] != len(frame.blocks):
        _check_scans(picture, start, frame, complete=not has_end)
        stored_bytes = blocks * _BLOCK_BYTES
    return Outline(b"".join(kept), frame.width_px, frame.height_px, turn, stored_bytes, has_end)


def _jpeg_header(picture: bytes) -> tuple[list[bytes], _Frame, int, int]:
    """Returns the segments that a decoder needs before the first scan, frame, orientation, and where that scan is."""
    kept, frame, turn, at = [b"\xff\xd8"], None, None, 2
    for _ in range(PIECES_MAX):
        kind, start, at = _segment(picture, at, _MARKER)
        if kind in _FRAMES and frame is None:
            frame = _frame(kind, picture[start:at])
        elif kind == _SCAN and frame is not None and sum(map(len, kept)) <= HEADER_BYTES_MAX:
            return kept, frame, turn or 1, start
        elif kind == _EXIF and turn is None and picture.startswith(b"Exif\0\0", start + 2):
            turn = orientation(picture[start + 8 : at])
        elif kind not in _TABLES | _COLOURS | _IGNORED | _BARE:
            raise PictureUnreadable(f"marker {kind:#x} where it does not belong")
        if kind in _FRAMES | _TABLES | _COLOURS:
            kept.append(picture[start - 2 : at])
    raise PictureUnreadable("too many segments")


def _segment(picture: bytes, at: int, marker: re.Pattern[bytes]) -> tuple[int, int, int]:
    """Returns the next marker's code, and where what follows it begins and ends."""
    found = marker.search(picture, at)
    if found is None:
        raise PictureUnreadable("truncated")
    start = found.end()
    kind = picture[start - 1]
    if kind in _BARE or kind == _END:
        return kind, start, start
    (length,) = struct.unpack_from(">H", picture, start)
    if length < _LENGTH_BYTES or start + length > len(picture):
        raise PictureUnreadable("a segment ends too early")
    return kind, start, start + length


def _frame(kind: int, segment: bytes) -> _Frame:
    bits, height_px, width_px, count = struct.unpack_from(">xxBHHB", segment)
    if len(segment) != 8 + 3 * count:
        raise PictureUnreadable("a frame ends too early, or too late")
    _check_sides(width_px, height_px)
    parts = [tuple(segment[8 + 3 * number : 11 + 3 * number]) for number in range(count)]
    factors = {part: (across_and_down >> 4, across_and_down & 15) for part, across_and_down, _ in parts}
    if bits != _SAMPLE_BITS or count not in _COMPONENTS or len(factors) != count:
        raise PictureUnreadable(f"{count} components of {bits} bits")
    if not all(factor in _FACTORS for pair in factors.values() for factor in pair):
        raise PictureUnreadable("sampling factors that no JPEG has")
    across = -(-width_px // (8 * max(pair[0] for pair in factors.values())))
    down = -(-height_px // (8 * max(pair[1] for pair in factors.values())))
    blocks = {part: across * wide * down * high for part, (wide, high) in factors.items()}
    return _Frame(width_px, height_px, kind == _PROGRESSIVE, blocks)


def _check_scans(picture: bytes, start: int, frame: _Frame, *, complete: bool) -> None:
    """Adds up what the scans cost, the first of which begins at ``start``.

    Raises:
        PictureTooCostly: more than any encoder asks for.
        PictureUnreadable: something between the scans that belongs nowhere; a decoder could read it otherwise. Or
            ``complete`` is asked for, and a scan is missing.
    """
    visits, kind = 0, _SCAN
    visits_max = VISITS_MAX // DECODES_WITHOUT_END if complete else VISITS_MAX
    missing = {(part, place) for part in frame.blocks for place in range(_PLACES)} if complete else set()
    at = start + struct.unpack_from(">H", picture, start)[0]
    for _ in range(PIECES_MAX):
        if kind == _END:
            if missing:
                raise PictureUnreadable("truncated between two scans")
            return
        if kind == _SCAN:
            parts = picture[start + 3 : start + 3 + 2 * picture[start + 2] : 2]
            first, last, bits_left = picture[at - 3], picture[at - 2], picture[at - 1] & 15
            if missing and not bits_left:
                missing.difference_update((part, place) for part in parts for place in range(first, last + 1))
            visits += SCAN_VISITS + sum(frame.blocks.get(part, 0) for part in parts)
            if visits > visits_max:
                raise PictureTooCostly("too many scans")
        elif kind not in _TABLES | _IGNORED | _BARE:
            raise PictureUnreadable(f"marker {kind:#x} between scans")
        kind, start, at = _segment(picture, at, _MARKER_IN_SCAN)
    raise PictureTooCostly("too many segments")


def _png(picture: bytes) -> Outline:
    width_px, height_px, row_bytes = _png_header(picture)
    # An orientation in ``eXIf`` is not read: AWS corrects that of JPEG alone. Source: API model, IndexFacesResponse's
    # OrientationCorrection: "Images in .png format don't contain Exif metadata".
    kept, data_bytes, at = [picture[:_PNG_HEADER_END]], 0, _PNG_HEADER_END
    for _ in range(PIECES_MAX):
        if at + 8 > len(picture):
            break
        length, kind = struct.unpack_from(">I4s", picture, at)
        chunk = picture[at : at + 12 + length]
        at += 12 + length
        if kind == b"IEND" or (at > len(picture) and data_bytes and kind != b"IDAT"):
            break  # what is broken behind the pixels does not spoil them
        if at > len(picture) or length > _PNG_TABLES.get(kind, length):
            raise PictureUnreadable("a chunk ends too early, or too late")
        if kind == b"IDAT" or kind in _PNG_TABLES:
            kept.append(chunk)
            data_bytes += length if kind == b"IDAT" else 0
        elif kind[:1].isupper():
            raise PictureUnreadable(f"an unknown chunk {kind!r} that must not be ignored")
    else:
        raise PictureUnreadable("too many chunks")
    if data_bytes * DEFLATE_RATIO_MAX < height_px * row_bytes:
        raise PictureUnreadable("too short for its sides")
    kept.append(b"\0\0\0\0IEND\xaeB`\x82")
    # Rows of 16 bits are larger than what is kept of them; a decoder goes through every byte, and time is bounded so.
    stored_bytes = height_px * max(width_px * _PIXEL_BYTES, row_bytes)
    return Outline(b"".join(kept), width_px, height_px, 1, stored_bytes)


def _png_header(picture: bytes) -> tuple[int, int, int]:
    """Returns width, height, and how many bytes a row takes."""
    length, kind, width_px, height_px, bits, colours = struct.unpack_from(">I4sIIBB", picture, 8)
    if (length, kind) != (13, b"IHDR") or colours not in _CHANNELS:
        raise PictureUnreadable("no header")
    _check_sides(width_px, height_px)
    return width_px, height_px, 1 + -(-width_px * bits * _CHANNELS[colours] // 8)
