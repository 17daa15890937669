"""``keys``: the commands that create and manage access keys.

What a script wants, the credentials, goes to standard output; what a person wants to know goes to standard error.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
from psycopg_pool import ConnectionPool
from rich.console import Console
from rich.table import Column, Table

from rekognition_emulator.actor import Actor
from rekognition_emulator.admin import keys
from rekognition_emulator.admin.collections import missing_collections
from rekognition_emulator.admin.errors import Refused, require
from rekognition_emulator.admin.keys import CreatedKey, KeyExpired, MasterKey
from rekognition_emulator.admin.policies import KeyPolicy, own_policy, preset_policy
from rekognition_emulator.auth.keys import KeyStore, MasterKeyWrong
from rekognition_emulator.auth.policy import PolicyUnusable
from rekognition_emulator.auth.presets import ACTIONS
from rekognition_emulator.auth.sessions import LIFETIME_MAX
from rekognition_emulator.auth.vault import MasterKeyUnusable
from rekognition_emulator.cli.database import data_errors_exit_with_message, open_database, operator
from rekognition_emulator.cli.start import exits_with_message, read_settings
from rekognition_emulator.cli.wording import counted
from rekognition_emulator.settings import Settings
from rekognition_emulator.storage.keys import PostgresKeyStore

app = typer.Typer(help="Create and manage access keys: who may call, and what they may do.", no_args_is_help=True)

_MINUTES: Final = typer.Option(min=1, max=int(LIFETIME_MAX.total_seconds() // 60), help="When the session ends.")

LINE_CHARS: Final = 240
"""Room for the longest name and policy: lines that a terminal breaks can be copied, those cut off cannot."""

_SHOWN_ONCE: Final = "The secret is shown only once: it lies encrypted in the database."

_Name = Annotated[str, typer.Argument(help="What to call the key; it appears in the caller's ARN.")]
_Which = Annotated[str, typer.Argument(metavar="NAME|ID", help="Keys of this name, or the one with this id.")]
_Days = Annotated[float | None, typer.Option(help="The key expires after so many days. Default: never.")]
_Collections = Annotated[list[str] | None, typer.Option("--collection", help="Only this one; may be repeated.")]
_Objects = Annotated[
    list[str] | None,
    typer.Option(
        "--s3", metavar="BUCKET/NAME", help="Images in S3 that requests may name, with wildcards; may be repeated."
    ),
]


@app.command()
def create(  # noqa: PLR0913 - an argument is an option of the command line
    name: _Name,
    *,
    policy: Annotated[str, typer.Option(metavar="full|read|search|FILE", help="What it allows; FILE is IAM's JSON.")],
    collection: _Collections = None,
    s3: _Objects = None,
    days: _Days = None,
    account: Annotated[str | None, typer.Option(help="Whose collections. Default: REKOGNITION_ACCOUNT_ID.")] = None,
) -> None:
    """Create a key and print it."""
    with _keys("keys create") as desk:
        owner = account or desk.settings.account_id
        allowed = _read_policy(policy, owner, collection or [], s3 or [])
        created = keys.create_key(
            desk.store, desk.master_key, desk.actor, name=name, account=owner, policy=allowed, days=days
        )
        for number, others in allowed.left_out.items():
            _say(f"Left out of statement {number} of the policy, being about other services: {', '.join(others)}.")
        _show(created)
        _tell_missing(desk.pool, owner, collection or [])


@app.command(name="list")
def list_keys() -> None:
    """List all keys; secrets are not shown."""
    with _keys("keys list") as desk:
        columns = ("name", "id", "account", "policy", "state", "created", "expires")
        table = Table(*(Column(name, no_wrap=True) for name in columns), box=None, pad_edge=False)
        now = datetime.now(UTC)
        for key in desk.store.all_keys():
            table.add_row(
                key.name,
                key.access_key_id,
                key.account,
                key.policy_name,
                keys.state_of(key, now),
                _moment(key.created_at),
                _moment(key.expires_at) if key.expires_at else "never",
            )
        Console(width=LINE_CHARS, highlight=False).print(table)


@app.command()
def rotate(
    name: Annotated[str, typer.Argument(help="Of the key.")],
    *,
    grace_hours: Annotated[
        float, typer.Option(help="The old one is good for so long, or until disabled.")
    ] = keys.GRACE_HOURS,
    days: _Days = None,
) -> None:
    """Create a successor of a key, with the same policy, and print it."""
    with _keys("keys rotate") as desk:
        try:
            created = keys.rotate_key(desk.store, desk.master_key, desk.actor, name, grace_hours=grace_hours, days=days)
        except KeyExpired as error:
            raise Refused(f"{error}: say with --days how long its successor is good.") from error
        _show(created)
        if created.others_expire_at:
            _say(f"Older keys called {name} are good until {_moment(created.others_expire_at)} at the latest.")


@app.command()
def disable(key: _Which) -> None:
    """Refuse a key from now on; it can be enabled again."""
    with _keys("keys disable") as desk:
        _tell(keys.enable_keys(desk.store, desk.actor, key, enabled=False), "disabled")


@app.command()
def enable(key: _Which) -> None:
    """Accept a disabled key again."""
    with _keys("keys enable") as desk:
        _tell(keys.enable_keys(desk.store, desk.actor, key, enabled=True), "enabled")


@app.command()
def delete(key: _Which) -> None:
    """Delete a key for good."""
    with _keys("keys delete") as desk:
        deleted = keys.delete_keys(desk.store, desk.actor, key)
        _tell(deleted.count, "deleted")
        if not deleted.any_left:
            _say("It was the last one. Requests are refused until there is another, or until `keys open`.")


@app.command(name="open")
def open_servers() -> None:
    """Serve whoever can reach this machine's loopback address, without a key; only when all keys are deleted."""
    with _keys("keys open") as desk:
        keys.open_access(desk.store, desk.actor)
        _say("Nobody is asked for a key until one is created; running servers know within seconds.")


