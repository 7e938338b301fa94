"""The one door to the history file: opened late, closed early, one transaction per use.

One process may hold a DuckDB file for writing, and then no other may even read it.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import duckdb

from storage.lake import NAME, attach_lake, is_lake
from storage.migrate import migrate, pending_migrations
from storage.problems import corrupt, explain, explain_opening
from storage.transaction import transaction
from storage.turns import Confirm, open_lake, take_turn
from tocsin.errors import StorageBusy, StorageError, StorageOutrun
from tocsin.place import read_lake

log = logging.getLogger(__name__)

T = TypeVar("T")

FILE_NAME = "tocsin.duckdb"
PUBLISHED_NAME = "history.duckdb"
DEFAULT_WAIT = timedelta(seconds=30)

# A checkpoint in the middle of a run costs more than the run's rows; closing the file makes one anyway.
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "wal_autocheckpoint": "256MB",
    "autoinstall_known_extensions": False,  # opening a file must never reach for the network
}
# Rows. DuckDB rewrites the last row group at every checkpoint, in memory: with its default of 122,880 that
# was 130 MB of articles. Scans of ten million scores take as long (0.19 s against 0.16).
ROW_GROUP = 16_384
_HISTORY = "history"  # what an attached file is called
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
_MAGIC = slice(8, 12)


class Database:
    """The history in one file, or in memory if `path` is None (for dry runs and tests).

    `wait` bounds how long a held file is waited for. Threads of one process take turns.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        wait: timedelta = DEFAULT_WAIT,
        sleep: Callable[[float], None] = time.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self.path = None if path is None else path.absolute()
        self._wait = wait.total_seconds()
        self._sleep = sleep
        self._rng = rng or random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._turn = _turn_of(self.path)
        self._is_checked = path is None
        self._memory = None if path is not None else _open_memory()
        self._engine: duckdb.DuckDBPyConnection | None = None

    @contextmanager
    def write(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open for one transaction on the newest schema: committed at the end, rolled back on any exception.

        Creates folder and file where they are missing.
        Raises: StorageBusy, StorageCorrupt, StorageError.
        """
        with self._alone() as (con, confirm), transaction(con):
            yield con
            confirm()

    def change(self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Do `work` as `write` would; where another's commit outran it, wait with jitter and do it again.

        `work` looks and stores by its connection only: done again, it sees what the others stored.
        Raises: StorageOutrun if pauses of `wait` together did not help, and what `write` raises.
        """
        for pause in self._pauses():
            try:
                return self._change(work)
            except StorageOutrun:
                log.info("database.outrun path=%s pause=%.2f", self.path, pause)
                self._sleep(pause)
        return self._change(work)

    def _change(self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        with self.write() as con:
            return work(con)

    @contextmanager
    def alone(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open for statements that make transactions of their own, as no other writer; for maintenance.

        Raises: StorageBusy, StorageCorrupt, StorageError.
        """
        with self._alone() as (con, _):
            yield con

    @contextmanager
    def read(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open for reading only; an older schema is brought up to date first.

        Raises: StorageBusy, StorageCorrupt, and StorageError if there is no history yet.
        """
        self.require_history()
        self._update_schema()
        with self._in_use(read_only=True) as con, self._explained(), transaction(con, read_only=True):
            yield con

    @contextmanager
    def look(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open for reading only, on whatever schema the file has.

        Raises: StorageBusy, StorageCorrupt, and StorageError if there is no history yet.
        """
        self.require_history()
        with self._in_use(read_only=True) as con, self._explained(), transaction(con, read_only=True):
            yield con

    def close(self) -> None:
        """Let go of what is kept open between uses; the next use opens it again."""
        if self._engine is not None:
            self._close(self._engine)
            self._engine = None

    def require_history(self) -> None:
        """Raise StorageError if there is no history yet."""
        if self.path is not None and not self.path.exists():
            raise StorageError(
                f"{self.path} does not exist: there is no history yet. Make one with `tocsin monitor`.",
                path=self.path,
            )

    @contextmanager
    def _alone(self) -> Iterator[tuple[duckdb.DuckDBPyConnection, Confirm]]:
        """Open as `alone` does; give also what to call before a commit, which fails if we lost the turn."""
        with self._in_use(read_only=False) as con, self._explained(), self._writing_alone(con) as confirm:
            migrate(con)
            yield con, confirm

    def _writing_alone(self, con: duckdb.DuckDBPyConnection) -> AbstractContextManager[Confirm]:
        """Take the writers' turn of a DuckLake; who has a file open for writing is alone anyway."""
        if self.path is None or not is_lake(self.path):
            return nullcontext(lambda: None)
        return take_turn(con, read_lake(self.path), wait=self._wait)

    def _update_schema(self) -> None:
        """Bring an older file up to date, once: files never go back."""
        if not self._is_checked and self._is_outdated():
            with self.write():
                log.info("history.updated path=%s", self.path)
        self._is_checked = True

    def _is_outdated(self) -> bool:
        with self._in_use(read_only=True) as con, self._explained():
            return bool(pending_migrations(con))

    @contextmanager
    def _in_use(self, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._turn.take(self._wait, self.path):
            con = self._memory or self._open_patiently(read_only=read_only)
            try:
                yield con
            except BaseException as error:
                self._give_up(con, error)
                raise
            self._release(con)

    def _open_patiently(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        for pause in self._pauses():
            try:
                return self._open(read_only=read_only)
            except StorageBusy as busy:
                log.info("database.awaited path=%s pause=%.2f reason=%s", self.path, pause, busy)
                self._sleep(pause)
        return self._open(read_only=read_only)

    def _pauses(self) -> Iterator[float]:
        """Yield growing, jittered pauses whose sum is `wait`."""
        left, longest = self._wait, _FIRST_PAUSE
        while left > 0:
            pause = min(left, self._rng.uniform(longest / 2, longest))
            yield pause
            left -= pause
            longest = min(2 * longest, _LONGEST_PAUSE)

    def _open(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        path = self.require_path()
        if is_lake(path):
            return self._open_lake(path)
        try:
            if not read_only and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                _create(path)
            check_magic(path)
            con, self._engine = self._engine or _connect(), None
            _attach(con, path, read_only=read_only)
            return con  # noqa: TRY300  what a damaged file raises is explained below
        except (duckdb.Error, OSError) as error:
            raise explain_opening(error, path) from error

    def _open_lake(self, path: Path) -> duckdb.DuckDBPyConnection:
        """Take the open DuckLake, or open it; each transaction sees what others committed before it."""
        if self._engine is not None:
            con, self._engine = self._engine, None
            return con
        con = _connect()
        try:
            if path.with_name(PUBLISHED_NAME).exists():  # a catalog that is not there now was lost
                attach_lake(con, read_lake(path), create=False)
            else:
                open_lake(con, read_lake(path), wait=self._wait)
            con.execute(f"USE {NAME}")
        except (duckdb.Error, OSError) as error:
            con.close()
            raise explain(error, path) from error
        except BaseException:
            con.close()
            raise
        return con

    def require_path(self) -> Path:
        """Give the path of the file; StorageError if the database is in memory."""
        if self.path is None:
            raise StorageError("The database in memory has no file to open")
        return self.path

    def _release(self, con: duckdb.DuckDBPyConnection) -> None:
        """Let go of the file; DuckDB itself is kept: to start it takes four times as long."""
        if con is self._memory:
            return
        if is_lake(self.path):  # nobody waits for it
            self._engine = con
            return
        try:
            con.execute(f"USE memory; DETACH {_HISTORY}")
        except duckdb.Error as error:
            log.warning("database.release_failed path=%s error=%s", self.path, error)
            self._close(con)
        else:
            self._engine = con

    def _give_up(self, con: duckdb.DuckDBPyConnection, error: BaseException) -> None:
        """Close after an error; a DuckLake stays open if the error was not the database's own."""
        is_others = isinstance(error, Exception) and not isinstance(error, duckdb.Error | StorageError)
        if is_lake(self.path) and is_others:
            with suppress(duckdb.Error):
                con.unregister("incoming")
            self._engine = con
        else:
            self._close(con)

    def _close(self, con: duckdb.DuckDBPyConnection) -> None:
        if con is self._memory:
            return
        # The transaction is over; should the disk be full now, the write-ahead log holds it until next time.
        try:
            con.close()
        except duckdb.Error as error:
            log.warning("database.close_failed path=%s error=%s", self.path, error)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            raise explain(error, self.path) from error
        except StorageError as error:
            error.path = error.path or self.path
            raise


class _Turn:
    """Lets one thread at a time use a file, and notices a thread that would wait for itself."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner: int | None = None

    @contextmanager
    def take(self, wait: float, path: Path | None) -> Iterator[None]:
        if self._owner == threading.get_ident():
            raise StorageError("The database is already open in this thread; uses do not nest", path=path)
        if not self._lock.acquire(timeout=wait):
            raise StorageBusy(f"{path or 'The database in memory'} is in use by another thread.", path=path)
        self._owner = threading.get_ident()
        try:
            yield
        finally:
            self._owner = None
            self._lock.release()


_TURNS: dict[Path, _Turn] = {}


def _turn_of(path: Path | None) -> _Turn:
    """Find the turn of a file: one per file, as two Databases on one would clash inside DuckDB."""
    return _Turn() if path is None else _TURNS.setdefault(path.resolve(), _Turn())


def _attach(con: duckdb.DuckDBPyConnection, path: Path, *, read_only: bool) -> None:
    """Open a file by attaching it: only then can the size of its row groups be chosen."""
    access = "READ_ONLY" if read_only else f"READ_WRITE, ROW_GROUP_SIZE {ROW_GROUP}"
    place = str(path).replace("'", "''")
    try:
        con.execute(f"ATTACH '{place}' AS {_HISTORY} ({access}); USE {_HISTORY}")
    except BaseException:
        con.close()
        raise


def connect(place: Path | str = ":memory:", *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """Open DuckDB as we use it; it prints nothing of its own, not even how far a slow question has come."""
    con = duckdb.connect(place, read_only=read_only, config=CONFIG)
    con.execute("SET enable_progress_bar = false")  # it goes to stdout, in the middle of an answer
    # Packed, vectors are a tenth smaller, and unpacking them is a third of the time that reading takes.
    con.execute("SET disabled_compression_methods = 'alp,alprd'")
    return con


def _connect() -> duckdb.DuckDBPyConnection:
    con = connect()
    con.execute("SET TimeZone = 'UTC'")
    return con


def _open_memory() -> duckdb.DuckDBPyConnection:
    con = _connect()
    migrate(con)
    return con


def _create(path: Path) -> None:
    """Put an empty database at `path` in one step, so that a crash never leaves half a file header there."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    try:
        duckdb.connect(draft, config=CONFIG).close()
        _publish(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _publish(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)  # unlike a rename it never replaces what another process just made
    except FileExistsError:
        log.debug("database.creation_outrun path=%s", path)
    except OSError:  # a file system without hard links: DuckDB makes the file itself
        log.debug("database.created_in_place path=%s", path)


def check_magic(path: Path) -> None:
    """Refuse what is not DuckDB's before DuckDB looks: it answers a SQLite file by fetching an extension.

    Safe only while this process has no connection to the file: closing any descriptor of a file gives up the
    process's locks on it.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        head = file.read(_MAGIC.stop)
    if head[_MAGIC] != b"DUCK":
        raise corrupt(path, "it does not begin like a DuckDB file")
