"""``erase``: removes what deletions have left on this machine."""

import sys
import time
from collections.abc import Iterator

import typer

from rekognition_emulator.admin import database
from rekognition_emulator.admin.database import ErasedData
from rekognition_emulator.cli.database import data_errors_exit_with_message, open_database, operator
from rekognition_emulator.cli.progress import counting
from rekognition_emulator.cli.start import exits_with_message, read_settings
from rekognition_emulator.cli.wording import counted
from rekognition_emulator.storage.erasure import STEPS, ErasureBlocked


def erase_deleted() -> None:
    """Removes what deletions have left; exits with 1 if something has to be done by somebody else."""
    settings, started = read_settings(), time.monotonic()
    with (
        data_errors_exit_with_message(),
        exits_with_message(ErasureBlocked),
        open_database(settings) as pool,
        counting() as bars,
    ):
        task = bars.add_task("erase", total=None)
        erased = database.erase_deleted(
            pool,
            operator("erase", settings.account_id),
            settings.data_dir,
            lambda done, total: bars.update(task, completed=done, total=total, description=STEPS[done]),
        )
    seconds = time.monotonic() - started
    typer.echo(
        f"The tables are written anew, {erased.database.bytes_before / 1e6:,.1f} MB before and "
        f"{erased.database.bytes_after / 1e6:,.1f} MB now, and {counted(erased.snapshots, 'snapshot')} of indexes "
        f"removed, in {seconds:,.1f} s."
    )
    for sentence in _left(erased):
        typer.echo(sentence)
    sys.exit(0 if erased.is_complete else 1)


def _left(erased: ErasedData) -> Iterator[str]:
    """Yields a sentence for whatever may still hold something."""
    if not erased.database.samples:
        yield "The planner's samples are still there: the owner of the database has to VACUUM FULL pg_statistic."
    if erased.database.log_bytes is None:
        yield (
            "The write-ahead log still has what was deleted: this user may not CHECKPOINT, pg_switch_wal "
            "and pg_ls_waldir. Let a superuser do so, or wait until it has been written over."
        )
    if erased.database.held_segments:
        yield (
            f"{erased.database.held_segments:,} older files of the write-ahead log are kept for a standby, an archive "
            "or a backup: run this again when they have been fetched."
        )
    if erased.milvus_folder:
        yield (
            f"Milvus Lite has its own files in {erased.milvus_folder}: remove the folder while no server runs; it is "
            "made anew."
        )
    for path in erased.set_aside:
        yield f"{path} is a database that restore has set aside: delete it once you need it no more."