@app.command()
def session(
    *,
    key: Annotated[str, typer.Option(help="Name of the key to derive it from; when that ends, so does the session.")],
    collection: Annotated[str, typer.Option(help="The only one that it opens.")],
    s3: _Objects = None,
    minutes: Annotated[int, _MINUTES] = 15,
) -> None:
    """Print temporary credentials, for SearchFacesByImage in one collection, as a credential_process does."""
    with _keys("keys session") as desk:
        started = keys.start_session(
            desk.pool,
            desk.master_key,
            desk.actor,
            key,
            collection=collection,
            objects=s3 or [],
            lifetime=timedelta(minutes=minutes),
        )
        for each in started.unreadable:
            _say(f"The key {key} may not read all of {each} in S3, and neither may the session.")
        sys.stdout.write(started.credentials.to_json() + "\n")
        _tell_missing(desk.pool, started.account, [collection])


@dataclass(frozen=True, slots=True)
class _Desk:
    """What commands on keys work with."""

    settings: Settings
    pool: ConnectionPool
    store: KeyStore
    master_key: MasterKey
    actor: Actor


@contextmanager
def _keys(command: str) -> Iterator[_Desk]:
    """Opens the database; ends the program with a sentence where the operator can mend what is wrong."""
    settings = read_settings()
    chosen = settings.master_key or settings.master_key_file
    master_key = MasterKey(settings.vault, None if chosen else settings.default_master_key_file)
    with (
        data_errors_exit_with_message(),
        exits_with_message(MasterKeyUnusable, MasterKeyWrong, PolicyUnusable),
        open_database(settings) as pool,
    ):
        yield _Desk(settings, pool, PostgresKeyStore(pool), master_key, operator(command, settings.account_id))


def _read_policy(policy: str, account: str, collections: Sequence[str], objects: Sequence[str]) -> KeyPolicy:
    if policy in ACTIONS:
        return preset_policy(policy, account, collections, objects)
    require(
        not (collections or objects),
        "--collection narrows a ready-made policy, as --s3 does; a file of your own names its resources itself.",
    )
    try:
        text = Path(policy).read_text()
    except (OSError, ValueError) as error:  # ValueError: it is no text, or its name is none
        raise Refused(f"{policy} is none of {', '.join(ACTIONS)}, and cannot be read as a file.") from error
    return own_policy(Path(policy).name, text)


def _tell_missing(pool: ConnectionPool, account: str, collections: Sequence[str]) -> None:
    for missing in missing_collections(pool, account, collections):
        _say(f"The account {account} has no collection {missing} yet: check the name, or create it.")


def _tell(count: int, what: str) -> None:
    _say(f"{counted(count, 'key')} {what}; running servers know within seconds.")


def _show(created: CreatedKey) -> None:
    if created.master_key_file:
        _say(
            f"The secrets of access keys are encrypted with a master key, which is now in {created.master_key_file}. "
            "Keep a copy of that file, apart from the backups: without it no access key works any more, and all have "
            "to be created again."
        )
    key = created.key
    sys.stdout.write(f"export AWS_ACCESS_KEY_ID={key.access_key_id}\nexport AWS_SECRET_ACCESS_KEY={created.secret}\n")
    until = f"good until {_moment(key.expires_at)}" if key.expires_at else "never expires"
    _say(f"Key {key.name} of account {key.account}, policy {key.policy_name}, {until}. {_SHOWN_ONCE}")


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
