"""The images that cases send.

The suite carries no photographs: all are made from one public-domain portrait, ``skimage.data.astronaut()``, when first
wanted. In a request a picture stands for an ``Image`` with its bytes.
"""

import struct
import zlib
from collections.abc import Callable
from functools import cache, partial
from io import BytesIO
from typing import Any, Final

import skimage.data
from PIL import Image, ImageFilter, ImageOps
from PIL.ExifTags import Base

from conformance.service import Given

BYTES_MAX: Final = 5 * 2**20
"""Of a picture that is sent in the request. Source: the API model."""

COMMENT_BYTES_MAX: Final = 65_000
"""Of a JPEG's comment with its marker; the format allows 65,537."""

GREY: Final = (128, 128, 128)
JPEG_START: Final = b"\xff\xd8"
PNG_START: Final = b"\x89PNG\r\n\x1a\n"


def _picture(name: str, make: Callable[[], bytes]) -> Given:
    return Given(name, lambda _: {"Bytes": make()})


def jpeg(image: Image.Image, **options: Any) -> bytes:  # noqa: ANN401 # as Pillow takes them
    """Returns the picture as JPEG, small enough to be sent hundreds of times."""
    return encoded(image, "JPEG", quality=90, **options)


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:  # noqa: ANN401 # as Pillow takes them
    """Returns the picture as a file of any format."""
    file = BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


@cache
def portrait() -> Image.Image:
    """Returns 260 × 260 pixels with one face, upright, about 100 pixels wide."""
    return Image.fromarray(skimage.data.astronaut()).crop((90, 0, 350, 260))


def stranger() -> Image.Image:
    """Returns the portrait made broader and mirrored: another face, for what cases need of one."""
    return ImageOps.mirror(portrait().resize((320, 240)))


def canvas(width_px: int, height_px: int, *parts: tuple[Image.Image, tuple[int, int]]) -> Image.Image:
    """Returns a grey picture with others pasted at these (left, top)."""
    board = Image.new("RGB", (width_px, height_px), GREY)
    for part, corner in parts:
        board.paste(part, corner)
    return board


def pair() -> Image.Image:
    """Returns two faces far apart; the larger one is on the right."""
    return canvas(760, 320, (stranger().resize((200, 150)), (20, 60)), (portrait().resize((312, 312)), (420, 4)))


def oriented(orientation: int) -> bytes:
    """Returns the portrait stored turned or mirrored, with the EXIF orientation that makes it upright again."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    # Not square, so that width and height are seen to be exchanged.
    wide = canvas(400, 260, (portrait(), (0, 0)))
    return jpeg(wide.transpose(undo[orientation]), exif=exif)


def turned_png(orientation: int) -> bytes:
    """Returns the portrait, upright, in a PNG that claims this EXIF orientation."""
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    return encoded(canvas(400, 260, (portrait(), (0, 0))), "PNG", exif=exif)


def oriented_twice(first: int, second: int) -> bytes:
    """Returns the portrait stored as ``first`` says, with another EXIF segment behind that one."""
    file, other = oriented(first), oriented(second)
    segments = []
    for each in (file, other):
        start = each.index(b"\xff\xe1")
        segments.append((start, start + 2 + int.from_bytes(each[start + 2 : start + 4])))
    (_, end), (start, stop) = segments
    return file[:end] + other[start:stop] + file[end:]


def padded(size_bytes: int) -> bytes:
    """Returns the portrait as a JPEG of exactly this length, grown by comments."""
    start, rest = jpeg(portrait())[:2], jpeg(portrait())[2:]
    missing = size_bytes - len(start) - len(rest)
    comments = []
    while missing:
        # A comment takes four bytes at least, so the last but one leaves as many.
        length = missing if missing <= COMMENT_BYTES_MAX else min(COMMENT_BYTES_MAX, missing - 4)
        comments.append(b"\xff\xfe" + struct.pack(">H", length - 2) + bytes(length - 4))
        missing -= length
    return start + b"".join(comments) + rest


def png_header_only(width_px: int, height_px: int) -> bytes:
    """Returns a PNG that claims a size and holds hardly any pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    return PNG_START + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def _flat(width_px: int, height_px: int) -> Callable[[], bytes]:
    return lambda: encoded(Image.new("L", (width_px, height_px), 128), "PNG")


def _noise() -> bytes:
    return jpeg(Image.effect_noise((200, 200), 60).convert("RGB"))


