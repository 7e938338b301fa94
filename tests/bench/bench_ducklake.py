"""Prints what one use of a history costs in a DuckDB file and in DuckLake, in milliseconds: medians of 9.

Needs the extra `ducklake`; TOCSIN_TEST_POSTGRES="host=… user=…" adds a Postgres catalog.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from storage.database import Database
from storage.folder import history_path
from tocsin.place import LakeAddress, bind_lake

POSTGRES = os.environ.get("TOCSIN_TEST_POSTGRES")
ROUNDS = 9


def main() -> None:
    """Measure each kind in a folder of its own."""
    print(f"DuckDB {duckdb.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        measure("file", Path(folder) / "file")
        measure("SQLite", make(Path(folder) / "sqlite", "sqlite", f"{folder}/catalog.sqlite"))
        if POSTGRES:
            name = f"tocsin_bench_{os.getpid()}"
            psql(f"CREATE DATABASE {name}")
            measure("Postgres", make(Path(folder) / "postgres", "postgres", f"{POSTGRES} dbname={name}"))
            psql(f"DROP DATABASE {name} WITH (FORCE)")


def make(folder: Path, kind: str, catalog: str) -> Path:
    """Bind a data folder to a new DuckLake; give the folder."""
    bind_lake(folder, LakeAddress(kind, catalog, f"{folder}-parquet"))
    return folder


def psql(statement: str) -> None:
    """Run a statement on the server."""
    subprocess.run(["psql", "-q", f"{POSTGRES} dbname=postgres", "-c", statement], check=True)


def measure(kind: str, folder: Path) -> None:
    """Print a line of medians."""
    started = time.perf_counter()
    db = Database(history_path(folder))
    with db.write():
        pass
    figures = {"made": (time.perf_counter() - started) * 1000}

    def write() -> None:
        with db.write() as con:
            con.execute("INSERT INTO seen VALUES (1, 1)")

    def write_many() -> None:
        with db.write() as con:
            con.execute("INSERT INTO seen SELECT range, range FROM range(1000)")

    def read() -> None:
        with db.read() as con:
            con.execute("SELECT * FROM alerts").fetchall()

    for name, use in {"write 1 row": write, "write 1,000": write_many, "read alerts": read}.items():
        figures[name] = take(use)
    print(f"{kind:9}", *(f"{name} {value:7.1f}" for name, value in figures.items()), sep="  ")
    db.close()


def take(use: Callable[[], None]) -> float:
    """Give the median of several uses in milliseconds; the first does not count."""
    use()
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        use()
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


if __name__ == "__main__":
    main()
