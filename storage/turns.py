"""Writers of one DuckLake take turns, on however many machines; readers do not ask.

Without keys, "store what is not stored yet" is only right if nobody else stores at the same time.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from storage.lake import NAME, attach_lake, connection_of, load_extensions, quote
from tocsin.errors import StorageBusy, StorageError, StorageOutrun
from tocsin.place import LakeAddress

log = logging.getLogger(__name__)

Confirm = Callable[[], None]

_SERVER = "turns"  # what the catalog's Postgres is called while a turn is held


def open_lake(con: duckdb.DuckDBPyConnection, address: LakeAddress, name: str = NAME, *, wait: float) -> None:
    """Attach a DuckLake to write to it; where there is none, one of those who come first makes it.

    Raises: StorageError if another's files lie there already, and what `attach_lake` and `take_turn` raise.
    """
    load_extensions(con, address)
    if _attach_what_is_there(con, address, name):
        return
    with take_turn(con, address, wait=wait):
        if not _attach_what_is_there(con, address, name):  # somebody may have made it meanwhile
            _require_empty(con, address)
            attach_lake(con, address, name)


def _attach_what_is_there(con: duckdb.DuckDBPyConnection, address: LakeAddress, name: str) -> bool:
    try:
        attach_lake(con, address, name, create=False)
    except StorageError:
        return False
    return True


def _require_empty(con: duckdb.DuckDBPyConnection, address: LakeAddress) -> None:
    """Refuse a place with Parquet files: tending this DuckLake would remove them as nobody's."""
    pattern = f"{address.data.rstrip('/')}/**/*.parquet"
    if con.execute("FROM glob(?) LIMIT 1", [pattern]).fetchall():
        raise StorageError(
            f"{address}: data= holds Parquet files already, but there is no such catalog. Bring theirs "
            "back, or choose an empty place for data="
        )


@contextmanager
def take_turn(con: duckdb.DuckDBPyConnection, address: LakeAddress, *, wait: float) -> Iterator[Confirm]:
    """Hold the one right to write. It ends with the process or its connection, however they end.

    Gives what to call before a commit: it raises StorageOutrun if the turn was lost meanwhile.
    Raises: StorageBusy if another writer holds it for longer than `wait` seconds.
    """
    held = _file_turn(address, wait) if address.kind == "sqlite" else _server_turn(con, address, wait)
    with held as confirm:
        yield confirm


@contextmanager
def _file_turn(address: LakeAddress, wait: float) -> Iterator[Confirm]:
    path = Path(f"{address.catalog}.writer.lock")
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=wait)
    except Timeout as error:
        raise _busy(address) from error
    except OSError as error:
        raise StorageError(
            f"{path} cannot be locked ({error.strerror}): who writes needs to write in the catalog's folder"
        ) from error
    try:
        yield lambda: None  # such a lock is not lost
    finally:
        lock.release()


@contextmanager
def _server_turn(con: duckdb.DuckDBPyConnection, address: LakeAddress, wait: float) -> Iterator[Confirm]:
    """Hold an advisory lock of Postgres in a transaction of its own: it is the server that waits."""
    with con.cursor() as other:
        other.execute(f"ATTACH IF NOT EXISTS {quote(connection_of(address))} AS {_SERVER} (TYPE postgres)")
        other.execute("BEGIN")
        try:
            _ask(other, f"SET LOCAL lock_timeout = {max(1, int(wait * 1000))}")
            _ask(other, f"SELECT pg_advisory_xact_lock({_key()})")
        except duckdb.Error as error:
            _end(other)
            if "lock timeout" in str(error):
                raise _busy(address) from error
            raise

        def confirm() -> None:
            try:
                _ask(other, "SELECT 1")
            except duckdb.Error as error:
                raise _lost(address) from error

        try:
            yield confirm
        finally:
            _end(other)


def _ask(con: duckdb.DuckDBPyConnection, statement: str) -> None:
    con.execute(f"CALL postgres_execute('{_SERVER}', {quote(statement)})")


def _end(con: duckdb.DuckDBPyConnection) -> None:
    """Let the turn go. If the server is gone the turn is too, and what was committed stays so."""
    try:
        con.execute("ROLLBACK")
    except duckdb.Error as error:
        log.warning("turn.release_failed error=%s", str(error).strip().split("\n", 1)[0])


def _key() -> int:
    """Give the number of the lock: databases have locks of their own, so one number does for all."""
    return int.from_bytes(hashlib.sha256(f"tocsin {NAME}".encode()).digest()[:7])


def _lost(address: LakeAddress) -> StorageOutrun:
    return StorageOutrun(
        f"{address}: the connection that held the right to write was cut; nothing of this was stored. "
        "Try again."
    )


def _busy(address: LakeAddress) -> StorageBusy:
    return StorageBusy(f"{address} is being written to by another process. Try again when it has finished.")
