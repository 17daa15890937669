"""Decoding: the bytes of a JPEG or PNG to upright RGB pixels, within limits that are checked first.

What reaches a decoder is what ``outline`` left of the file, in one of two formats; the two decoders are called by their
own classes and not through ``PIL.Image.open``, which guesses among many formats and has a pixel limit of its own that
is global to the process.

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
from numpy.typing import NDArray
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from rekognition_emulator.faces.errors import FaceError, PicturesTooMany, PictureTooCostly, PictureUnreadable
from rekognition_emulator.faces.outline import END, Outline, outline
from rekognition_emulator.fair_queue import FairQueue, QueueFull
from rekognition_emulator.observation import stage

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
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
"""What turns a picture of this EXIF orientation upright. Source: Exif 2.3, tag 0x0112."""

SIDEWAYS: Final = frozenset((5, 6, 7, 8))
"""Orientations in which width and height change places."""

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
            decoded = _load(known)
        turn = UPRIGHT.get(known.orientation)
        upright = decoded.transpose(turn) if turn is not None else decoded
    except (FaceError, MemoryError):
        raise
    except Exception as error:  # a damaged file makes Pillow raise nearly anything, from KeyError to zlib.error
        raise PictureUnreadable(str(error)) from error
    sides = (known.height_px, known.width_px) if known.orientation in SIDEWAYS else (known.width_px, known.height_px)
    return Image(np.asarray(upright), *sides)


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


def _load(known: Outline) -> PIL.Image.Image:
    """Decodes to RGB, shrunk."""
    width_px, height_px = known.width_px, known.height_px
    shrink = next((by for by in SHRINKS if max(width_px, height_px) // by >= DETECTION_SIDE_PX), 1)
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
