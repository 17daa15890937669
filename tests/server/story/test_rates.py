"""How often an account may ask: its clients slow down, and nobody else notices."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import psycopg
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.support.server import Server, create_key

RATE = 5


def test_an_account_beyond_its_rate_waits_alone(new_data_dir: Callable[[], Path], database_url: str) -> None:
    """Refusals are AWS's, cost others nothing and write nothing; retries of an SDK see every request through."""
    data_dir, environment = new_data_dir(), {"REKOGNITION_DATABASE_URL": database_url}
    eager = create_key(data_dir, "eager", "--policy", "full", "--account", "111111111111", **environment)
    other = create_key(data_dir, "other", "--policy", "full", "--account", "222222222222", **environment)
    server = Server.start(data_dir, REKOGNITION_ACCOUNT_REQUESTS_PER_SECOND=f"ListCollections={RATE}", **environment)

    def outcome(client: Any) -> tuple[str, str]:
        try:
            client.list_collections()
        except ClientError as error:
            return error.response["Error"]["Code"], error.response["Error"]["Message"]
        return "answered", ""

    try:
        # Whoever only says that they are of an account uses up none of its requests.
        forger = server.client(keys=(eager[0], eager[1][::-1]))
        assert {outcome(forger)[0] for _ in range(3 * RATE)} == {"InvalidSignatureException"}

        client, started = server.client(keys=eager), time.monotonic()
        outcomes = [outcome(client) for _ in range(6 * RATE)]
        most = RATE + RATE * (time.monotonic() - started)
        assert outcomes[:RATE] == [("answered", "")] * RATE
        assert outcomes.count(("answered", "")) <= most
        assert set(outcomes[RATE:]) >= {("ProvisionedThroughputExceededException", "Provisioned Rate exceeded.")}
        answered = outcomes.count(("answered", ""))

        assert [outcome(server.client(keys=other))[0] for _ in range(RATE)] == ["answered"] * RATE
        with_retries = boto3.Session(*eager).client(
            "rekognition",
            "eu-central-1",
            endpoint_url=server.url,
            config=Config(retries={"mode": "standard", "total_max_attempts": 20}),
        )
        assert [outcome(with_retries)[0] for _ in range(2 * RATE)] == ["answered"] * (2 * RATE)
    finally:
        assert server.stop() == 0
    with psycopg.connect(database_url) as database:
        rows = database.execute("SELECT error, count(*) FROM audit_log WHERE region IS NOT NULL GROUP BY 1").fetchall()
    assert rows == [(None, answered + RATE + 2 * RATE)]
