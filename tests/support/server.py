"""A running server, as its users run it: another process, an own data directory."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import psutil
from botocore.config import Config

ROOT = Path(__file__).parents[2]

Keys = tuple[str, str]
"""(access key id, secret)"""
Session = tuple[str, str, str]
"""(access key id, secret, session token)"""


@dataclass
class Server:
    """A server process, where it listens, and what its clients sign with: anything does where there is no key."""

    process: subprocess.Popen[str]
    url: str
    keys: "Keys" = ("test", "test")

    @classmethod
    def start(cls, data_dir: Path, *, folder: str = str(ROOT), **environment: str) -> "Server":
        """Starts a server in a folder, on a free port, and waits until it says that it is ready."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("REKOGNITION_")}
        with (data_dir / "server.log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "rekognition_emulator"],
                cwd=folder,
                env={
                    **inherited,
                    "REKOGNITION_DATA_DIR": str(data_dir),
                    "REKOGNITION_RECOMMENDED_DIR": str(data_dir / "recommended"),  # not what set-up has fetched
                    "REKOGNITION_PORT": "0",
                    "REKOGNITION_STRICT": "true",
                    **environment,
                },
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert process.stdout
        for line in process.stdout:
            if ready := re.search(r"ready on (http://\S+)", line):
                return cls(process, ready[1])
        raise RuntimeError(f"server ended with {process.wait(10)}: {(data_dir / 'server.log').read_text()}")

    def client(
        self, *, region: str = "eu-central-1", parameter_validation: bool = True, keys: "Keys | Session | None" = None
    ) -> Any:
        """An unmodified SDK client; only the endpoint differs from AWS's. Without retries: tests see every answer."""
        session = boto3.Session(*(keys or self.keys))
        return session.client(
            "rekognition",
            endpoint_url=self.url,
            region_name=region,
            config=Config(retries={"total_max_attempts": 1}, parameter_validation=parameter_validation),
        )

    def processes(self) -> list[psutil.Process]:
        """Returns the processes that serve for it, where it has started several; one that was killed is none."""

        def serves(child: psutil.Process) -> bool:
            with suppress(psutil.NoSuchProcess):  # a child that is dead but not yet buried is none, either
                return "--multiprocessing-fork" in child.cmdline()
            return False

        return [child for child in psutil.Process(self.process.pid).children() if serves(child)]

    def post(self, operation: str, request: object) -> httpx.Response:
        """Sends a request as no SDK would, unsigned and unchecked, and returns the answer as it came."""
        return httpx.post(
            self.url,
            content=request if isinstance(request, bytes) else json.dumps(request),
            headers={
                "Content-Type": "application/x-amz-json-1.1",
                "X-Amz-Target": f"RekognitionService.{operation}",
            },
            timeout=60,
        )

    def kill(self) -> None:
        """Ends the process as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Asks the process to end and returns its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)  # does nothing if it has ended
        assert self.process.stdout
        self.process.stdout.close()
        return self.process.wait(20)


def command(data_dir: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs one of the operator's commands on the database of a data directory, as they do."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("REKOGNITION_")}
    return subprocess.run(
        [sys.executable, "-m", "rekognition_emulator", *arguments],
        cwd=ROOT,
        env={
            **inherited,
            "REKOGNITION_DATA_DIR": str(data_dir),
            "REKOGNITION_RECOMMENDED_DIR": str(data_dir / "recommended"),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def keys_command(data_dir: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs ``keys``."""
    return command(data_dir, "keys", *arguments, **environment)


def create_key(data_dir: Path, name: str, *options: str, **environment: str) -> Keys:
    """Creates a key and returns what is printed of it; without options it may do everything."""
    done = keys_command(data_dir, "create", name, *(options or ("--policy", "full")), **environment)
    assert done.returncode == 0, done.stderr
    return printed_keys(done.stdout)


def printed_keys(text: str) -> Keys:
    """Returns the key that a command has printed."""
    access_key_id, secret = re.findall(r"^export AWS_\w+=(\S+)$", text, re.MULTILINE)
    return access_key_id, secret
