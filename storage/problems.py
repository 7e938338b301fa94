"""What DuckDB's errors mean for an operator: pure translation, no files touched."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from storage.lake_problems import explain_lake
from tocsin.errors import StorageBusy, StorageCorrupt, StorageError

_BUSY = re.compile(
    r"could not set lock|conflicting lock|different configuration than existing"
    r"|being used by another process|unique file handle conflict|database is locked",
    re.IGNORECASE,
)
_CORRUPT = re.compile(
    r"corrupt|not a valid duckdb|checksum|version number|could not read enough bytes|deseriali[sz]e"
    r"|serialization error|failure while replaying wal|newer (?:version|duckdb)|storage version",
    re.IGNORECASE,
)
_DISK = (
    (
        re.compile(r"no space left|disk quota|file too large|out of disk|disk is full", re.IGNORECASE),
        (
            "could not be written: the disk is full ({why}). "
            "Make room and run again; what was committed before is intact."
        ),
    ),
    (
        re.compile(r"permission denied|read-only file system|operation not permitted", re.IGNORECASE),
        (
            "may not be opened or written ({why}). "
            "Give this user permission to write the file and its folder, or choose another TOCSIN_DATA."
        ),
    ),
)
_ABOUT_SQL = (duckdb.ProgrammingError, duckdb.DataError, duckdb.IntegrityError)
_OWN_QUESTION = re.compile(r"^\w+(?: \w+)? Error: Failed to [\w ]* DuckLake: ")  # DuckLake's to its catalog
_HOLDER = re.compile(r"\(PID (\d+)\)")


def explain(error: Exception, path: Path | None) -> StorageError:
    """Turn an error of DuckDB or the system into the StorageError that says what to look at."""
    text = str(error)
    where = name_of(path)
    is_about_sql = isinstance(error, _ABOUT_SQL) and not _OWN_QUESTION.search(text)
    if not is_about_sql and (known := explain_lake(text, path)):
        return known
    if is_about_sql:  # such messages quote people's data: no guessing from their words
        return StorageError(f"{where} refused a statement: {_first_line(text)}", path=path)
    if _BUSY.search(text):
        return _explain_busy(text, path)
    if _CORRUPT.search(text):
        return corrupt(path, _first_line(text))
    for words, advice in _DISK:
        if words.search(text):
            return StorageError(f"{where} {advice.format(why=_first_line(text))}", path=path)
    return StorageError(f"{where} could not be used: {_first_line(text)}", path=path)


def explain_opening(error: Exception, path: Path) -> StorageError:
    """Turn an error met while a file is opened into a StorageError; internal errors mean corruption there."""
    if isinstance(error, duckdb.InternalException | duckdb.FatalException | duckdb.SerializationException):
        return corrupt(path, _first_line(str(error)))
    return explain(error, path)


def corrupt(path: Path | None, why: str) -> StorageCorrupt:
    """Say that the file cannot be read as a database, that it was not changed, and what to do."""
    return StorageCorrupt(
        f"{name_of(path)} is not a database that this version can open ({why}). It was left untouched. "
        "Restore it from a backup, or choose another TOCSIN_DATA to start a new history.",
        path=path,
    )


def name_of(path: Path | None) -> str:
    """Name a database in a message."""
    return "The database in memory" if path is None else str(path)


def _explain_busy(text: str, path: Path | None) -> StorageBusy:
    holder = _HOLDER.search(text)
    who = f"process {holder[1]}" if holder else "another connection"
    return StorageBusy(f"{name_of(path)} is in use by {who}. Try again when it has finished.", path=path)


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0].rstrip(".")
