"""What keeps unit tests fast: nothing of the other tiers works in this one."""

import multiprocessing
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from rekognition_emulator.inference.sessions import open_model
from rekognition_emulator.storage.embedded_postgres import embedded_database
from tests.support.networks import embedded_engine


def test_no_process_starts(tmp_path: Path) -> None:
    """Neither by the standard library's two ways nor for an embedded PostgreSQL."""
    with pytest.raises(AssertionError, match="starts a process: it belongs to tests/server"):
        subprocess.run([sys.executable, "--version"], check=True)
    with pytest.raises(AssertionError, match="starts a process"):
        multiprocessing.get_context("spawn").Process(target=print).start()
    with pytest.raises(AssertionError, match="starts a process"), embedded_database(tmp_path):
        pass


def test_no_database_opens() -> None:
    """Neither by a connection nor by a pool of them."""
    with pytest.raises(AssertionError, match="opens a database: it belongs to tests/database"):
        psycopg.connect("postgresql://127.0.0.1:1/none")
    with ConnectionPool("postgresql://127.0.0.1:1/none", open=False) as pool, pytest.raises(AssertionError):
        pool.connection_class.connect()


def test_no_network_runs(tmp_path: Path) -> None:
    """Neither one alone nor an engine."""
    with pytest.raises(AssertionError, match="runs a network: it belongs to tests/inference"):
        open_model(b"", threads=1)
    with pytest.raises(AssertionError, match="runs a network"):
        embedded_engine(tmp_path, threads=1)
