"""The data folder: where the history lies in it, one run at a time, and copies to try things on."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from filelock import FileLock, Timeout

from storage.database import FILE_NAME
from storage.lake import is_lake
from storage.move import write_file
from tocsin.errors import StorageBusy, StorageError
from tocsin.place import LAKE_NAME

LOCK_NAME = "run.lock"
DEFAULT_WAIT = timedelta(seconds=60)


def history_path(folder: Path) -> Path:
    """Give the path of the history in a data folder: its file, or what says in which DuckLake it lies."""
    lake = folder / LAKE_NAME
    return lake if lake.exists() else folder / FILE_NAME


@contextmanager
def lock_data_folder(folder: Path, *, wait: timedelta = DEFAULT_WAIT) -> Iterator[None]:
    """Let one run at a time work in the folder, which is made if it is missing.

    The lock belongs to the process: the operating system releases it when the process ends, however it ends.

    Raises:
        StorageBusy: another run holds it for longer than `wait`.
        StorageError: the folder cannot be written to.
    """
    lock = FileLock(folder / LOCK_NAME)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=wait.total_seconds())
    except Timeout as error:
        raise StorageBusy(
            f"Data folder {folder}: another run is working there; this one can start when it has ended",
            path=folder,
        ) from error
    except OSError as error:
        raise StorageError(
            f"Data folder {folder}: cannot be written to ({error.strerror}); choose another with --data "
            "or TOCSIN_DATA",
            path=folder,
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def throwaway_copy(path: Path) -> Iterator[Path]:
    """Give the path of a copy of the history that is gone afterwards; there may be no history yet.

    Hold the folder's lock: nobody may write while it is copied.
    """
    with tempfile.TemporaryDirectory(prefix="tocsin-") as folder:
        if is_lake(path):
            copy = Path(folder) / FILE_NAME
            write_file(path, copy)
            yield copy
            return
        for part in (path, path.with_name(f"{path.name}.wal")):
            if part.exists():
                shutil.copyfile(part, Path(folder) / part.name)
        yield Path(folder) / path.name
