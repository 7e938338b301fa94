"""Every error that Tocsin raises on purpose, as one tree.

TocsinError
├── SettingsError      a setting, option or file given by a person is wrong
│   ├── TopicError     a topic definition is wrong
│   └── OpmlError      a feed list cannot be read
├── FeedError          a feed's bytes are not a feed (a *value* in a run: see `types.FetchFailed`)
├── ModelError         model files are missing, corrupt or do not fit together
├── StorageError       the database cannot be used
│   ├── StorageBusy    another process holds it; try again
│   │   └── StorageOutrun  another's commit came first, nothing of ours is stored; do it again
│   ├── StorageCorrupt the file is not a database we can open
│   └── QueryError     a person's SQL was refused
├── WorkerLost         a worker process ended with a task of ours, and again when it was done anew
└── DeliveryError      Slack or another outlet for alerts refused or did not answer
    ├── DeliveryRefused    it will be refused again until a person changes something
    ├── DeliveryDelayed    it was not accepted; it may be sent again after `retry_after`
    └── DeliveryUncertain  it may have been accepted; ask before it is sent again

A message begins with what the operator should look at and holds no secret. Data travel as attributes.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path


class TocsinError(Exception):
    """Base of all; the command line prints its message and exits with `exit_code`."""

    exit_code = 1

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by message and attributes, whatever the constructor takes: errors cross processes."""
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[TocsinError], args: tuple[object, ...], attributes: dict[str, object]) -> TocsinError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class SettingsError(TocsinError):
    """A setting, option or file that a person gave is wrong."""

    exit_code = 2


class TopicError(SettingsError):
    """A topic definition is wrong."""


class OpmlError(SettingsError):
    """A list of feeds cannot be read."""


class FeedError(TocsinError):
    """The bytes are not a feed. `reason` is a short slug such as `html` or `no_feed`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ModelError(TocsinError):
    """Model files are missing, corrupt or do not fit together; `path` names the file."""

    def __init__(self, message: str, *, path: Path | None = None) -> None:
        super().__init__(message)
        self.path = path


class WorkerLost(TocsinError):
    """A worker ended with a task of ours, and again when it was done anew; nothing of it was stored."""


class StorageError(TocsinError):
    """The database at `path` cannot be used."""

    def __init__(self, message: str, *, path: Path | None = None) -> None:
        super().__init__(message)
        self.path = path


class StorageBusy(StorageError):
    """Another process holds the database file; the same call may succeed later."""


class StorageOutrun(StorageBusy):
    """Another's commit came first: nothing of this transaction is stored, and it may be done again."""


class StorageCorrupt(StorageError):
    """The file is not a database that this version can open; it is left as it is."""


class QueryError(StorageError):
    """The database refused a person's SQL."""

    exit_code = 2


class DeliveryError(TocsinError):
    """An alert was not delivered. `code` is the outlet's own error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class DeliveryRefused(DeliveryError):
    """The alert will be refused again until a person changes something."""


class DeliveryDelayed(DeliveryError):
    """The alert was certainly not accepted; it may be sent again after `retry_after`."""

    def __init__(self, code: str, message: str, *, retry_after: timedelta) -> None:
        super().__init__(code, message)
        self.retry_after = retry_after


class DeliveryUncertain(DeliveryError):
    """The alert may or may not have been accepted; ask before it is sent again."""
