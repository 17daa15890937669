import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageChops
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rekognition_emulator.domain.errors import FaceError, PictureTooLarge, PictureTooSmall, PictureUnreadable
from rekognition_emulator.imaging import image as decoding
from rekognition_emulator.imaging.header import outline
from rekognition_emulator.imaging.image import DETECTION_SIDE_PX, Image, decode

_ORIENTATION = 0x0112


def _scene(width: int = 120, height: int = 90) -> PIL.Image.Image:
    """A smooth picture without any symmetry: red grows to the right, green downwards, blue sits in one corner."""
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    blue = np.where((across < 60) & (down < 60), 200, 30)
    return PIL.Image.fromarray(np.stack([across, down, blue], axis=2).astype(np.uint8))


def _file(picture: PIL.Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def _png(side: int, depth: int, colour: int, row: bytes, *, transparent: bytes = b"") -> bytes:
    """A PNG of equal rows, for the kinds that Pillow does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, 0)
    transparency = chunk(b"tRNS", transparent) if transparent else b""
    rows = zlib.compress((b"\0" + row) * side)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + transparency + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def test_png_arrives_exactly_as_it_was_written() -> None:
    """The pixels are RGB, uint8, contiguous, and those of the file."""
    image = decode(_file(_scene()))
    assert image.pixels.dtype == np.uint8
    assert image.pixels.flags.c_contiguous
    assert (image.width_px, image.height_px) == (120, 90)
    np.testing.assert_array_equal(image.pixels, np.asarray(_scene()))


def _exif(orientation: int) -> PIL.Image.Exif:
    exif = PIL.Image.Exif()
    exif[_ORIENTATION] = orientation
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_out_upright(orientation: int) -> None:
    """What a camera stored turned or mirrored is undone, and the sides are those of the upright picture."""
    undone_by = [None, None, 0, 3, 1, 5, 2, 6, 4][orientation]  # the inverse of what a viewer has to do
    stored = _scene() if undone_by is None else _scene().transpose(PIL.Image.Transpose(undone_by))
    image = decode(_file(stored, "JPEG", exif=_exif(orientation), quality=95, subsampling=0))
    assert (image.width_px, image.height_px) == (120, 90)
    assert _difference(image.pixels, np.asarray(_scene())) < 3


@pytest.mark.parametrize("orientation", range(2, 9))
def test_an_orientation_in_a_png_turns_nothing(orientation: int) -> None:
    """AWS corrects the orientation of JPEG alone, so that boxes are in the frame of a PNG's stored pixels."""
    image = decode(_file(_scene(), exif=_exif(orientation)))
    assert (image.width_px, image.height_px) == (120, 90)
    np.testing.assert_array_equal(image.pixels, np.asarray(_scene()))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_spoil_a_picture() -> None:
    """A camera's broken notes leave the picture as it is stored."""
    image = decode(_file(_scene(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage"))
    assert (image.width_px, image.height_px) == (120, 90)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "PA", "RGBA", "I;16"])
def test_every_png_mode_becomes_rgb(mode: str) -> None:
    """Grey, palette, alpha, 1 and 16 bits all show the same grey ramp."""
    ramp = _scene().getchannel(0)
    if mode == "I;16":
        stored = PIL.Image.fromarray(np.asarray(ramp).astype(np.uint16) * 257)
    elif mode == "PA":
        stored = ramp.convert("P")
        stored.info["transparency"] = bytes([255] * 256)
    else:
        stored = ramp.convert(mode)
    tolerance = 90 if mode == "1" else 1  # one bit is dithered
    image = decode(_file(stored))
    assert image.pixels.shape == (90, 120, 3)
    assert _difference(image.pixels, np.asarray(ramp.convert("RGB"))) < tolerance


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        pytest.param(_png(80, 16, 0, b"\x80\x00" * 80), 128, id="grey16"),
        pytest.param(_png(80, 16, 2, b"\x80\x00" * 240), 128, id="rgb16"),
        pytest.param(_png(80, 16, 4, b"\x80\x00" * 160), 191, id="grey16-half-transparent"),
        pytest.param(_png(80, 16, 6, b"\x80\x00" * 320), 191, id="rgb16-half-transparent"),
        pytest.param(_png(80, 8, 2, b"\x80" * 240, transparent=b"\0\x80" * 3), 255, id="rgb8-one-colour-transparent"),
        pytest.param(_png(80, 16, 2, b"\x80\x00" * 240, transparent=b"\0\x01" * 3), 128, id="rgb16-other-colour"),
        pytest.param(_png(80, 4, 0, b"\xff" * 40), 255, id="grey4"),
    ],
)
def test_rare_png_samples_are_scaled_and_shown_over_white(picture: bytes, expected: int) -> None:
    """16-bit samples are scaled, not clipped, and what is transparent shows white."""
    assert decode(picture).pixels[40, 40].tolist() == [expected] * 3


