"""Decoding: the bytes of a JPEG or PNG to upright RGB pixels, within limits that are checked first.

What reaches a decoder is what ``outline`` left of the file, in one of two formats; Pillow's decoders are called by
their own classes and not through ``PIL.Image.open``, which guesses among many formats and has a pixel limit of its own
that is global to the process.

A sound JPEG of usual colours is decoded by libjpeg-turbo straight into the array. Pillow runs the same library, row by
row into an image of its own with four bytes a pixel, which is copied twice before it is an array: the pixels are the
same, the time is 1.4 to 2 times as long. It stays for every JPEG that makes libjpeg-turbo complain, so that what is
damaged is judged by one decoder only, and for PNG.

The limits hold in this process: sides, memory and the visits of a JPEG's scans are known from the file before it is
decoded, and what decoders do for a byte or a pixel is bounded. Refused: a process for decoding that could be killed. It
takes 80 MB and 10 to 20 ms more for every picture, and so for a selfie twice the time.

The worst that was constructed, of what is accepted: 4.9 s for an interlaced PNG of 10,000 × 10,000 grey pixels in 16
bits with transparency, 3.4 s for a progressive JPEG whose scans visit as much as they may, and 440 MB. An ordinary JPEG
of these sides takes 0.3 s and 65 MB, as it arrives decoded at a quarter of them.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Final

import numpy as np
import PIL.Image
import PIL.ImageChops
import simplejpeg
from numpy.typing import NDArray
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from rekognition_emulator.domain.errors import FaceError, PicturesTooMany, PictureTooCostly, PictureUnreadable
from rekognition_emulator.fair_queue import FairQueue, QueueFull
from rekognition_emulator.imaging.header import END, Outline, outline
from rekognition_emulator.telemetry.observation import stage

STORED_BYTES_MAX: Final = 400 * 2**20
"""What a decoder may hold of one picture that it cannot decode row by row. Ours: enough for every PNG of 8 bits, one
of 50 megapixels in 16 bits with transparency, and a progressive JPEG of 69 megapixels without subsampling."""

STORED_BYTES_ALONE: Final = 160 * 2**20
"""Pictures that need more than this are decoded one at a time, however many workers there are. Ours: a progressive JPEG
of 24 megapixels and a PNG of 40 stay below."""

TURN_SECONDS_MAX: Final = 20.0
"""How long such a picture waits for its turn, without a worker. Ours: then it is AWS's answer to too many, and the SDK
sends it again."""

DETECTION_SIDE_PX: Final = 1920
"""A picture is shrunk only as far as its longest side keeps this. Source: AWS promises to find faces of 40 px in
1920 × 1080 and larger ones in proportion, so that every face it promises keeps 40 px."""

SHRINKS: Final = (4, 2)
"""By what a side may be divided. JPEG decodes at 1/2, 1/4 and 1/8 for a fraction of the work; 1/8 of the largest side
would be too small. The longest side ends below twice ``DETECTION_SIDE_PX``, PNG or JPEG."""

UPRIGHT: Final = {
    2: (1, -1),
    3: (-1, -1),
    4: (-1, 1),
    5: (1, 1),
    6: (1, -1),
    7: (-1, -1),
    8: (-1, 1),
}
"""What turns a picture of this EXIF orientation upright: the directions in which its rows and its columns are read, for
``SIDEWAYS`` ones after the two have changed places. Source: Exif 2.3, tag 0x0112."""

SIDEWAYS: Final = frozenset((5, 6, 7, 8))
"""Orientations in which width and height change places."""

STRAIGHT_SCANS_MAX: Final = 12
"""Scans of a JPEG that is tried without Pillow first. libjpeg's own scripts have ten at most; a damaged file is decoded
twice, and what has many scans takes seconds once."""

STRAIGHT_COLOURS: Final = frozenset(("RGB", "YCbCr", "Gray"))
"""Of such a JPEG, as simplejpeg calls them; inks come in two polarities, which ``_flatten`` tells apart."""

CONTINUATIONS: Final = tuple(
    b"".join(bits + b"\xff" + bytes([restart]) for restart in range(0xD0, 0xD8))
    for bits in (b"\xff\0" * 32, b"\xaa" * 32, b"\x96" * 32)
)
"""What compressed data might go on with, be it in the middle of a block or where a restart is due. All begin with a set
bit, where a decoder that has run out assumes none. Ours; one less than ``DECODES_WITHOUT_END``."""

STRIP_PX: Final = 128
"""Rows converted at once; a multiple of every shrink."""


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A decoded picture, upright.

    Attributes:
        pixels: (h, w, 3) uint8, RGB, read-only. A large picture is decoded at a fraction of its size.
        width_px: of the upright picture as it was sent; ratios refer to it.
        height_px: likewise.
        halvings: n → the pixels halved n times, as far as a network has asked for them; kept here so that detector and
            embedder share them.
    """

    pixels: NDArray[np.uint8]
    width_px: int
    height_px: int
    halvings: dict[int, NDArray[np.uint8]] = field(default_factory=dict, init=False, repr=False)


def decode(picture: bytes) -> Image:
    """Decodes a JPEG or PNG: the first picture of several, upright, over white where transparent.

    16-bit samples are scaled to 8. Colour profiles are ignored, as the networks were trained on pixels read so.

    Raises:
        PictureUnreadable: another format, or damaged.
        PictureTooSmall: a side under 80 px.
        PictureTooLarge: a side over 10,000 px.
        PictureTooCostly: decoding it takes too much memory or time.
        PicturesTooMany: there are others of its kind before it; later it may be decoded.
    """
    with stage("decode"):
        return _decode(picture)


