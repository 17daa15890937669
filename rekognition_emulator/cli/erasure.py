"""``erase``: removes what deletions have left on this machine."""

import sys
import time

import typer

from rekognition_emulator.cli.database import data_errors_exit_with_message, open_database, operator
from rekognition_emulator.cli.progress import counting
from rekognition_emulator.cli.start import exits_with_message, read_settings
from rekognition_emulator.cli.wording import counted
from rekognition_emulator.settings import Settings
from rekognition_emulator.storage.erasure import WRITTEN_ANEW, Erased, ErasureBlocked, erase


def erase_deleted() -> None:
    """Removes what deletions have left; exits with 1 if something has to be done by somebody else."""
    settings, started = read_settings(), time.monotonic()
    with (
        data_errors_exit_with_message(),
        exits_with_message(ErasureBlocked),
        open_database(settings) as pool,
        counting() as bars,
    ):
        task = bars.add_task("erase", total=len(WRITTEN_ANEW) + 2)
        erased = erase(
            pool, operator("erase", settings.account_id), lambda what: bars.update(task, advance=1, description=what)
        )
        snapshots = _remove_snapshots(settings)
    seconds = time.monotonic() - started
    typer.echo(
        f"The tables are written anew, {erased.bytes_before / 1e6:,.1f} MB before and "
        f"{erased.bytes_after / 1e6:,.1f} MB now, and {counted(snapshots, 'snapshot')} of indexes removed, in "
        f"{seconds:,.1f} s."
    )
    left = _left(settings, erased)
    for sentence in left:
        typer.echo(sentence)
    sys.exit(1 if left else 0)


def _remove_snapshots(settings: Settings) -> int:
    """Removes what the index ``faiss`` has written down; it is made anew when it is needed."""
    files = list((settings.data_dir / "indexes" / "faiss").glob("*"))
    for file in files:
        file.unlink(missing_ok=True)
    return len(files)


def _left(settings: Settings, erased: Erased) -> list[str]:
    """Returns a sentence for whatever may still hold something."""
    left = []
    if not erased.samples:
        left.append("The planner's samples are still there: the owner of the database has to VACUUM FULL pg_statistic.")
    if erased.log_bytes is None:
        left.append(
            "The write-ahead log still has what was deleted: this user may not CHECKPOINT, pg_switch_wal "
            "and pg_ls_waldir. Let a superuser do so, or wait until it has been written over."
        )
    if erased.held_segments:
        left.append(
            f"{erased.held_segments:,} older files of the write-ahead log are kept for a standby, an archive or "
            "a backup: run this again when they have been fetched."
        )
    if (settings.data_dir / "indexes" / "milvus").exists():
        left.append(
            f"Milvus Lite has its own files in {settings.data_dir / 'indexes' / 'milvus'}: remove the folder while no "
            "server runs; it is made anew."
        )
    left += [
        f"{path} is a database that restore has set aside: delete it once you need it no more."
        for path in sorted(settings.data_dir.glob("postgres.*"))
        if path.is_dir()
    ]
    return left