def test_four_inks_are_read_with_and_without_adobe() -> None:
    """Only Adobe's programs store inks inverted, and their files say so."""
    inks = _scene().convert("CMYK")
    of_adobe = _file(inks, "JPEG", quality=95)
    inverted = _file(PIL.ImageChops.invert(inks), "JPEG", quality=95)
    mark = inverted.index(b"\xff\xee")
    of_others = inverted[:mark] + inverted[mark + 16 :]
    for picture in (of_adobe, of_others):
        assert _difference(decode(picture).pixels, np.asarray(_scene())) < 3


@pytest.mark.parametrize("kind", ["MPO", "PNG"])
def test_first_of_several_pictures_is_taken(kind: str) -> None:
    """Phones write several pictures into one JPEG, and a PNG may be animated."""
    others = [PIL.Image.new("RGB", (120, 90), colour) for colour in ("red", "lime")]
    image = decode(_file(_scene(), kind, save_all=True, append_images=others))
    assert _difference(image.pixels, np.asarray(_scene())) < 6


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 90}), ("PNG", {"compress_level": 1})])
@pytest.mark.parametrize(
    ("side_px", "decoded_px"), [(3839, 3839), (3840, 1920), (7679, 3840), (7680, 1920), (10_000, 2500)]
)
def test_large_pictures_arrive_shrunk(kind: str, options: dict[str, object], side_px: int, decoded_px: int) -> None:
    """The longest side keeps what detection needs and never twice that; the sides reported are those sent."""
    image = decode(_file(_scene(80, 120).resize((80, side_px)), kind, **options))
    assert image.pixels.shape[0] == decoded_px
    assert decoded_px >= DETECTION_SIDE_PX
    assert (image.width_px, image.height_px) == (80, side_px)


@pytest.mark.parametrize("mode", ["P", "1", "I;16", "LA", "RGBA", "RGB"])
def test_a_large_png_shrinks_in_every_mode(mode: str) -> None:
    """Shrinking strip by strip leaves no seam and no gap, in modes that Pillow itself cannot shrink as well."""
    scene = _scene(400, 4100)
    grey = np.asarray(scene.convert("L"))
    stored = PIL.Image.fromarray(grey.astype(np.uint16) * 257) if mode == "I;16" else scene.convert(mode)
    shown = scene if mode in {"P", "RGBA", "RGB"} else PIL.Image.fromarray(grey).convert("RGB")
    image = decode(_file(stored))
    assert image.pixels.shape == (2050, 200, 3)
    if mode == "RGB":
        np.testing.assert_array_equal(image.pixels, np.asarray(shown.reduce(2)))
    # Averages over blocks, so that the dots of one bit and of a palette do not count.
    coarse = [np.asarray(each.reduce(by)) for each, by in ((PIL.Image.fromarray(image.pixels), 10), (shown, 20))]
    assert np.abs(coarse[0].astype(int) - coarse[1].astype(int)).max(axis=2).mean() < (25 if mode == "P" else 3)


