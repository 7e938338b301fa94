"""What the operator was told of monitoring that stopped: one small file, apart from the history and its lock.

The history may be what is broken, and its lock what a run that hangs holds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from filelock import FileLock, Timeout

from tocsin.errors import StorageBusy, StorageError
from tocsin.types import AlertState

FILE_NAME = "silence.json"
_WAIT = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Silence:
    """An episode without a successful run, as far as it was told; `since` is when it was first seen.

    `message` None: not to be told yet.
    """

    silence_id: str
    since: datetime
    message: str | None = None
    state: AlertState = "pending"
    attempts: int = 0
    retry_at: datetime | None = None


class SilenceFile:
    """Keeps the present episode; each change is durable when it returns."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Silence | None:
        """Load the episode; None if there is none, or nothing that can be read."""
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            times = {name: _read_time(found.pop(name)) for name in ("since", "retry_at")}
            return Silence(**found, since=times["since"] or datetime.now(UTC), retry_at=times["retry_at"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def save(self, silence: Silence) -> None:
        """Keep the episode as it is now, in place of what was kept. Raises: StorageError."""
        draft = self._path.with_suffix(".new")
        try:
            with draft.open("w", encoding="utf-8") as file:
                json.dump(asdict(silence), file, default=datetime.isoformat)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def forget(self) -> None:
        """End the episode."""
        self._path.unlink(missing_ok=True)


@contextmanager
def hold_silence(folder: Path) -> Iterator[SilenceFile]:
    """Give the file of a data folder to one process at a time.

    Raises: StorageBusy if another keeps it, StorageError if the folder cannot be written to.
    """
    path = folder / FILE_NAME
    lock = FileLock(folder / f"{FILE_NAME}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=_WAIT.total_seconds())
    except Timeout as error:
        raise StorageBusy(f"{path}: another process looks after it already", path=path) from error
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield SilenceFile(path)
    finally:
        lock.release()


def _unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(f"{path}: cannot be written ({error.strerror})", path=path)


def _read_time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
