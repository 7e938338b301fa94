"""What the errors of a DuckLake's catalog and of its S3 storage mean for an operator: pure translation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from tocsin.errors import StorageBusy, StorageError, StorageOutrun

LONGEST = 300  # characters of the other program's own words
_QUOTED = re.compile(r"'(?:[^']|'')*'")
_REASON = re.compile(
    r"(?:FATAL|ERROR): .*|connection to server (?:at|on socket) .*|server closed the connection .*"
    r"|(?:InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied|NoSuch\w+): .*"
)


class _Meaning(NamedTuple):
    """What an error with these words in it means, and what to look at."""

    words: re.Pattern[str]
    advice: str
    kind: type[StorageError] = StorageError


def _says(words: str) -> re.Pattern[str]:
    return re.compile(words, re.IGNORECASE | re.DOTALL)


# The first that fits counts. Nothing of a transaction that ended so is stored.
_MEANINGS = (
    _Meaning(
        # SQLite says at once that it is locked where who takes no turn wrote after we had begun to read.
        _says(r"transaction conflict|failed to commit.*database is locked"),
        "Another tool wrote to the history at the same time; nothing of this was stored. Try again.",
        StorageOutrun,
    ),
    _Meaning(
        _says(r"canceling statement due to lock timeout"),
        "Another session keeps tables of the catalog locked: look at pg_locks. Try again when it has ended.",
        StorageBusy,
    ),
    _Meaning(
        _says(r"too many clients|remaining connection slots"),
        "The catalog's Postgres has no connection left: look at max_connections. Try again later.",
        StorageBusy,
    ),
    _Meaning(
        _says(r"FATAL:\s+database .* does not exist"),
        "The catalog's database is not there: look at dbname= in the address, or make it with createdb.",
    ),
    _Meaning(
        _says(r"authentication failed|no password supplied|no pg_hba\.conf entry|role .* does not exist"),
        "The catalog's Postgres refused the user: look at user= in the address, PGPASSWORD or PGPASSFILE, "
        "and the server's pg_hba.conf.",
    ),
    _Meaning(
        _says(r"ERROR:\s+permission denied for|in a read-only transaction"),
        "The catalog's Postgres does not let this user write: look at the rights of user=, and whether "
        "host= is a server that only repeats another.",
    ),
    _Meaning(
        _says(
            r"unable to connect to postgres|server closed the connection|terminating connection"
            r"|no connection to the server|connection to server .* failed|SSL SYSCALL"
        ),
        "The catalog's Postgres cannot be reached: look whether the server runs, and at host= and port= in "
        "the address. What was committed before is intact; run again when it is back.",
    ),
    _Meaning(
        _says(r"InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied|\b403\b.*Forbidden|Forbidden.*\b403\b"),
        "S3 refused the key: look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION, and whether "
        "the key may read and write the bucket.",
    ),
    _Meaning(
        _says(r"NoSuchBucket"),
        "The bucket is not there: look at data= in the address and DUCKDB_S3_ENDPOINT, or make the bucket.",
    ),
    _Meaning(
        _says(r"NoSuchKey|HTTP (?:HEAD|GET).*\b404\b"),
        "A Parquet file of the history is gone from the bucket: look at data= in the address, and who "
        "removes files there.",
    ),
    _Meaning(
        _says(r"error for HTTP (?:HEAD|GET|PUT|POST)"),
        "The S3 server cannot be reached: look whether it runs, and at DUCKDB_S3_ENDPOINT and "
        "DUCKDB_S3_USE_SSL. What was committed before is intact; run again when it is back.",
    ),
)


def explain_lake(text: str, path: Path | None) -> StorageError | None:
    """Say what an error means if it is one of a DuckLake's catalog or storage; None if it is not."""
    said = _QUOTED.sub("''", text)  # statements that are quoted hold people's texts
    for meaning in _MEANINGS:
        if meaning.words.search(said):
            where = "" if path is None else f"{path}: "
            return meaning.kind(f"{where}{meaning.advice} ({_find_reason(said, text)})", path=path)
    return None


def _find_reason(said: str, text: str) -> str:
    """Give what the server says, or the first line, which quotes no rows."""
    found = _REASON.search(said)
    line = found[0] if found else text.strip().split("\n", 1)[0].rstrip(".")
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} …"
