"""``python -m conformance --endpoint-url URL`` or ``--aws``: runs the conformance suite."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from conformance.boundaries import boundary_cases
from conformance.case import Case
from conformance.cases import CASES
from conformance.record import Recorder
from conformance.report import failures, table, write_json, write_junit
from conformance.runner import State, run
from conformance.service import Session, Target

REFUSALS: Final = {"AccessDeniedException", "InvalidSignatureException", "UnrecognizedClientException"}
"""What a service that checks signatures says where --access-key and --secret-key are missing, or are no good."""


def all_cases() -> list[Case]:
    """Returns the written and the generated cases."""
    return [*CASES, *boundary_cases()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the cases that were asked for and returns the exit status: 0 if none failed."""
    options = _parse(arguments)
    cases = [case for case in all_cases() if _is_wanted(case, options)]
    if not cases:
        sys.exit("There is no such case.")
    if options.list:
        for case in cases:
            print(f"{case.id}  [{case.source}]")
        return 0
    target = Target(
        endpoint_url=None if options.aws else options.endpoint_url,
        region=options.region,
        s3_bucket=options.s3_bucket,
        s3_endpoint_url=options.s3_endpoint_url,
        pictures=options.pictures,
        access_key=options.access_key,
        secret_key=options.secret_key,
    )
    session = Session(target)
    started = time.monotonic()
    try:
        _assert_reachable(session)
        outcomes = run(session, cases, options.threads, Recorder(options.record, session) if options.record else None)
    finally:
        session.close()
    if options.json:
        write_json(outcomes, options.json)
    if options.junit:
        write_junit(outcomes, options.junit)
    for paragraph in failures(outcomes):
        print(paragraph, end="\n\n")
    print(table(outcomes))
    print(f"\n{time.monotonic() - started:.1f} seconds")
    return int(any(outcome.state is State.FAILED for outcome in outcomes))


def _assert_reachable(session: Session) -> None:
    """Ends the program rather than let every case fail, where nobody listens or AWS does not know the caller."""
    try:
        session.client(session.target.region).list_collections(MaxResults=1)
    except BotoCoreError as error:
        sys.exit(f"The service cannot be reached: {error}")
    except ClientError as error:
        if session.target.is_aws or error.response["Error"]["Code"] in REFUSALS:
            sys.exit(f"The service refuses: {error}")


def _is_wanted(case: Case, options: argparse.Namespace) -> bool:
    return (
        (not options.family or case.family in options.family)
        and (not options.operation or case.operation in options.operation)
        and options.match.casefold() in case.id.casefold()
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m conformance", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--endpoint-url", help="the service to test")
    where.add_argument(
        "--aws", action="store_true", help="test AWS itself, with your own credentials, at your own cost"
    )
    where.add_argument("--list", action="store_true", help="only list the cases")
    parser.add_argument("--region", default="us-east-1")
    access_key, secret_key = (os.environ.get(f"AWS_{name}", "test") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
    parser.add_argument(
        "--access-key", default=access_key, help="for --endpoint-url, if it asks for one; default: AWS_ACCESS_KEY_ID"
    )
    parser.add_argument("--secret-key", default=secret_key, help="likewise; default: AWS_SECRET_ACCESS_KEY")
    parser.add_argument("--s3-bucket", help="a bucket to put pictures into; cases that need one are not run without")
    parser.add_argument("--s3-endpoint-url", help="where that bucket is, if not at AWS")
    parser.add_argument(
        "--pictures", type=Path, help="a folder of photographs; cases that need some are not run without"
    )
    parser.add_argument("--family", action="append", help="only this family; may be repeated")
    parser.add_argument("--operation", action="append", help="only this operation; may be repeated")
    parser.add_argument("--match", default="", help="only cases whose name contains this, in capitals or not")
    parser.add_argument("--threads", type=int, default=4, help="cases played at a time")
    parser.add_argument("--record", type=Path, help="write what the service answered into this folder")
    parser.add_argument("--json", type=Path, help="write the outcomes to this file")
    parser.add_argument("--junit", type=Path, help="write the outcomes to this file, as JUnit XML")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    if not __debug__:
        sys.exit("Cases are made of assertions: run without -O.")
    sys.exit(main())
