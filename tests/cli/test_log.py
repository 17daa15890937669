import socket
import subprocess
import sys

from tests.server import ROOT

WRITER = """
import structlog
from rekognition_emulator.cli.log import configure_logging
configure_logging("info")
for number in range(3):
    structlog.get_logger().info("a line", number=number)
"""


def test_each_line_is_written_in_one_piece() -> None:
    """So lines of several processes that write to one stream stay apart."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)  # keeps apart what is written apart
    with ours, theirs:
        subprocess.run([sys.executable, "-c", WRITER], stderr=theirs.fileno(), cwd=ROOT, check=True, timeout=60)
        ours.setblocking(False)
        pieces = [ours.recv(65_536) for _ in range(3)]
    assert [piece[-1:] for piece in pieces] == [b"\n"] * 3
    assert [b'"number": %d' % number in piece for number, piece in enumerate(pieces)] == [True] * 3
