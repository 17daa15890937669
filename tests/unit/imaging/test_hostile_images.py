import io
import os
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import PIL.Image
import pytest

from rekognition_emulator.domain.errors import (
    FaceError,
    PicturesTooMany,
    PictureTooCostly,
    PictureTooLarge,
    PictureTooSmall,
    PictureUnreadable,
)
from rekognition_emulator.imaging import image
from rekognition_emulator.imaging.header import (
    DECODES_WITHOUT_END,
    HEADER_BYTES_MAX,
    PIECES_MAX,
    VISITS_MAX,
    orientation,
    outline,
)
from rekognition_emulator.imaging.image import STORED_BYTES_MAX, decode
from tests.support.bombs import (
    TABLES,
    baseline,
    chunk,
    empty_scan,
    frame,
    header,
    notes,
    png,
    progressive,
    rows,
    scan,
    segment,
)
from tests.support.server import ROOT


@pytest.fixture
def no_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """No picture may get as far as a decoder."""

    def fail(*_: object) -> None:
        raise AssertionError("a decoder was called")

    for name in ("JpegImageFile", "PngImageFile"):
        monkeypatch.setattr(image, name, fail)


EXPENSIVE = {
    "four-inks-in-scans": (progressive(10_000, 10_000, 0, components=4), PictureTooCostly),
    "a-thousand-scans": (progressive(4000, 4000, 1000), PictureTooCostly),
    "thirty-thousand-scans": (progressive(80, 80, 30_000), PictureTooCostly),
    "scans-between-notes": (progressive(4000, 4000, 1000, between=segment(0xFE, b"")), PictureTooCostly),
    "sequential-scans": (
        b"\xff\xd8" + TABLES + frame(0xC0, 8000, 8000) + (scan([1]) + bytes(250_000)) * 70 + b"\xff\xd9",
        PictureTooCostly,
    ),
    "large-from-nothing-jpeg": (
        b"\xff\xd8" + TABLES + frame(0xC0, 10_000, 10_000) + scan([1, 2, 3]) + b"\0\xff\xd9",
        PictureUnreadable,
    ),
    "large-from-nothing-png": (png(header(10_000, 10_000), rows(100, 100)), PictureUnreadable),
    "eight-bytes-a-pixel": (
        png(header(10_000, 10_000, 16, 6, 1), chunk(b"IDAT", bytes(800_000))),
        PictureTooCostly,
    ),
    "notes-by-the-thousand": (baseline(80, 80, segment(0xE1, b"Exif\0\0") * (PIECES_MAX + 1)), PictureUnreadable),
    "tables-by-the-thousand": (baseline(80, 80, TABLES * (HEADER_BYTES_MAX // len(TABLES) + 1)), PictureUnreadable),
    "chunks-by-the-thousand": (
        png(header(80, 80), chunk(b"tEXt", b"a\0b") * (PIECES_MAX + 1), rows(80, 80)),
        PictureUnreadable,
    ),
    "empty-pixels-by-the-thousand": (
        png(header(80, 80), chunk(b"IDAT", b"") * (PIECES_MAX + 1), rows(80, 80)),
        PictureUnreadable,
    ),
    "arithmetic-code": (baseline(80, 80, kind=0xC9), PictureUnreadable),
    "lossless": (baseline(80, 80, kind=0xC3), PictureUnreadable),
    "twelve-bits": (
        b"\xff\xd8" + TABLES + frame(0xC1, 80, 80).replace(b"\x08\0\x50", b"\x0c\0\x50") + scan([1, 2, 3]) + bytes(99),
        PictureUnreadable,
    ),
    "two-components": (b"\xff\xd8" + TABLES + frame(0xC0, 80, 80, 2) + scan([1, 2]) + bytes(99), PictureUnreadable),
    "sampled-by-nothing": (
        b"\xff\xd8" + TABLES + frame(0xC0, 80, 80, sampling=0) + scan([1, 2, 3]) + bytes(99),
        PictureUnreadable,
    ),
    "half-a-frame": (
        b"\xff\xd8" + TABLES + segment(0xC0, frame(0xC0, 80, 80)[4:-2]) + scan([1, 2, 3]) + bytes(99),
        PictureUnreadable,
    ),
    "another-frame-behind-the-first": (
        b"\xff\xd8" + TABLES + frame(0xC2, 80, 80) + baseline(10_000, 10_000)[2:],
        PictureUnreadable,
    ),
    "another-header-behind-the-first": (
        png(header(80, 80), header(10_000, 10_000), rows(80, 80)),
        PictureUnreadable,
    ),
    "a-picture-in-a-scan": (
        progressive(80, 80, 3, between=progressive(80, 80, 3)),
        PictureUnreadable,
    ),
    "no-scan": (b"\xff\xd8" + TABLES + frame(0xC0, 80, 80) + b"\xff\xd9", PictureUnreadable),
    "no-frame": (b"\xff\xd8" + TABLES + scan([1, 2, 3]) + bytes(99), PictureUnreadable),
    "no-header": (png(chunk(b"tEXt", b"a\0b"), header(80, 80), rows(80, 80)), PictureUnreadable),
    "no-pixels": (png(header(80, 80)), PictureUnreadable),
    "a-palette-of-a-megabyte": (
        png(header(80, 80, 8, 3), chunk(b"PLTE", bytes(2**20)), rows(80, 80, 8, 3)),
        PictureUnreadable,
    ),
    "an-unknown-necessity": (png(header(80, 80), chunk(b"CgBI", bytes(4)), rows(80, 80)), PictureUnreadable),
    "wide-jpeg": (baseline(10_001, 80), PictureTooLarge),
    "flat-jpeg": (b"\xff\xd8" + TABLES + frame(0xC0, 80, 0) + scan([1, 2, 3]) + bytes(99), PictureTooSmall),
    "flat-png": (png(header(80, 0), rows(80, 1)), PictureTooSmall),
}


@pytest.mark.parametrize("name", EXPENSIVE)
@pytest.mark.usefixtures("no_decoder")
def test_bombs_are_refused_before_they_are_decoded(name: str) -> None:
    """What would cost more than any sensible picture, or is none, is told from the outline of the file alone."""
    bomb, error = EXPENSIVE[name]
    with pytest.raises(error):
        decode(bomb)


FOREIGN = {
    "gif": b"GIF89a" + bytes(99),
    "webp": b"RIFF\x64\0\0\0WEBPVP8 " + bytes(99),
    "tiff": b"II*\0\x08\0\0\0" + bytes(99),
    "bmp": b"BM" + bytes(99),
    "pdf": b"%PDF-1.7\n" + baseline(80, 80),
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9999" height="9999"/>',
    "zip": b"PK\3\4" + baseline(80, 80),
    "heif": b"\0\0\0\x18ftypheic" + bytes(99),
    "psd": b"8BPS\0\1" + bytes(99),
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n{}loop",
    "nothing": b"",
    "half-a-signature": b"\x89PNG\r\n",
    "a-space-before": b" " + baseline(80, 80),
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.usefixtures("no_decoder")
def test_only_two_formats_are_let_in(name: str) -> None:
    """A file is what its first bytes say; a picture further behind does not make it one."""
    with pytest.raises(PictureUnreadable):
        decode(FOREIGN[name])


DEFLATED = zlib.compress(bytes(2**24), 9)

HARMLESS = {
    "megabytes-of-notes-jpeg": baseline(80, 80, segment(0xE1, b"Exif\0\0" + bytes(60_000)) * 200),
    "comments": baseline(80, 80, segment(0xFE, b"x" * 65_000) * 200),
    "colour-profile-that-is-none": baseline(80, 80, segment(0xE2, b"ICC_PROFILE\0\1\xff" + bytes(65_000)) * 200),
    "further-pictures-that-are-none": baseline(80, 80, segment(0xE2, b"MPF\0II*\0" + b"\xff" * 4000)),
    "photoshop": baseline(80, 80, segment(0xED, b"Photoshop 3.0\x008BIM" + b"\xff" * 60_000)),
    "padding": baseline(80, 80, b"\xff" * 2**22),
    "text-bombs": png(header(80, 80), chunk(b"zTXt", b"a\0\0" + DEFLATED) * 50, rows(80, 80)),
    "international-text-bombs": png(header(80, 80), chunk(b"iTXt", b"a\0\1\0\0\0" + DEFLATED) * 50, rows(80, 80)),
    "profile-bomb": png(header(80, 80), chunk(b"iCCP", b"a\0\0" + DEFLATED), rows(80, 80)),
    "broken-profile": png(
        header(80, 80), chunk(b"iCCP", b"\0"), chunk(b"pHYs", b""), chunk(b"gAMA", b""), rows(80, 80)
    ),
    "animated-without-frames": png(header(80, 80), chunk(b"acTL", b"\xff" * 8), rows(80, 80), chunk(b"fdAT", b"")),
    "pixels-without-end": png(
        header(80, 80), chunk(b"IDAT", zlib.compress((b"\0" + b"\x55" * 240) * 80 + bytes(2**26), 9))
    ),
    "an-archive-behind-a-jpeg": baseline(80, 80) + b"PK\3\4" + bytes(10_000),
    "a-jpeg-behind-a-png": png(header(80, 80), rows(80, 80)) + baseline(10_000, 10_000),
    "without-its-end": png(header(80, 80), rows(80, 80))[:-12],
    "with-half-an-end": png(header(80, 80), rows(80, 80), chunk(b"tEXt", b"a\0b"))[:-20],
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_makes_no_pixels_is_never_read(name: str) -> None:
    """Notes, texts, profiles, further pictures and whatever stands behind a picture reach no decoder at all."""
    stripped = outline(HARMLESS[name]).file
    assert len(stripped) < max(12_000, len(stripped.partition(b"IDAT")[2]) + 100)
    for kind in (b"Exif", b"ICC_PROFILE", b"MPF", b"8BIM", b"zTXt", b"iTXt", b"iCCP", b"acTL", b"fdAT"):
        assert kind not in stripped
    assert decode(HARMLESS[name]).pixels.shape == (80, 80, 3)


def test_only_the_first_picture_of_a_file_is_walked_through() -> None:
    """Scans of a film that a phone writes behind its picture are not counted as the picture's."""
    assert outline(progressive(800, 800, 9) + scan([1]) * 10_000).orientation == 1


def test_scans_count_by_what_they_cost() -> None:
    """A small picture may have many scans, a large one no more than encoders write."""
    decode(progressive(160, 160, 300))
    outline(progressive(6000, 6000, 18))
    blocks = 500 * 500
    most = (VISITS_MAX - 3 * blocks - 100) // (blocks + 100)
    outline(progressive(4000, 4000, most))
    with pytest.raises(PictureTooCostly):
        outline(progressive(4000, 4000, most + 1))


@pytest.mark.parametrize(
    ("file", "stored_bytes"),
    [
        (baseline(800, 600), 0),
        (progressive(800, 600, 3), 100 * 75 * 3 * 128),
        (progressive(801, 601, 3), 101 * 76 * 3 * 128),
        (png(header(800, 600), rows(800, 600)), 800 * 600 * 4),
        (png(header(800, 600, 16, 6), rows(800, 600, 16, 6)), (800 * 8 + 1) * 600),
    ],
)
def test_memory_is_known_before_decoding(file: bytes, stored_bytes: int) -> None:
    """A JPEG of one scan is decoded row by row; of several, its coefficients are kept, of a PNG its pixels."""
    assert outline(file).stored_bytes == stored_bytes


def test_subsampled_colours_take_less() -> None:
    """Half the sides of two components make a quarter of their blocks."""
    file = io.BytesIO()
    PIL.Image.new("RGB", (1600, 1600)).save(file, "JPEG", progressive=True, subsampling="4:2:0")
    assert outline(file.getvalue()).stored_bytes == 200 * 200 * 128 * 3 // 2


MEASURE = """
import re, resource, sys
from rekognition_emulator.imaging.image import decode
peak_mb = lambda: int(re.search("VmHWM:\\s+([0-9]+)", open("/proc/self/status").read())[1]) // 1024
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
picture = sys.stdin.buffer.read()
before = peak_mb()
decode(picture)
print(peak_mb() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux tells it")
@pytest.mark.parametrize(
    ("file", "mb_max"),
    [
        pytest.param(lambda: png(header(10_000, 10_000, 8, 4), rows(10_000, 10_000, 8, 4)), 450, id="png"),
        pytest.param(lambda: progressive(8300, 8300, 3), 470, id="progressive"),
        pytest.param(lambda: baseline(10_000, 10_000), 120, id="baseline"),
        pytest.param(lambda: progressive(3839, 3839, 3), 220, id="progressive-not-shrunk"),
    ],
)
def test_the_largest_pictures_take_what_they_may(file: Any, mb_max: int) -> None:
    """Of what is accepted, the worst takes about what its decoder stores, in a minute of processor time at the most."""
    run = subprocess.run(
        [sys.executable, "-c", MEASURE], input=file(), cwd=ROOT, env=os.environ, capture_output=True, check=True
    )
    assert 0 < int(run.stdout) < mb_max


@contextmanager
def taken() -> Iterator[None]:
    """Another large picture is being decoded."""
    with image._alone.slot_in_thread(1):
        yield


def test_large_pictures_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that needs much memory waits while another is decoded and is told to come again; small ones do not wait."""
    monkeypatch.setattr(image, "STORED_BYTES_ALONE", 80 * 80 * 4)
    monkeypatch.setattr(image, "TURN_SECONDS_MAX", 0.05)
    large, small = (png(header(side, side), rows(side, side)) for side in (81, 80))
    with taken():
        decode(small)
        with pytest.raises(PicturesTooMany):
            decode(large)
    decode(large)
    monkeypatch.setattr(image, "TURN_SECONDS_MAX", 10)
    with taken():
        waiting = threading.Thread(target=decode, args=(large,))
        waiting.start()
    waiting.join(10)
    assert not waiting.is_alive()


def test_a_damaged_large_picture_gives_its_turn_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong in a decoder, the next one may."""
    monkeypatch.setattr(image, "STORED_BYTES_ALONE", 0)
    monkeypatch.setattr(image, "TURN_SECONDS_MAX", 0.05)
    for _ in range(2):
        with pytest.raises(PictureUnreadable):
            decode(png(header(80, 80), chunk(b"IDAT", b"garbage" * 99)))
    decode(png(header(80, 80), rows(80, 80)))


@pytest.mark.parametrize(
    ("camera", "expected"),
    [
        *[(notes(number, order), number) for number in range(1, 9) for order in "<>"],
        (notes(0), 1),
        (notes(9), 1),
        (notes(65_535), 1),
        (notes(6, kind=4), 1),
        (notes(6, count=0), 1),
        (notes(6, count=65_535), 6),
        (notes(6, start=2**32 - 1), 1),
        (notes(6, start=0), 1),
        (notes(6)[:18], 1),
        (b"II", 1),
        (b"XX*\0" + notes(6)[4:], 1),
        (b"", 1),
    ],
)
def test_orientation_is_read_from_any_notes(camera: bytes, expected: int) -> None:
    """Either order of bytes; a number that is none, a directory that lies elsewhere or nowhere: upright as stored."""
    assert orientation(camera) == expected
    file = baseline(80, 160, segment(0xE1, b"Exif\0\0" + camera))
    assert outline(file).orientation == expected
    assert decode(file).pixels.shape == ((80, 160, 3) if expected in {5, 6, 7, 8} else (160, 80, 3))


@pytest.mark.parametrize(
    ("first", "expected"), [(notes(1), 1), (notes(6), 6), (notes(3), 3), (notes(9), 1), (b"damaged", 1), (b"", 1)]
)
def test_the_first_exif_segment_counts(first: bytes, expected: int) -> None:
    """A second one, as editors leave behind, turns nothing, whatever the first says; XMP stands in the same segment."""
    xmp = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")
    file = baseline(80, 160, xmp, *[segment(0xE1, b"Exif\0\0" + each) for each in (first, notes(8))])
    assert outline(file).orientation == expected


def test_a_picture_without_its_end_may_cost_no_more_than_another() -> None:
    """It is decoded several times, to see whether more is missing, and so its scans may visit as much less."""
    assert len(image.CONTINUATIONS) + 1 == DECODES_WITHOUT_END
    blocks = 500 * 500
    most = (VISITS_MAX // DECODES_WITHOUT_END - 3 * blocks - 100) // (blocks + 100)
    with pytest.raises(PictureUnreadable, match="between two scans"):  # the builder never completes the means
        outline(progressive(4000, 4000, most)[:-2])
    with pytest.raises(PictureTooCostly):
        outline(progressive(4000, 4000, most + 1)[:-2])


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize(("depth", "colour"), [(1, 0), (16, 0), (8, 2), (16, 2), (4, 3), (16, 4), (8, 6), (16, 6)])
def test_pixels_may_be_missing_but_never_many(depth: int, colour: int, interlace: int) -> None:
    """A PNG whose pixels end early, or are of no valid kind, is refused or shown, by an error of ours alone."""
    for invalid in (depth, 3):
        try:
            decode(png(header(90, 90, invalid, colour, interlace), rows(90, 80, depth, colour)))
        except FaceError:
            continue


def test_a_progressive_picture_is_whole() -> None:
    """What the outline leaves of a real progressive JPEG decodes to the very pixels that all of it decodes to."""
    across, down = np.meshgrid(np.linspace(0, 255, 120), np.linspace(0, 255, 90))
    scene = PIL.Image.fromarray(np.stack([across, down, across], axis=2).astype(np.uint8))
    file = io.BytesIO()
    scene.save(file, "JPEG", progressive=True, comment=b"\xff\xda" * 99, icc_profile=bytes(200_000), xmp=b"x" * 999)
    np.testing.assert_array_equal(decode(file.getvalue()).pixels, np.asarray(PIL.Image.open(file).convert("RGB")))
    assert b"\xff\xda\xff\xda" not in outline(file.getvalue()).file


def test_nothing_is_empty() -> None:
    """The builder of these tests tells the truth: its empty scans are valid, whatever the number of blocks."""
    for side in (80, 800, 2000):
        assert decode(progressive(side, side, 4)).pixels.min() == decode(progressive(side, side, 0)).pixels.max()
    assert empty_scan(1) == b"\x0f"
    assert STORED_BYTES_MAX >= 10_000 * 10_000 * 4
