import json
import socket
import subprocess
import sys
from typing import Any

from tests.support.server import ROOT

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


LIBRARIES = """
import asyncio, gc, logging, threading, warnings
import structlog
from rekognition_emulator.cli.log import configure_logging
configure_logging("info")

class Odd(Exception):
    def __str__(self): return "refused\\nDETAIL: row (1, [0.25])"

def fail():
    raise Odd

class Late:
    def __del__(self): fail()

async def leave():
    asyncio.get_running_loop().create_task(wait())
    await asyncio.sleep(0.01)

async def wait():
    fail()

structlog.get_logger().info("ours")
for name in ("psycopg.pool", "botocore.credentials", "uvicorn.error", "asyncio"):
    logging.getLogger(name).error("a %s\\nDETAIL: row (1, [0.25])", "line")
logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
logging.getLogger("botocore").info("of no interest")
try:
    fail()
except Odd:
    logging.getLogger("psycopg.pool").warning("with a traceback", exc_info=True)
warnings.warn("old")
thread = threading.Thread(target=fail, name="worker")
thread.start()
thread.join()
Late()
asyncio.run(leave())
gc.collect()
fail()
"""


def test_lines_of_libraries_are_lines_of_json() -> None:
    """Also warnings and what nobody has caught, each in one line, and no more of an exception than of our own."""
    done = subprocess.run(
        [sys.executable, "-c", LIBRARIES], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stderr.splitlines()]
    assert (done.returncode, done.stdout) == (1, "")
    told = [(line["level"], line.get("logger"), line["event"].removeprefix("<string>:")) for line in lines]
    named = ("psycopg.pool", "botocore.credentials", "uvicorn.error", "asyncio")
    assert told == [
        ("info", None, "ours"),
        *(("error", name, "a line") for name in named),
        ("warning", "psycopg.pool", "with a traceback"),
        ("warning", "py.warnings", told[6][2]),
        ("critical", None, "uncaught exception"),
        ("error", None, "ignored exception"),
        ("error", "asyncio", "Task exception was never retrieved"),
        ("critical", None, "uncaught exception"),
    ]
    assert told[6][2].endswith("UserWarning: old")
    raised = [line["exception"] for line in lines if "exception" in line]
    assert len(raised) == 5
    assert all(text.endswith("Odd: refused") for text in raised)
    assert "0.25" not in done.stderr
    assert all(line["timestamp"] for line in lines)
