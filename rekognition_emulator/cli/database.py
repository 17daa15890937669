"""What commands begin with that work on the database of the settings."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from rekognition_emulator.cli.start import said_in_words, user_name
from rekognition_emulator.faces.errors import CollectionExists, CollectionNotFound
from rekognition_emulator.observation import Observation
from rekognition_emulator.settings import Settings
from rekognition_emulator.store.archive import ArchiveUnusable
from rekognition_emulator.store.backup import BackupUnusable
from rekognition_emulator.store.database import DatabaseUnsuitable, open_pool
from rekognition_emulator.store.embedded import embedded_database
from rekognition_emulator.store.transactions import JoiningPool


@contextmanager
def open_database(settings: Settings, connections_max: int = 1) -> Iterator[JoiningPool]:
    """Opens the database of the settings; a server may work with it at the same time.

    Args:
        settings: of a server.
        connections_max: as many as are needed at once.

    Raises:
        DatabaseUnsuitable: it cannot be used.
    """
    if settings.database_url:
        with open_pool(settings.database_url, connections_max=connections_max, audit_days=settings.audit_days) as pool:
            yield pool
    else:
        with (
            embedded_database(settings.data_dir) as url,
            open_pool(url, connections_max=connections_max, audit_days=settings.audit_days) as pool,
        ):
            yield pool


@contextmanager
def audited(operation: str, account: str, region: str | None = None, collection: str | None = None) -> Iterator[None]:
    """Has what is changed in here stand in the audit log as done by the operator."""
    observation = Observation(
        operation=operation,
        account=account,
        region=region,
        collection=collection,
        key_name=f"(operator {user_name()})",
    )
    with observation.current():
        yield


@contextmanager
def data_said_in_words() -> Iterator[None]:
    """Ends the program with a sentence where the operator can mend what is wrong with the data or their files."""
    with said_in_words(ArchiveUnusable, BackupUnusable, DatabaseUnsuitable, OSError):
        try:
            yield
        except CollectionNotFound as error:
            sys.exit(f"There is no collection {error.name}.")
        except CollectionExists as error:
            sys.exit(f"There is a collection {error.name} already; --as gives another name.")
        except psycopg.Error as error:
            sys.exit(f"The database does not manage: {error.diag.message_primary or error}.")
