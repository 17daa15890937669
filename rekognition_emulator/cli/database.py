"""What commands begin with that work on the database of the settings."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from rekognition_emulator.actor import Actor
from rekognition_emulator.cli.start import exits_with_message, user_name
from rekognition_emulator.domain.errors import CollectionExists, CollectionNotFound
from rekognition_emulator.settings import Settings
from rekognition_emulator.storage.archive import ArchiveUnusable
from rekognition_emulator.storage.backup import BackupUnusable
from rekognition_emulator.storage.database import DatabaseUnsuitable, open_pool
from rekognition_emulator.storage.embedded_postgres import embedded_database
from rekognition_emulator.storage.transactions import JoiningPool
from rekognition_emulator.telemetry.observation import new_id


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


def operator(command: str, account: str, region: str | None = None) -> Actor:
    """Returns the operator, who changes data with a command."""
    return Actor(command, account, new_id(), f"(operator {user_name()})", region)


@contextmanager
def data_errors_exit_with_message() -> Iterator[None]:
    """Ends the program with a sentence where the operator can mend what is wrong with the data or their files."""
    with exits_with_message(ArchiveUnusable, BackupUnusable, DatabaseUnsuitable, OSError):
        try:
            yield
        except CollectionNotFound as error:
            sys.exit(f"There is no collection {error.name}.")
        except CollectionExists as error:
            sys.exit(f"There is a collection {error.name} already; --as gives another name.")
        except UnicodeEncodeError as error:
            sys.exit(f"{error.object!a} is no text, and nothing in the database is called so.")
        except psycopg.Error as error:
            sys.exit(f"The database does not manage: {error.diag.message_primary or error}.")
