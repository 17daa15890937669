"""Makes calls with aiobotocore and tells of each what a program that uses it sees.

Takes JSON, ``[[operation, request], …]`` in which ``Bytes`` names a file; prints a list of ``{answer}`` and
``{status, code, message}``.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from aiobotocore.session import get_session  # type: ignore[import-not-found]  # lives in an environment of its own
from botocore import xform_name
from botocore.exceptions import ClientError


def read(request: dict[str, Any]) -> dict[str, Any]:
    """Puts the file in the place of its name."""
    return request | {"Bytes": Path(request["Bytes"]).read_bytes()} if "Bytes" in request else request


async def outcomes(calls: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Makes the calls one after the other."""
    seen: list[dict[str, Any]] = []
    async with get_session().create_client("rekognition") as rekognition:
        for operation, request in calls:
            try:
                answer = await getattr(rekognition, xform_name(operation))(**request)
            except ClientError as error:
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
                seen.append({"status": status, "code": code, "message": message})
            else:
                del answer["ResponseMetadata"]
                seen.append({"answer": answer})
    return seen


json.dump(asyncio.run(outcomes(json.loads(sys.argv[1], object_hook=read))), sys.stdout, default=str)
