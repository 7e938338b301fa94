"""Writers of one DuckLake take turns, on however many machines; readers do not ask.

Without keys, "store what is not stored yet" is only right if nobody else stores at the same time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from storage.lake import NAME, attach_lake, load_extensions, quote
from tocsin.errors import StorageBusy, StorageError
from tocsin.place import LakeAddress

_SERVER = "turns"  # what the catalog's Postgres is called while a turn is held


def open_lake(con: duckdb.DuckDBPyConnection, address: LakeAddress, name: str = NAME, *, wait: float) -> None:
    """Attach a DuckLake to write to it; where there is none, one of those who come first makes it.

    Raises: what `attach_lake` and `take_turn` raise.
    """
    load_extensions(con, address)
    try:
        attach_lake(con, address, name, create=False)
    except StorageError:
        with take_turn(con, address, wait=wait):
            attach_lake(con, address, name)


@contextmanager
def take_turn(con: duckdb.DuckDBPyConnection, address: LakeAddress, *, wait: float) -> Iterator[None]:
    """Hold the one right to write. It ends with the process or its connection, however they end.

    Raises: StorageBusy if another writer holds it for longer than `wait` seconds.
    """
    held = _file_turn(address, wait) if address.kind == "sqlite" else _server_turn(con, address, wait)
    with held:
        yield


@contextmanager
def _file_turn(address: LakeAddress, wait: float) -> Iterator[None]:
    path = Path(f"{address.catalog}.writer.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=wait)
    except Timeout as error:
        raise _busy(address) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _server_turn(con: duckdb.DuckDBPyConnection, address: LakeAddress, wait: float) -> Iterator[None]:
    """Hold an advisory lock of Postgres in a transaction of its own: it is the server that waits."""
    with con.cursor() as other:
        other.execute(f"ATTACH IF NOT EXISTS {quote(address.catalog)} AS {_SERVER} (TYPE postgres)")
        other.execute("BEGIN")
        try:
            _ask(other, f"SET LOCAL lock_timeout = {max(1, int(wait * 1000))}")
            _ask(other, f"SELECT pg_advisory_xact_lock({_key()})")
        except duckdb.Error as error:
            other.execute("ROLLBACK")
            if "lock timeout" in str(error):
                raise _busy(address) from error
            raise
        try:
            yield
        finally:
            other.execute("ROLLBACK")


def _ask(con: duckdb.DuckDBPyConnection, statement: str) -> None:
    con.execute(f"CALL postgres_execute('{_SERVER}', {quote(statement)})")


def _key() -> int:
    """Give the number of the lock: databases have locks of their own, so one number does for all."""
    return int.from_bytes(hashlib.sha256(f"tocsin {NAME}".encode()).digest()[:7])


def _busy(address: LakeAddress) -> StorageBusy:
    return StorageBusy(f"{address} is being written to by another process. Try again when it has finished.")