@pytest.mark.parametrize(
    ("width", "height", "error"),
    [
        (79, 80, PictureTooSmall),
        (80, 79, PictureTooSmall),
        (10_001, 80, PictureTooLarge),
        (80, 10_001, PictureTooLarge),
        (2**31 - 1, 2**31 - 1, PictureTooLarge),
    ],
)
def test_sides_are_judged_by_the_header_alone(width: int, height: int, error: type[FaceError]) -> None:
    """A header that claims too little or too much is refused although no pixel follows it."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    header = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    with pytest.raises(error):
        decode(b"\x89PNG\r\n\x1a\n" + header + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT")))


def test_smallest_sides_pass() -> None:
    """80 px is enough."""
    assert decode(_file(_scene(80, 80))).pixels.shape == (80, 80, 3)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "WEBP", "TIFF"])
def test_other_formats_are_refused(kind: str) -> None:
    """Pillow could read them; the service does not."""
    with pytest.raises(PictureUnreadable):
        decode(_file(_scene(), kind))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.9])
def test_a_truncated_picture_is_refused(kind: str, share: float) -> None:
    """Half a picture is none: the lower half would be grey, and its faces silently missing."""
    whole = _file(_scene(), kind)
    with pytest.raises(PictureUnreadable):
        decode(whole[: int(len(whole) * share)])


def _noisy(kind: str) -> PIL.Image.Image:
    """A scene of this mode that leaves no block of a JPEG empty."""
    noise = np.random.default_rng(5).normal(0, 20, (90, 120, 3))
    return PIL.Image.fromarray((np.asarray(_scene()) + noise).clip(0, 255).astype(np.uint8)).convert(kind)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="baseline"),
        pytest.param({"progressive": True}, id="progressive"),
        pytest.param({"optimize": True}, id="optimised"),
        pytest.param({"quality": 95, "subsampling": 0}, id="fine"),
        pytest.param({"restart_marker_rows": 1}, id="restarts"),
    ],
)
def test_only_the_end_of_a_jpeg_may_be_missing(mode: str, options: dict[str, object]) -> None:
    """Without the last marker, or half of it, every pixel is there; a byte less: no pixel differs or it is refused."""
    whole = _file(_noisy(mode), "JPEG", **options)
    assert whole.endswith(b"\xff\xd9")
    for cut in (1, 2):
        np.testing.assert_array_equal(decode(whole[:-cut]).pixels, decode(whole).pixels)
    refused = 0
    for cut in range(3, 300):
        try:
            shown = decode(whole[:-cut]).pixels
        except PictureUnreadable:
            refused += 1
        else:
            np.testing.assert_array_equal(shown, decode(whole).pixels)
    assert refused >= 295  # a last byte may say no more than that nothing follows


def _by_pillow(picture: bytes) -> NDArray[np.uint8]:
    return np.asarray(decoding._load_by_pillow(outline(picture)))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", [(120, 90), (121, 91), (83, 3841), (7681, 85)])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="baseline"),
        pytest.param({"progressive": True}, id="progressive"),
        pytest.param({"quality": 95, "subsampling": 0}, id="fine"),
        pytest.param({"subsampling": 1}, id="thinned-across"),
        pytest.param({"restart_marker_blocks": 7}, id="restarts"),
    ],
)
def test_a_sound_jpeg_shows_the_same_without_pillow(
    mode: str, size: tuple[int, int], options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every pixel at every scale: embeddings must not depend on which of the two has decoded a picture."""
    picture = _file(_noisy(mode).resize(size), "JPEG", **options)
    by_pillow = _by_pillow(picture)
    monkeypatch.setattr(decoding, "_load_by_pillow", None)
    np.testing.assert_array_equal(decode(picture).pixels, by_pillow)


