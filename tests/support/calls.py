"""Calls as data, made by any client: (operation, request) → what a program that uses the client sees.

In a request, ``Bytes`` names a file. An outcome is ``{answer}`` or ``{status, code, message}``.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import ANY

from botocore import xform_name
from botocore.exceptions import ClientError

from tests.support.clients import aiobotocore, environment, javascript
from tests.support.server import Server

Call = tuple[str, dict[str, Any]]
Outcome = dict[str, Any]


def with_pictures(request: dict[str, Any], picture: Callable[[str], Any]) -> dict[str, Any]:
    """Puts something else in the place of each picture's name."""
    return {
        name: {"Bytes": picture(value["Bytes"])} if isinstance(value, dict) and "Bytes" in value else value
        for name, value in request.items()
    }


def through_boto3(server: Server, calls: Sequence[Call]) -> list[Outcome]:
    """Makes the calls with boto3."""
    client = server.client()

    def outcome(operation: str, request: dict[str, Any]) -> Outcome:
        read = with_pictures(request, lambda name: Path(name).read_bytes())
        try:
            answer = getattr(client, xform_name(operation))(**read)
        except ClientError as error:
            told = error.response["Error"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            return {"status": status, "code": told["Code"], "message": told["Message"]}
        del answer["ResponseMetadata"]
        return {"answer": answer}

    return [outcome(*call) for call in calls]


def through_the_aws_cli(server: Server, calls: Sequence[Call]) -> list[Outcome]:
    """Makes the calls as a person would at a terminal."""

    def outcome(operation: str, request: dict[str, Any]) -> Outcome:
        command = [sys.executable, "-m", "awscli", "rekognition", xform_name(operation, "-"), "--output", "json"]
        for name, value in request.items():
            option = f"--{xform_name(name, '-')}"
            if isinstance(value, dict) and "Bytes" in value:
                command += [f"{option}-bytes", f"fileb://{value['Bytes']}"]
            else:
                command += [option, value if isinstance(value, str) else json.dumps(value)]
        run = subprocess.run(command, env=environment(server), capture_output=True, text=True, check=False, timeout=60)
        if run.returncode == 0:
            return {"answer": json.loads(run.stdout or "{}")}  # it prints nothing for an empty structure
        told = re.fullmatch(r"\s*An error occurred \((\w+)\) when calling the \w+ operation: (.*)\s*", run.stderr)
        assert told, run.stderr
        return {"status": ANY, "code": told[1], "message": told[2]}  # it does not tell the status

    return [outcome(*call) for call in calls]


def through_javascript(server: Server, calls: Sequence[Call]) -> list[Outcome]:
    """Makes the calls with AWS's SDK for JavaScript."""
    outcomes: list[Outcome] = javascript().run(server, "calls.mjs", json.dumps(calls))
    return outcomes


def through_aiobotocore(server: Server, calls: Sequence[Call]) -> list[Outcome]:
    """Makes the calls with aiobotocore."""
    outcomes: list[Outcome] = aiobotocore().run(server, "calls_aio.py", json.dumps(calls))
    return outcomes


CLIENTS: dict[str, Callable[[Server, Sequence[Call]], list[Outcome]]] = {
    "boto3": through_boto3,
    "AWS CLI": through_the_aws_cli,
    "JavaScript": through_javascript,
    "aiobotocore": through_aiobotocore,
}
"""Name → how it makes calls, one after the other."""
