"""Nothing leaves the machine unless a setting, an option or a request names where it goes.

Each kind of process is started with a new home and watched: what it leaves in that home, and whom it connects to or
looks up. ONNX Runtime is why the home is looked at: it keeps the events that it is going to send in a file there, while
the first of them is only sent after some ten seconds.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from pathlib import Path

import boto3
import PIL.Image
import psutil
import pytest

from tests.support.server import ROOT

WATCHED = ROOT / "tests" / "watched"
NETWORK_CALLS = "connect,sendto,sendmsg,sendmmsg"
DNS_PORT = 53
SENT_AFTER_S = 20.0
"""From its start, ONNX Runtime has sent its first events by then: measured, after 11 s."""

SERVER = ("-m", "rekognition_emulator")
REPORTING = """
import sys, time, numpy, onnxruntime
from onnx import TensorProto, helper
shape = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "same", shape[:1], shape[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": numpy.zeros(1, "f")})
time.sleep(float(sys.argv[1]))
"""
"""What ONNX Runtime does by itself."""


@cache
def tracer() -> tuple[str, ...]:
    """Returns the command that reports system calls, or nothing where it is not installed or not allowed."""
    strace = shutil.which("strace")
    # The former lets all other calls pass at full speed; not every kernel has it.
    for fast in (("--seccomp-bpf",), ()) if strace else ():
        command = (str(strace), "-f", *fast, "-qq", "-s", "0", "-e", f"trace={NETWORK_CALLS}")
        if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            return command
    return ()


@dataclass(frozen=True)
class Watch:
    """A new home, and notes of whom those who live in it speak to."""

    home: Path
    notes: Path
    calls: Path

    def command(self, *arguments: str) -> list[str]:
        """Returns a command that runs this Python, watched."""
        traced = (*tracer(), "-o", str(self.calls)) if tracer() else ()
        return [*traced, sys.executable, *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        """Returns what a watched process has for an environment: of ours, only where programs are."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "PYTHONPATH": str(WATCHED),
            "WATCHED_NOTES": str(self.notes),
            **more,
        }

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs a process to its end."""
        return subprocess.run(
            self.command(*arguments),
            cwd=ROOT,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    @property
    def left(self) -> list[str]:
        """What has been left in the home."""
        return sorted(str(path.relative_to(self.home)) for path in self.home.rglob("*"))

    @property
    def spoken_to(self) -> set[str]:
        """Who was connected to or looked up, but for this machine itself."""
        noted = self.notes.read_text().split() if self.notes.exists() else []
        calls = self.calls.read_text() if self.calls.exists() else ""
        return {each for each in noted if not is_here(each)} | elsewhere(calls)


def is_here(name: str) -> bool:
    """Whether it is a name or an address of this machine that nothing beyond has to be asked about."""
    if name == "localhost":
        return True
    try:
        address = ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def elsewhere(calls: str) -> set[str]:
    """Returns the addresses in lines of strace that are not of this machine; a look-up counts wherever it is made."""
    found = set()
    for line in calls.splitlines():
        address = re.search(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"', line)
        port = re.search(r"htons\((\d+)\)", line)
        if "systemd.Resolve" in line or (port and int(port[1]) == DNS_PORT):
            found.add("a name server")
        elif address and not is_here(address[1] or address[2]):
            found.add(address[1] or address[2])
    return found


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    """A watch over a new home."""
    home = tmp_path / "home"
    home.mkdir()
    return Watch(home, tmp_path / "notes", tmp_path / "calls")


@pytest.fixture
def wall(tmp_path: Path) -> Path:
    """A picture that shows nobody."""
    path = tmp_path / "album" / "nobody" / "wall.jpg"
    path.parent.mkdir(parents=True)
    PIL.Image.new("RGB", (320, 240), (190, 180, 170)).save(path)
    return path


@contextmanager
def served(watch: Watch, data_dir: Path, **environment: str) -> Iterator[str]:
    """Runs a watched server and yields its URL."""
    settings = {"REKOGNITION_DATA_DIR": str(data_dir), "REKOGNITION_PORT": "0", **environment}
    with (data_dir / "server.log").open("w") as log:
        process = subprocess.Popen(
            watch.command(*SERVER),
            cwd=ROOT,
            env=watch.environment(**settings),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout
    with process.stdout as said:
        try:
            ready = next((found for line in said if (found := re.search(r"ready on (http://\S+)", line))), None)
            assert ready, (data_dir / "server.log").read_text()
            yield ready[1]
        finally:
            # The tracer would leave it behind, were it told to stop itself.
            watched = psutil.Process(process.pid)
            (watched.children()[0] if tracer() else watched).send_signal(signal.SIGTERM)
            process.wait(30)
    assert process.returncode == 0


def index(url: str, picture: Path) -> None:
    """Has a server do its work once."""
    rekognition = boto3.client(
        "rekognition", endpoint_url=url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="a"
    )
    rekognition.create_collection(CollectionId="wedding")
    rekognition.index_faces(CollectionId="wedding", Image={"Bytes": picture.read_bytes()})


@pytest.mark.parametrize(
    ("needs", "environment"),
    [
        pytest.param((), {}, id="one process"),
        pytest.param(
            (),
            {"REKOGNITION_PROCESSES": "2", "REKOGNITION_INDEX": "faiss", "REKOGNITION_METRICS_PORT": "0"},
            id="replicas with metrics",
        ),
        pytest.param(
            ("pymilvus", "milvus_lite", "opentelemetry.sdk"),
            {"REKOGNITION_INDEX": "milvus", "REKOGNITION_OTLP_ENDPOINT": "http://127.0.0.1:9"},
            id="milvus and traces",
        ),
    ],
)
def test_a_server_keeps_to_itself(
    needs: Sequence[str], environment: dict[str, str], watch: Watch, wall: Path, new_data_dir: Callable[[], Path]
) -> None:
    """Whatever it is made of: it serves, and speaks to nobody but its callers and its database."""
    for module in needs:
        pytest.importorskip(module, reason="an extra")
    with served(watch, new_data_dir(), **environment) as url:
        index(url, wall)
    assert watch.left == []
    assert watch.spoken_to == set()


def test_a_command_that_indexes_keeps_to_the_server_that_is_named(
    watch: Watch, wall: Path, new_data_dir: Callable[[], Path], tmp_path: Path
) -> None:
    """So does boto3 in it, which would otherwise ask the cloud's own addresses for credentials."""
    beside = Watch(watch.home, tmp_path / "server-notes", tmp_path / "server-calls")
    keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}
    with served(beside, new_data_dir()) as url:
        album = ("index-album", str(wall.parents[1]), "--collection", "wedding", "--endpoint-url", url)
        ended = watch.run(*SERVER, *album, **keys)
    assert ended.returncode == 0, ended.stderr
    assert watch.left == []
    assert watch.spoken_to == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ("models", "list"),
        ("keys", "create", "backend", "--policy", "full"),
        ("evaluate", "--album", "{album}"),
        ("calibrate", "--album", "{album}"),
    ],
    ids=" ".join,
)
def test_a_command_keeps_to_itself(
    arguments: Sequence[str], watch: Watch, wall: Path, new_data_dir: Callable[[], Path]
) -> None:
    """Also where it loads the networks, or starts the database."""
    given = [each.format(album=wall.parents[1]) for each in arguments]
    ended = watch.run(*SERVER, *given, REKOGNITION_DATA_DIR=str(new_data_dir()))
    assert "Traceback" not in ended.stderr
    assert watch.left == []
    assert watch.spoken_to == set()


