"""Answers remembered in PostgreSQL, for requests that are sent twice.

The row of a token is written before its request is answered, and nobody else sees it before everything is committed.
So a second request with the same token waits for the first, and then either finds its answer or, if the first failed,
takes its place.
"""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from rekognition_emulator.domain.errors import TokenInUse
from rekognition_emulator.domain.idempotency import AnswerStore, IdempotencyKey
from rekognition_emulator.storage.transactions import JoiningPool

FORGET: Final = 10
"""Expired answers that go with each new one: so many at most, so that nobody waits for a long night's; more than one,
so that they do go."""


class PostgresAnswerStore(AnswerStore):
    """Answers in a database that ``open_pool`` has prepared."""

    def __init__(self, pool: JoiningPool) -> None:
        self._pool = pool

    def once(self, attempt: IdempotencyKey, lifetime: timedelta, answer: Callable[[], str]) -> str:
        token = {
            "account": attempt.owner.account,
            "region": attempt.owner.region,
            "operation": attempt.operation,
            "token": attempt.token,
        }
        request = hashlib.sha256(attempt.request.encode()).hexdigest()
        with self._pool.transaction() as connection:
            taken = connection.execute(
                """
                INSERT INTO answers AS earlier (account, region, operation, token, request, expires_at)
                VALUES (%(account)s, %(region)s, %(operation)s, %(token)s, %(request)s, now() + %(lifetime)s)
                ON CONFLICT (account, region, operation, token) DO UPDATE
                SET request = EXCLUDED.request, expires_at = EXCLUDED.expires_at WHERE earlier.expires_at < now()
                RETURNING token
                """,
                {**token, "request": request, "lifetime": lifetime},
            ).fetchone()
            if taken is None:
                row = connection.execute(
                    """
                    SELECT request, answer FROM answers
                    WHERE account = %(account)s AND region = %(region)s
                    AND operation = %(operation)s AND token = %(token)s
                    """,
                    token,
                ).fetchone()
                assert row is not None, "the insertion has locked it"
                if row[0] != request:
                    raise TokenInUse(attempt.token)
                return str(row[1])
            made = answer()
            connection.execute(
                """
                UPDATE answers SET answer = %(answer)s
                WHERE account = %(account)s AND region = %(region)s
                AND operation = %(operation)s AND token = %(token)s
                """,
                {**token, "answer": made},
            )
            connection.execute(
                """
                DELETE FROM answers WHERE (account, region, operation, token) IN (
                    SELECT account, region, operation, token FROM answers WHERE expires_at < now()
                    ORDER BY expires_at LIMIT %s FOR UPDATE SKIP LOCKED
                )
                """,
                [FORGET],
            )
        return made
