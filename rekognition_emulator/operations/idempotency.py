"""What a ``ClientRequestToken`` promises: a request that is sent twice is done once.

SDKs fill the token in by themselves and keep it when they try again. So an operation whose answer was lost on the way
is not done twice, and the second attempt does not fail at what the first has done.
"""

import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TypeVar, cast

from rekognition_emulator.domain.idempotency import IdempotencyKey
from rekognition_emulator.operations.context import Context
from rekognition_emulator.operations.defaults import TOKEN_LIFETIME

Request = TypeVar("Request", bound=Mapping[str, object])
Response = TypeVar("Response", bound=Mapping[str, object])
Handler = Callable[[Context, Request], Response]


def idempotent(operation: str) -> Callable[[Handler[Request, Response]], Handler[Request, Response]]:
    """Makes a handler answer a repeated request with the first answer; a failed one may be tried again.

    The handler works on the store alone: it is called inside the transaction that also remembers its answer.
    """

    def decorate(handler: Handler[Request, Response]) -> Handler[Request, Response]:
        @wraps(handler)
        def answer(context: Context, request: Request) -> Response:
            asked = dict(request)
            token = asked.pop("ClientRequestToken", None)
            if token is None:
                return handler(context, request)
            attempt = IdempotencyKey(context.owner, operation, str(token), json.dumps(asked, sort_keys=True))
            text = context.answers.once(attempt, TOKEN_LIFETIME, lambda: json.dumps(handler(context, request)))
            return cast("Response", json.loads(text))

        return answer

    return decorate
