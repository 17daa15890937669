"""The collections of an account, as operators name them: some by name, or all, in one region or in every."""

from collections.abc import Collection as Names
from collections.abc import Sequence

from psycopg_pool import ConnectionPool

from rekognition_emulator.admin.errors import require
from rekognition_emulator.arn import COLLECTION_ID
from rekognition_emulator.domain.errors import CollectionNotFound
from rekognition_emulator.domain.faces import Collection, Owner
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.transfer import list_names


def require_collection_ids(names: Sequence[str]) -> None:
    """Raises ``Refused`` if no collection can have one of these names."""
    for name in names:
        require(COLLECTION_ID.fullmatch(name), f"{name} is no collection's id.")


def find_collections(
    pool: ConnectionPool, account: str, names: Names[str] = (), region: str | None = None
) -> list[Collection]:
    """Returns an account's collections by region and name.

    Args:
        pool: to the database.
        account: whose.
        names: only those of these names; by default all.
        region: only those of this region; by default of every.

    Raises:
        CollectionNotFound: there is none of one of these names.
    """
    listed = [
        (where, name)
        for where, name in list_names(pool, account)
        if region in {None, where} and name in (names or {name})
    ]
    if missing := set(names) - {name for _, name in listed}:
        raise CollectionNotFound(min(missing))
    store = PostgresStore(pool)
    return [store.get_collection(Owner(account, where), name) for where, name in listed]


def missing_collections(pool: ConnectionPool, account: str, names: Sequence[str]) -> list[str]:
    """Returns those names under which an account has no collection in any region: made later, or misspelt."""
    return sorted(set(names) - {name for _, name in list_names(pool, account)})