def _decode(picture: bytes) -> Image:
    known = outline(picture)
    if known.stored_bytes > STORED_BYTES_MAX:
        raise PictureTooCostly(f"{known.width_px} x {known.height_px} take {known.stored_bytes >> 20} MB")
    try:
        with _turn(known):
            upright = _upright(_load(known), known.orientation)
    except (FaceError, MemoryError):
        raise
    except Exception as error:  # a damaged file makes Pillow raise nearly anything, from KeyError to zlib.error
        raise PictureUnreadable(str(error)) from error
    upright.flags.writeable = False
    sides = (known.height_px, known.width_px) if known.orientation in SIDEWAYS else (known.width_px, known.height_px)
    return Image(upright, *sides)


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turns and mirrors (h, w, 3) pixels, which lie row by row, as an EXIF orientation says."""
    if orientation not in UPRIGHT:
        return pixels
    down, across = UPRIGHT[orientation]
    whole = pixels.view("V3")[..., 0]  # moving pixels instead of colours takes half the time
    turned = np.ascontiguousarray((whole.T if orientation in SIDEWAYS else whole)[::down, ::across])
    return turned.view(np.uint8).reshape(*turned.shape, 3)


_alone = FairQueue(1)


@contextmanager
def _turn(known: Outline) -> Iterator[None]:
    """Waits until no other large picture is decoded, if this is one; the worker does others' work meanwhile."""
    if known.stored_bytes <= STORED_BYTES_ALONE:
        yield
        return
    with ExitStack() as turn:
        try:
            turn.enter_context(_alone.slot_in_thread(TURN_SECONDS_MAX))
        except (TimeoutError, QueueFull) as error:
            raise PicturesTooMany(f"{known.width_px} x {known.height_px}") from error
        yield


def _shrink(known: Outline) -> int:
    """Returns by what the sides of a picture are divided."""
    return next((by for by in SHRINKS if max(known.width_px, known.height_px) // by >= DETECTION_SIDE_PX), 1)


def _load(known: Outline) -> NDArray[np.uint8]:
    """Decodes to RGB, shrunk."""
    straight = _load_straight(known)
    return np.asarray(_load_by_pillow(known)) if straight is None else straight


def _load_straight(known: Outline) -> NDArray[np.uint8] | None:
    """Decodes a JPEG as Pillow would; None where that has to."""
    file, by = known.file, _shrink(known)
    if not (file.startswith(b"\xff") and known.has_end and known.stored_bytes <= STORED_BYTES_ALONE):
        return None
    if file.count(b"\xff\xda") > STRAIGHT_SCANS_MAX:
        return None
    try:
        *_, colours, _ = simplejpeg.decode_jpeg_header(file)
        if colours not in STRAIGHT_COLOURS:
            return None
        # The scale is the least of libjpeg's that leaves so much.
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            file, "RGB", min_height=-(-known.height_px // by), min_width=-(-known.width_px // by)
        )
    except (ValueError, KeyError):  # whatever libjpeg warns of, and a way of thinning colours out that has no name
        return None
    return pixels


def _load_by_pillow(known: Outline) -> PIL.Image.Image:
    width_px, height_px, shrink = known.width_px, known.height_px, _shrink(known)
    if known.file.startswith(b"\xff"):
        jpeg = _load_jpeg(known.file, (width_px // shrink, height_px // shrink))
        if not known.has_end:
            _require_every_pixel(jpeg, known.file)
        return _flatten(jpeg)
    png = PngImageFile(BytesIO(known.file))
    # Strip by strip: a whole PNG of the largest size takes 400 MB, and every conversion would take as much again.
    shrunk = PIL.Image.new("RGB", (-(-width_px // shrink), -(-height_px // shrink)))
    for top in range(0, height_px, STRIP_PX):
        strip = _flatten(png.crop((0, top, width_px, min(top + STRIP_PX, height_px))))
        shrunk.paste(strip.reduce(shrink) if shrink > 1 else strip, (0, top // shrink))
    return shrunk


def _load_jpeg(file: bytes, size_px: tuple[int, int]) -> PIL.Image.Image:
    """Decodes a JPEG at the smallest of its scales that is no smaller than this, or at its own."""
    jpeg = JpegImageFile(BytesIO(file))
    jpeg.draft(None, size_px)
    jpeg.load()
    return jpeg


def _require_every_pixel(jpeg: PIL.Image.Image, file: bytes) -> None:
    """Returns if nothing but the end is missing of a JPEG whose end was missing.

    A decoder that runs out of bits goes on with zeros, and then with grey. If other bits in their place make no
    difference, then none was wanted. Of 15,000 files that were cut too early one passes, with a little less in its last
    blocks.

    Raises:
        PictureUnreadable: its data end too early.
    """
    pixels = np.asarray(jpeg)
    for bits in CONTINUATIONS:
        if np.any(pixels != np.asarray(_load_jpeg(file.removesuffix(END) + bits + END, jpeg.size))):
            raise PictureUnreadable("truncated")


def _flatten(image: PIL.Image.Image) -> PIL.Image.Image:
    """Converts any mode to RGB."""
    if image.mode == "I;16":
        # Pillow's own conversion clips at 255.
        image = PIL.Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode == "CMYK" and "adobe" not in image.info:
        # Inks are stored inverted by Adobe's programs only, and Pillow undoes it for everybody.
        image = PIL.ImageChops.invert(image)
    if image.has_transparency_data:
        transparent = image.convert("RGBA")
        white = PIL.Image.new("RGB", image.size, "white")
        white.paste(transparent, mask=transparent)
        return white
    return image if image.mode == "RGB" else image.convert("RGB")