def _crowded(count: int) -> bytes:
    small = portrait().crop((50, 0, 220, 200)).resize((85, 100))
    parts = [(small, (i % 4 * 130 + 20, i // 4 * 130 + 15)) for i in range(count)]
    return jpeg(canvas(540, 270, *parts))


def _hundreds() -> bytes:
    small = portrait().crop((50, 0, 220, 200)).resize((85, 100))
    parts = [(small, (column * 100 + 7, row * 115 + 7)) for column in range(12) for row in range(9)]
    return jpeg(canvas(1200, 1035, *parts))


def _grey_16_bit() -> bytes:
    return encoded(portrait().convert("L").convert("I").point(lambda value: value * 257).convert("I;16"), "PNG")


def _see_through() -> Image.Image:
    clear = portrait().convert("RGBA")
    clear.putalpha(255)
    return clear


PORTRAIT: Final = _picture("portrait", lambda: jpeg(portrait()))
MIRRORED: Final = _picture("mirrored", lambda: jpeg(ImageOps.mirror(portrait())))
STRANGER: Final = _picture("stranger", lambda: jpeg(stranger()))
PAIR: Final = _picture("pair", lambda: jpeg(pair()))
CROWD: Final = _picture("crowd", lambda: _crowded(8))
HUNDRED_AND_EIGHT: Final = _picture("hundred-and-eight", _hundreds)
NOISE: Final = _picture("noise", _noise)
FLAT: Final = _picture("flat", _flat(100, 100))
SMALL_FACE: Final = _picture("small-face", lambda: jpeg(canvas(640, 640, (portrait().resize((150, 150)), (240, 240)))))
BLURRED: Final = _picture("blurred", lambda: jpeg(portrait().filter(ImageFilter.GaussianBlur(5))))
DARK: Final = _picture("dark", lambda: jpeg(portrait().point(lambda value: value // 6)))
CUT: Final = _picture("cut", lambda: jpeg(portrait().crop((130, 0, 260, 260))))
COMMENTED: Final = _picture("commented", lambda: jpeg(portrait(), comment=b"the same pixels in another file"))
LARGEST_BYTES: Final = _picture("largest-bytes", lambda: padded(BYTES_MAX))
TOO_MANY_BYTES: Final = Given("too-many-bytes", lambda _: {"Bytes": padded(BYTES_MAX + 1)})
NOTHING: Final = Given("nothing", lambda _: {})
NO_BYTES: Final = _picture("no-bytes", lambda: b"")

READABLE: Final = {
    "JPEG": PORTRAIT,
    "grey JPEG": _picture("grey-jpeg", lambda: jpeg(portrait().convert("L"))),
    "CMYK JPEG": _picture("cmyk-jpeg", lambda: jpeg(portrait().convert("CMYK"))),
    "progressive JPEG": _picture("progressive-jpeg", lambda: jpeg(portrait(), progressive=True)),
    "JPEG without subsampling": _picture("444-jpeg", lambda: jpeg(portrait(), subsampling=0)),
    "JPEG of several pictures": _picture(
        "mpo", lambda: encoded(portrait(), "MPO", save_all=True, append_images=[portrait().resize((130, 130))])
    ),
    "JPEG with bytes after its end": _picture("jpeg-with-tail", lambda: jpeg(portrait()) + bytes(1000)),
    "PNG": _picture("png", lambda: encoded(portrait(), "PNG")),
    "grey PNG": _picture("grey-png", lambda: encoded(portrait().convert("L"), "PNG")),
    "16-bit grey PNG": _picture("16-bit-png", _grey_16_bit),
    "palette PNG": _picture("palette-png", lambda: encoded(portrait().quantize(256), "PNG")),
    "PNG with an alpha channel": _picture("alpha-png", lambda: encoded(_see_through(), "PNG")),
    "grey PNG with an alpha channel": _picture("grey-alpha-png", lambda: encoded(_see_through().convert("LA"), "PNG")),
    "animated PNG": _picture(
        "animated-png", lambda: encoded(portrait(), "PNG", save_all=True, append_images=[portrait().rotate(90)])
    ),
}
"""Kinds of files that have to be read; all show the portrait."""

REFUSED: Final = {
    "GIF": _picture("gif", lambda: encoded(portrait(), "GIF")),
    "WebP": _picture("webp", lambda: encoded(portrait(), "WEBP")),
    "BMP": _picture("bmp", lambda: encoded(portrait(), "BMP")),
    "TIFF": _picture("tiff", lambda: encoded(portrait(), "TIFF")),
    "text": _picture("text", lambda: b"a portrait of a woman in a space suit"),
    "one byte": _picture("one-byte", lambda: b"\xff"),
    "the first bytes of a JPEG": _picture("jpeg-start", lambda: jpeg(portrait())[:100]),
    "the first bytes of a PNG": _picture("png-start", lambda: encoded(portrait(), "PNG")[:40]),
    "zeroes behind a JPEG's signature": _picture("jpeg-zeroes", lambda: JPEG_START + b"\xff" + bytes(500)),
}
"""Kinds of files that have to be refused: other formats, and what is no picture."""

ORIENTATIONS: Final = {number: _picture(f"exif-{number}", partial(oriented, number)) for number in range(2, 9)}
ORIENTED_TWICE: Final = {
    f"6 and then {number}": _picture(f"exif-6-{number}", partial(oriented_twice, 6, number)) for number in (3, 8)
}
TURNED_PNGS: Final = {
    f"{number}": _picture(f"png-exif-{number}", partial(turned_png, number)) for number in range(2, 9)
}
WITHOUT_END: Final = {
    "baseline": _picture("jpeg-no-end", lambda: jpeg(portrait())[:-2]),
    "progressive": _picture("progressive-no-end", lambda: jpeg(portrait(), progressive=True)[:-2]),
}
UPRIGHT: Final = _picture("exif-none", lambda: jpeg(canvas(400, 260, (portrait(), (0, 0)))))

SMALLEST: Final = _picture("80x80", _flat(80, 80))
TOO_SMALL: Final = {"79 wide": _picture("79x80", _flat(79, 80)), "79 high": _picture("80x79", _flat(80, 79))}
LARGEST: Final = {
    "10000 wide": _picture("10000x80", _flat(10_000, 80)),
    "10000 high": _picture("80x10000", _flat(80, 10_000)),
}
TOO_LARGE: Final = {
    (10_001, 80): _picture("10001x80", _flat(10_001, 80)),
    (80, 10_001): _picture("80x10001", _flat(80, 10_001)),
    (30_000, 30_000): _picture("png-bomb", lambda: png_header_only(30_000, 30_000)),
}