def test_a_damaged_jpeg_is_judged_by_pillow_alone() -> None:
    """Some damage leaves pixels that Pillow shows; what libjpeg-turbo thinks of it changes nothing."""
    whole = _file(_noisy("RGB"), "JPEG")
    random = np.random.default_rng(3)
    shown = 0
    for _ in range(60):
        spoilt = bytearray(whole)
        at = int(random.integers(len(whole) // 3, len(whole) - 8))
        spoilt[at : at + 4] = random.bytes(4)
        try:
            expected = _by_pillow(bytes(spoilt))
        except (OSError, FaceError):
            with pytest.raises(PictureUnreadable):
                decode(bytes(spoilt))
        else:
            np.testing.assert_array_equal(decode(bytes(spoilt)).pixels, expected)
            shown += 1
    assert shown > 10


def test_a_jpeg_of_many_scans_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it is damaged as well, a first try would double the longest time that a picture may take."""
    whole = _file(_noisy("RGB"), "JPEG", progressive=True)
    first = whole.index(b"\xff\xda")
    again = whole[first : whole.index(b"\xff", first + 2)]
    many = whole[:-2] + again * decoding.STRAIGHT_SCANS_MAX + whole[-2:]
    monkeypatch.setattr(simplejpeg, "decode_jpeg", None)
    assert decode(many).pixels.shape == (90, 120, 3)


def test_a_progressive_jpeg_that_ends_between_two_scans_is_truncated() -> None:
    """Every scan is whole and so is the file, but for the refinements that never came."""
    whole = _file(_noisy("RGB"), "JPEG", progressive=True)
    scans = [at for at in range(len(whole)) if whole.startswith(b"\xff\xda", at)]
    tables = [whole.rfind(b"\xff\xc4", 0, at) for at in scans[1:]]  # each scan's own code stands before it
    assert len(scans) > 5
    for cut in (*scans[1:], *tables):
        with pytest.raises(PictureUnreadable):
            decode(whole[:cut])


def test_the_end_may_be_missing_of_a_picture_that_is_shrunk() -> None:
    """Both continuations are compared at the scale at which the picture is looked at."""
    whole = _file(_noisy("RGB").resize((120, 3840)), "JPEG")
    np.testing.assert_array_equal(decode(whole[:-2]).pixels, decode(whole).pixels)
    with pytest.raises(PictureUnreadable):
        decode(whole[:-200])


_SEEDS = [
    _file(_scene(), "JPEG"),
    _file(_scene(), "JPEG", progressive=True),
    _file(_scene().convert("CMYK"), "JPEG"),
    _file(_scene().convert("RGBA")),
    _file(_scene().convert("P")),
    _file(_scene(), save_all=True, append_images=[_scene().convert("L").convert("RGB")]),
]


@pytest.mark.filterwarnings("ignore")  # Pillow's, about the damage
@settings(max_examples=400, deadline=None)
@given(
    seed=st.sampled_from(_SEEDS),
    wounds=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), max_size=6),
    cut=st.one_of(st.none(), st.floats(0, 1)),
)
def test_no_bytes_whatever_escape_as_another_error(
    seed: bytes, wounds: list[tuple[float, bytes]], cut: float | None
) -> None:
    """A damaged picture either decodes within the limits or is refused by an error of ours."""
    picture = bytearray(seed)
    for place, wound in wounds:
        at = int(place * len(picture))
        picture[at : at + len(wound)] = wound
    if cut is not None:
        del picture[int(cut * len(picture)) :]
    try:
        image = decode(bytes(picture))
    except (PictureUnreadable, PictureTooSmall, PictureTooLarge):
        return
    assert image.pixels.ndim == 3
    assert max(image.pixels.shape) < 2 * DETECTION_SIDE_PX + 1


@given(st.binary(max_size=200))
def test_noise_after_the_magic_is_refused(noise: bytes) -> None:
    """Neither nothing nor noise is a picture, with or without the first bytes of one."""
    for magic in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"):
        with pytest.raises(FaceError):
            decode(magic + noise)


def _photograph(folder: Path) -> Callable[[str], Image]:
    return lambda name: decode((folder / name).read_bytes())


def test_broken_photographs_are_refused(faces_dir: Path) -> None:
    """Corrupted, empty and truncated files are unreadable, a tiny one too small."""
    read = _photograph(faces_dir)
    for path in sorted((faces_dir / "broken").iterdir()):
        with pytest.raises(PictureUnreadable):
            read(f"broken/{path.name}")
    with pytest.raises(PictureTooSmall):
        read("noface/ed_32x24.jpg")


def test_every_format_of_one_photograph_shows_the_same(faces_dir: Path) -> None:
    """Inks, palette, grey and a progressive JPEG differ from each other by no more than their loss."""
    read = _photograph(faces_dir)
    upright = read("formats/progressive.jpg").pixels
    grey = np.asarray(PIL.Image.fromarray(upright).convert("L").convert("RGB"))
    assert _difference(read("formats/cmyk.jpg").pixels, upright) < 3
    assert _difference(read("formats/palette.png").pixels, upright) < 10
    assert _difference(read("formats/gray.jpg").pixels, grey) < 3
    assert _difference(read("formats/gray.png").pixels, grey) < 3


@pytest.mark.parametrize("orientation", range(2, 9))
def test_photographs_turned_by_exif_are_upright(faces_dir: Path, orientation: int) -> None:
    """All eight ways of storing one photograph give the same picture."""
    read = _photograph(faces_dir)
    upright, turned = read("formats/progressive.jpg"), read(f"rotated/exif_{orientation}.jpg")
    assert (turned.width_px, turned.height_px) == (upright.width_px, upright.height_px)
    assert _difference(turned.pixels, upright.pixels) < 5
