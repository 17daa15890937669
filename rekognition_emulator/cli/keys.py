"""``keys``: the commands that create and manage access keys.

Works on the database that the settings name, also beside the server that uses it; running servers follow within
seconds. What a script wants, the credentials, goes to standard output; what a person wants to know goes to standard
error.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
from psycopg_pool import ConnectionPool
from rich.console import Console
from rich.table import Column, Table

import botocore_models
from rekognition_emulator.actor import Actor
from rekognition_emulator.auth.keys import (
    LONG_TERM,
    AccessKey,
    KeyStore,
    MasterKeyWrong,
    NameTaken,
    new_id,
    new_secret,
    seal_secret,
)
from rekognition_emulator.auth.policy import (
    READ_OBJECT,
    READ_OBJECT_VERSION,
    SERVICE,
    Decision,
    PolicyUnusable,
    adopt_policy,
    parse_policy,
)
from rekognition_emulator.auth.presets import ACTIONS, BROWSER_ACTIONS, OBJECTS, policy_of, preset
from rekognition_emulator.auth.sessions import LIFETIME_MAX, issue_session
from rekognition_emulator.auth.vault import MasterKeyUnusable, Vault, create_master_key_file
from rekognition_emulator.cli.database import data_errors_exit_with_message, open_database, operator
from rekognition_emulator.cli.start import exits_with_message, read_settings
from rekognition_emulator.settings import Settings
from rekognition_emulator.storage.audit import record
from rekognition_emulator.storage.keys import PostgresKeyStore
from rekognition_emulator.storage.transfer import list_names

app = typer.Typer(help="Create and manage access keys: who may call, and what they may do.", no_args_is_help=True)

_NAME: Final = re.compile(r"[a-zA-Z0-9_+=,.@-]{1,64}")
"""As IAM's user names, which stand in the same place of an ARN."""
_COLLECTION: Final = re.compile(r"[a-zA-Z0-9_.\-]{1,255}")
_ID: Final = re.compile(r"A[KS]IA[A-Z0-9]{16}")
_ACCOUNT: Final = re.compile(r"[0-9]{12}")

DAYS_MIN: Final = 0.001
DAYS_MAX: Final = 36_500
"""A hundred years. Ours: far beyond any use, and far from the end of the calendar."""

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


class KeyRefused(Exception):
    """What was asked for cannot be done; the text says why."""


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
        _require(_ACCOUNT.fullmatch(owner), f"{owner} is no account: twelve digits.")
        _require(_NAME.fullmatch(name), f"{name} is no name: up to 64 letters, digits and _+=,.@-")
        _require(not _ID.fullmatch(name), f"{name} looks like the id of a key.")
        document, policy_name = _read_policy(policy, owner, collection or [], s3 or [])
        secret, now = new_secret(), datetime.now(UTC)
        key = _new_key(
            _vault(desk.settings, desk.store), secret, name, owner, document, policy_name, now, _end(now, days)
        )
        try:
            desk.store.add(desk.actor, key)
        except NameTaken as error:
            raise KeyRefused(f"There is a key called {name}: rotate it, or choose another name.") from error
        _show(key, secret)
        _tell_missing(desk.pool, owner, collection or [])


@app.command(name="list")
def list_keys() -> None:
    """List all keys; secrets are not shown."""
    with _keys("keys list") as desk:
        columns = ("name", "id", "account", "policy", "state", "created", "expires")
        table = Table(*(Column(name, no_wrap=True) for name in columns), box=None, pad_edge=False)
        now = datetime.now(UTC)
        for key in desk.store.all_keys():
            state = "disabled" if not key.enabled else "expired" if key.is_expired(now) else "active"
            table.add_row(
                key.name,
                key.access_key_id,
                key.account,
                key.policy_name,
                state,
                _moment(key.created_at),
                _moment(key.expires_at) if key.expires_at else "never",
            )
        Console(width=LINE_CHARS, highlight=False).print(table)


@app.command()
def rotate(
    name: Annotated[str, typer.Argument(help="Of the key.")],
    *,
    grace_hours: Annotated[float, typer.Option(help="The old one is good for so long, or until disabled.")] = 168,
    days: _Days = None,
) -> None:
    """Create a successor of a key, with the same policy, and print it."""
    with _keys("keys rotate") as desk:
        old = _newest(desk.store, name)
        now = datetime.now(UTC)
        if days is None and old.is_expired(now):
            raise KeyRefused(f"The key {name} has expired: say with --days how long its successor is good.")
        expires_at = old.expires_at if days is None else _end(now, days)
        _require(0 <= grace_hours <= DAYS_MAX * 24, f"--grace-hours is a number of hours, from 0 to {DAYS_MAX * 24:,}.")
        secret, vault = new_secret(), _vault(desk.settings, desk.store)
        key = _new_key(vault, secret, name, old.account, old.policy, old.policy_name, now, expires_at)
        grace_end = now + timedelta(hours=grace_hours)
        desk.store.rotate(desk.actor, key, grace_end)
        _show(key, secret)
        _say(f"Older keys called {name} are good until {_moment(grace_end)} at the latest.")


