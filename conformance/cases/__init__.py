"""All families of cases."""

from typing import Final

from conformance.case import Case
from conformance.cases import (
    authentication,
    collections,
    comparing,
    deleting,
    detecting,
    idempotency,
    images,
    indexing,
    listing,
    pagination,
    parsing,
    photographs,
    s3,
    searching,
    tags,
    transport,
    user_search,
    users,
    validation,
    walls,
)

CASES: Final[tuple[Case, ...]] = tuple(
    case
    for module in (
        collections,
        indexing,
        listing,
        deleting,
        searching,
        detecting,
        comparing,
        users,
        user_search,
        photographs,
        tags,
        images,
        s3,
        transport,
        authentication,
        parsing,
        validation,
        pagination,
        idempotency,
        walls,
    )
    for case in module.family.cases
)
"""The hand-written cases."""
