"""DuckDB's extensions that were installed with Python's own means; nothing is fetched from anywhere."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path

import duckdb

from tocsin.errors import StorageError


def load_installed(con: duckdb.DuckDBPyConnection, names: Iterable[str], *, advice: str) -> None:
    """Load extensions in this order, each from its package.

    Raises: StorageError that says `advice` if one is not installed for this DuckDB.
    """
    for name in names:
        place = str(find_installed(name, advice=advice)).replace("'", "''")
        con.execute(f"LOAD '{place}'")


def find_installed(name: str, *, advice: str) -> Path:
    """Give the file of an extension. Raises: StorageError, as `load_installed`."""
    message = f"DuckDB {duckdb.__version__} has no extension {name} here. {advice}"
    try:
        package = importlib.import_module(f"duckdb_extension_{name}")
    except ImportError:
        raise StorageError(message) from None
    folder = Path(next(iter(package.__path__))) / "extensions" / f"v{duckdb.__version__}"
    path = folder / f"{name}.duckdb_extension"
    if not path.is_file():
        raise StorageError(message)
    return path
