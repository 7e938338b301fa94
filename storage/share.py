"""The published history for readers on other machines: DuckDB's Quack server over it, reading only."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb

from storage.database import connect
from storage.extensions import load_installed
from storage.history_file import PARQUET, published_path, require_published
from storage.problems import explain, explain_opening
from storage.transaction import transaction
from tocsin.errors import StorageError

log = logging.getLogger(__name__)

EXTENSIONS = ("httpfs", "quack")
_ADVICE = (
    "Install tocsin[share] into an environment of its own (it takes DuckDB 1.5.5), as docs/sharing.md says."
)
# What may not stand in a question though it only selects: functions that begin, end or ask servers, change
# how the instance works, or read a question from a text, which the parser that looks here would not see.
_REFUSED = (
    "quack_", "enable_", "disable_", "truncate_", "checkpoint", "force_checkpoint", "query", "query_table",
    "json_execute_serialized_sql", "set_config",
)  # fmt: skip
# DuckDB's own parser makes an object of statements that only select, and an error of any other.
_ONLY_READING = f"""
CREATE MACRO only_reading(session, question) AS (
    SELECT NOT coalesce(CAST(asked ->> '$.error' AS BOOLEAN), true)
        AND NOT regexp_matches(CAST(asked AS VARCHAR), '(?i)"function_name":"({"|".join(_REFUSED)})')
    FROM (SELECT json_serialize_sql(CAST(question AS VARCHAR)) AS asked)
)
"""  # noqa: S608 - words of ours


@dataclass(frozen=True, slots=True)
class Listening:
    """Where to listen, and what clients must show."""

    host: str
    port: int
    token: str

    @property
    def address(self) -> str:
        """As DuckDB writes it."""
        return f"quack:{self.host}:{self.port}"


class SharedHistory:
    """A server in this process, and the version of history that it shows; see `share_history`."""

    def __init__(self, con: duckdb.DuckDBPyConnection, folder: Path) -> None:
        self._con = con
        self._path = published_path(folder)
        self._shown: tuple[int, int] | None = None
        self._number = 0

    def refresh(self) -> bool:
        """Show the newest version if it is not shown; tell whether it was another.

        In one step for clients: a question that has begun is answered from the version it began with.
        Raises: StorageError if it cannot be read; the one before is shown then.
        """
        try:
            found = self._path.stat()
            mark = (found.st_ino, found.st_mtime_ns)
            if mark == self._shown:
                return False
            self._show()
        except duckdb.Error as error:
            raise explain_opening(error, self._path) from error
        except OSError as error:
            raise explain(error, self._path) from error
        self._shown = mark
        log.info("history.shown version=%d", self._number)
        return True

    def _show(self) -> None:
        name = f"history_{self._number + 1}"
        self._con.execute(f"ATTACH {_quote(str(self._path))} AS {name} (READ_ONLY)")
        try:
            with transaction(self._con):
                shown, wanted = self._views("memory"), self._views(name)
                for view in wanted:
                    self._con.execute(f'CREATE OR REPLACE VIEW "{view}" AS FROM {name}.main."{view}"')
                for view in shown - wanted:
                    self._con.execute(f'DROP VIEW "{view}"')
        except duckdb.Error:
            self._con.execute(f"DETACH {name}")
            raise
        if self._number:
            self._con.execute(f"DETACH history_{self._number}")
        self._number += 1

    def _views(self, database: str) -> set[str]:
        rows = self._con.execute(
            "SELECT view_name FROM duckdb_views() "
            "WHERE database_name = $database AND schema_name = 'main' AND NOT internal",
            {"database": database},
        ).fetchall()
        return {name for (name,) in rows}


@contextmanager
def share_history(folder: Path, listening: Listening) -> Iterator[SharedHistory]:
    """Serve the published history of a data folder to DuckDB clients, until left.

    Clients can only select, from the history and from nothing else on this machine. Who shows the token may
    read all that is published. Nothing is encrypted: beyond this machine it takes a proxy that speaks TLS.

    Raises: StorageError if nothing was published, an extension is missing, or the address is taken.
    """
    require_published(folder)
    con = connect()
    try:
        load_installed(con, EXTENSIONS, advice=_ADVICE)
        shared = SharedHistory(con, folder)
        shared.refresh()
        _lock_up(con, folder)
        _serve(con, listening)
        try:
            yield shared
        finally:
            with suppress(duckdb.Error):
                con.execute(f"CALL quack_stop({_quote(listening.address)})")
    finally:
        con.close()


def _lock_up(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Allow no file but the published ones, no network, and no question that does more than select."""
    con.execute("SET GLOBAL TimeZone = 'UTC'")
    con.execute(_ONLY_READING)
    con.execute("SET GLOBAL quack_authorization_function = 'only_reading'")
    con.execute(f"SET allowed_paths = [{_quote(str(published_path(folder).absolute()))}]")
    con.execute(f"SET allowed_directories = [{_quote(str((folder / PARQUET).absolute()))}]")
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")


def _serve(con: duckdb.DuckDBPyConnection, listening: Listening) -> None:
    try:
        # DuckDB's server would share the port with whoever listens there already.
        socket.create_server((listening.host, listening.port)).close()
        con.execute(
            f"CALL quack_serve({_quote(listening.address)}, token => {_quote(listening.token)}, "
            "allow_other_hostname => true)"
        )
    except (duckdb.Error, OSError) as error:
        told = str(error).replace(listening.token, "…")
        raise StorageError(f"{listening.host}:{listening.port} cannot be listened on ({told})") from None


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
