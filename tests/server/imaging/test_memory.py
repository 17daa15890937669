"""Memory of decoding, measured in a process of its own."""

import os
import subprocess
import sys
from typing import Any

import pytest

from tests.support.bombs import baseline, header, png, progressive, rows
from tests.support.server import ROOT

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