def test_the_demo_keeps_to_itself(watch: Watch) -> None:
    """Nobody in it is fetched from anywhere."""
    pytest.importorskip("skimage", reason="people are made up from scikit-image's portrait")
    ended = watch.run("-m", "rekognition_emulator.demo")
    assert ended.returncode == 0, ended.stderr
    assert watch.left == []
    assert watch.spoken_to == set()


def test_tests_and_benches_keep_to_themselves(watch: Watch) -> None:
    """Whatever of ours is imported, it is in force before ONNX Runtime is."""
    imported = "import rekognition_emulator.telemetry.observation, onnxruntime"
    assert watch.run("-c", imported, ORT_DISABLE_TELEMETRY="0").returncode == 0
    assert watch.left == []
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"


def test_a_library_that_reports_is_noticed_in_the_home(watch: Watch) -> None:
    """The tests above can fail: this is what they look for."""
    assert watch.run("-c", REPORTING, "0").returncode == 0
    assert any(name.endswith("onnxruntime.db") for name in watch.left)


@pytest.mark.skipif(not tracer(), reason="strace is not installed, or may not trace")
def test_a_native_library_that_reports_is_noticed_on_the_wire(watch: Watch) -> None:
    """The same, of what it looks up."""
    assert watch.run("-c", REPORTING, str(SENT_AFTER_S)).returncode == 0
    assert watch.spoken_to == {"a name server"}


def test_python_that_reports_is_noticed(watch: Watch) -> None:
    """Without strace, too: an address that nobody has, and a name that nobody can have."""
    reporting = "import socket\ntry: socket.getaddrinfo('telemetry.invalid', 443)\nexcept OSError: pass\n"
    sending = "socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('192.0.2.1', 9))"
    assert watch.run("-c", reporting + sending).returncode == 0
    assert {"telemetry.invalid", "192.0.2.1"} <= watch.spoken_to


@pytest.mark.parametrize(
    ("call", "found"),
    [
        (
            'connect(5, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("192.0.2.1")}, 16) = 0',
            {"192.0.2.1"},
        ),
        (
            'sendto(5, ""..., 9, 0, {sa_family=AF_INET6, inet_pton(AF_INET6, "2001:db8::1", &sin6_addr)}, 28) = 9',
            {"2001:db8::1"},
        ),
        (
            'connect(5, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("127.0.0.53")}, 16) = 0',
            {"a name server"},
        ),
        (
            'connect(5, {sa_family=AF_UNIX, sun_path="/run/systemd/resolve/io.systemd.Resolve"}, 42) = 0',
            {"a name server"},
        ),
        ('connect(5, {sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr("127.0.0.1")}, 16) = 0', set()),
        (
            'connect(5, {sa_family=AF_INET6, sin6_port=htons(8080), inet_pton(AF_INET6, "::1", &sin6_addr)}, 28) = 0',
            set(),
        ),
        ('connect(5, {sa_family=AF_UNIX, sun_path="/tmp/.s.PGSQL.5432"}, 110) = 0', set()),
    ],
)
def test_a_system_call_is_read(call: str, found: set[str]) -> None:
    """A look-up counts also where a name server runs on this machine."""
    assert elsewhere(call) == found