@app.command()
def disable(key: _Which) -> None:
    """Refuse a key from now on; it can be enabled again."""
    _change(key, enabled=False)


@app.command()
def enable(key: _Which) -> None:
    """Accept a disabled key again."""
    _change(key, enabled=True)


@app.command()
def delete(key: _Which) -> None:
    """Delete a key for good."""
    with _keys("keys delete") as desk:
        _tell(desk.store.delete(desk.actor, key), key, "deleted")
        if not desk.store.all_keys():
            _say("It was the last one. Requests are refused until there is another, or until `keys open`.")


@app.command(name="open")
def open_servers() -> None:
    """Serve whoever can reach this machine's loopback address, without a key; only when all keys are deleted."""
    with _keys("keys open") as desk:
        _require(desk.store.open(desk.actor), "There are keys: delete them first, if nobody is to be asked for one.")
        _say("Nobody is asked for a key until one is created; running servers know within seconds.")


@app.command()
def session(
    *,
    key: Annotated[str, typer.Option(help="Name of the key to derive it from; when that ends, so does the session.")],
    collection: Annotated[str, typer.Option(help="The only one that it opens.")],
    s3: _Objects = None,
    minutes: Annotated[int, typer.Option(min=1, max=int(LIFETIME_MAX.total_seconds() // 60))] = 15,
) -> None:
    """Print temporary credentials, for SearchFacesByImage in one collection, as a credential_process does."""
    with _keys("keys session") as desk:
        _require(_COLLECTION.fullmatch(collection), f"{collection} is no collection's id.")
        now, issuer = datetime.now(UTC), _newest(desk.store, key)
        _require(issuer.enabled, f"The key {key} is disabled.")
        _require(not issuer.is_expired(now), f"The key {key} has expired.")
        objects = _objects(s3 or [])
        _require_use(issuer, collection, objects)
        policy = policy_of(BROWSER_ACTIONS, issuer.account, [collection], objects)
        end = now + timedelta(minutes=minutes)
        credentials = issue_session(_vault(desk.settings, desk.store), issuer.access_key_id, policy, end)
        with desk.pool.connection() as connection:
            record(connection, replace(desk.actor, account=issuer.account), collection=collection, subject=key)
        sys.stdout.write(credentials.to_json() + "\n")
        _tell_missing(desk.pool, issuer.account, [collection])


@dataclass(frozen=True, slots=True)
class _Desk:
    """What commands on keys work with."""

    settings: Settings
    pool: ConnectionPool
    store: KeyStore
    actor: Actor


@contextmanager
def _keys(command: str) -> Iterator[_Desk]:
    """Opens the database; ends the program with a sentence where the operator can mend what is wrong."""
    settings = read_settings()
    mendable = (KeyRefused, MasterKeyUnusable, MasterKeyWrong, PolicyUnusable)
    with (
        data_errors_exit_with_message(),
        exits_with_message(*mendable),
        open_database(settings) as pool,
    ):
        yield _Desk(settings, pool, PostgresKeyStore(pool), operator(command, settings.account_id))


def _vault(settings: Settings, store: KeyStore) -> Vault:
    """Returns what secrets are sealed with, once it has opened those that there are.

    The file that nobody has chosen is made for the first key. Later it is not: where it is missing then, it is lost or
    somewhere else, and a second master key would only hide that.
    """
    keys = store.all_keys()
    if not keys and not settings.master_key and not settings.master_key_file:
        create_master_key_file(settings.default_master_key_file)
        _say(
            f"The secrets of access keys are encrypted with a master key, which is now in "
            f"{settings.default_master_key_file}. Keep a copy of that file, apart from the backups: without it no "
            "access key works any more, and all have to be created again."
        )
    vault = settings.vault()
    for key in keys:
        key.secret(vault)
    return vault


def _read_policy(policy: str, account: str, collections: Sequence[str], objects: Sequence[str]) -> tuple[str, str]:
    """Returns the document, and what to call it; says what of a file has no meaning here."""
    for collection in collections:
        _require(_COLLECTION.fullmatch(collection), f"{collection} is no collection's id.")
    if policy in ACTIONS:
        narrower = [*collections, *_objects(objects)]
        named = f"{policy}: {', '.join(narrower)}" if narrower else policy
        return preset(policy, account, collections, objects), named
    _require(
        not (collections or objects),
        "--collection narrows a ready-made policy, as --s3 does; a file of your own names its resources itself.",
    )
    try:
        text = Path(policy).read_text()
    except (OSError, ValueError) as error:  # ValueError: it is no text, or its name is none
        raise KeyRefused(f"{policy} is none of {', '.join(ACTIONS)}, and cannot be read as a file.") from error
    adopted = adopt_policy(text)
    actions = [f"{SERVICE}:{name}" for name in botocore_models.load().operation_names]
    if idle := parse_policy(adopted.document).idle_actions([*actions, READ_OBJECT, READ_OBJECT_VERSION]):
        raise KeyRefused(f"The policy has the Action {idle[0]}, which is none of Rekognition's.")
    for number, others in adopted.left_out.items():
        _say(f"Left out of statement {number} of the policy, being about other services: {', '.join(others)}.")
    return adopted.document, Path(policy).name


def _objects(patterns: Sequence[str]) -> Sequence[str]:
    for pattern in patterns:
        _require(OBJECTS.fullmatch(pattern), f"{pattern} is not a bucket and a name in it, such as photos/party/*.")
    return patterns


def _require_use(issuer: AccessKey, collection: str, objects: Sequence[str]) -> None:
    """Refuses a session that could do nothing, as none may do what its key may not, and says what else it could not."""
    policy = parse_policy(issuer.policy)
    arn = f"arn:aws:{SERVICE}::{issuer.account}:collection/{collection}"
    _require(
        any(policy.allows_in_a_region(action, arn) for action in BROWSER_ACTIONS),
        f"The key {issuer.name} may not search by image in the collection {collection} (its policy is "
        f"{issuer.policy_name}), and a session may do no more than its key.",
    )
    for each in objects:
        if policy.decide(READ_OBJECT, f"arn:aws:s3:::{each}") is not Decision.ALLOWED:
            _say(f"The key {issuer.name} may not read all of {each} in S3, and neither may the session.")


def _tell_missing(pool: ConnectionPool, account: str, collections: Sequence[str]) -> None:
    """Says which collections there are not, in any region: they may be made later, or their names may be misspelt."""
    for missing in sorted(set(collections) - {name for _, name in list_names(pool, account)}):
        _say(f"The account {account} has no collection {missing} yet: check the name, or create it.")


def _new_key(  # noqa: PLR0913, PLR0917 # what a key consists of
    vault: Vault,
    secret: str,
    name: str,
    account: str,
    policy: str,
    policy_name: str,
    now: datetime,
    expires_at: datetime | None,
) -> AccessKey:
    access_key_id = new_id(LONG_TERM)
    sealed = seal_secret(vault, access_key_id, secret)
    return AccessKey(access_key_id, name, account, policy, policy_name, sealed, True, now, expires_at)


def _newest(store: KeyStore, name: str) -> AccessKey:
    found = [key for key in store.all_keys() if key.name == name]
    if not found:
        raise KeyRefused(f"There is no key called {name}.")
    return found[-1]


def _change(key: str, *, enabled: bool) -> None:
    with _keys("keys enable" if enabled else "keys disable") as desk:
        _tell(desk.store.enable(desk.actor, key, enabled=enabled), key, "enabled" if enabled else "disabled")


def _tell(count: int, key: str, what: str) -> None:
    if not count:
        raise KeyRefused(f"There is no key {key}.")
    _say(f"{count} {'key' if count == 1 else 'keys'} {what}; running servers know within seconds.")


def _show(key: AccessKey, secret: str) -> None:
    sys.stdout.write(f"export AWS_ACCESS_KEY_ID={key.access_key_id}\nexport AWS_SECRET_ACCESS_KEY={secret}\n")
    until = f"good until {_moment(key.expires_at)}" if key.expires_at else "never expires"
    _say(f"Key {key.name} of account {key.account}, policy {key.policy_name}, {until}. {_SHOWN_ONCE}")


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


def _end(now: datetime, days: float | None) -> datetime | None:
    if days is None:
        return None
    # Whatever compares false, as what is not a number does, is refused.
    _require(DAYS_MIN <= days <= DAYS_MAX, f"--days is a number of days, from {DAYS_MIN} to {DAYS_MAX:,}.")
    return now + timedelta(days=days)


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _require(condition: object, sentence: str) -> None:
    if not condition:
        raise KeyRefused(sentence)
