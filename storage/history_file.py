"""history.duckdb: views over the published Parquet files, made anew each time and swapped in one step."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from storage.changes import Catalog
from storage.database import PUBLISHED_NAME, connect
from storage.lake import ARRAYS, speaks_lake, view_comments
from storage.manifest import Manifest, save_manifest
from storage.migrate import load_migrations
from storage.parquet import scan, sync
from storage.problems import explain, explain_opening
from storage.published_tables import DERIVED
from storage.transaction import transaction
from tocsin.errors import StorageError

NAME = PUBLISHED_NAME
PARQUET = "history"  # the folder beside it

# DuckDB 1.0 and later read it, whatever version writes it.
_STORAGE_VERSION = "v1.0.0"

Comments = Mapping[str, tuple[str | None, Mapping[str, str]]]
"""By table or view: its comment, and those of its columns."""


def published_path(folder: Path) -> Path:
    """Give the path of the published history in a data folder."""
    return folder / NAME


def require_published(folder: Path) -> Path:
    """Give the path of the published history. Raises: StorageError if nothing was published yet."""
    path = published_path(folder)
    if not path.exists():
        raise StorageError(
            f"{path} does not exist: nothing was published yet. `tocsin monitor` publishes at its end, "
            "`tocsin publish` what is stored now; `tocsin sql --live` asks the database of the runs.",
            path=path,
        )
    return path


@contextmanager
def read_published(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the published history of a data folder for reading; runs neither wait for it nor disturb it.

    Raises: StorageError if nothing was published yet, or it cannot be read.
    """
    path = require_published(folder)
    try:
        con = connect(path, read_only=True)
    except duckdb.Error as error:
        raise explain_opening(error, path) from error
    try:
        con.execute("SET TimeZone = 'UTC'")
        yield con
    except duckdb.Error as error:
        raise explain(error, path) from error
    finally:
        con.close()


def read_catalog(con: duckdb.DuckDBPyConnection) -> Catalog:
    """Read what tables, views and columns the database in use has."""
    columns: dict[str, list[tuple[str, str]]] = {}
    for name, column, kind in con.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() "
        "WHERE database_name = current_database() AND NOT internal ORDER BY table_name, column_index"
    ).fetchall():
        columns.setdefault(name, []).append((column, ARRAYS.get((name, column), kind)))
    views = con.execute(
        "SELECT view_name, sql FROM duckdb_views() "
        "WHERE database_name = current_database() AND NOT internal ORDER BY view_oid"
    ).fetchall()
    [(place,)] = con.execute("SELECT current_database() || '.main'").fetchall()
    return Catalog(place, columns, {name: _query_of(sql) for name, sql in views})


def read_comments(con: duckdb.DuckDBPyConnection) -> Comments:
    """Read what the database in use says of its tables, views and columns."""
    found: dict[str, tuple[str | None, dict[str, str]]] = {}
    for name, comment in con.execute(
        "SELECT table_name, comment FROM duckdb_tables() WHERE database_name = current_database() "
        "UNION ALL SELECT view_name, comment FROM duckdb_views() "
        "WHERE database_name = current_database() AND NOT internal"
    ).fetchall():
        found[name] = (comment, {})
    for name, column, comment in con.execute(
        "SELECT table_name, column_name, comment FROM duckdb_columns() "
        "WHERE database_name = current_database() AND comment IS NOT NULL"
    ).fetchall():
        found[name][1][column] = comment
    if speaks_lake(con):
        for (view, column), text in view_comments(each.sql for each in load_migrations()).items():
            found[view][1][column] = text
    return found


def swap_in(
    con: duckdb.DuckDBPyConnection, path: Path, manifest: Manifest, catalog: Catalog, comments: Comments
) -> None:
    """Make a history.duckdb of this manifest and put it in the place of the present one in one step.

    Views are those of the live database, word for word; a table, and a view that is published as rows of its
    own, becomes a view over its files. Nobody may write to it: who wants to read has to say so.

    Raises: StorageError if it cannot be written; the one before is in place then.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        draft.unlink(missing_ok=True)
        order = _order_views(con, {name: sql for name, sql in catalog.views.items() if name not in DERIVED})
        with _attached(con, draft):
            _build(con, path.parent / PARQUET, manifest, catalog, order)
            for relation in [*manifest.progress, *order]:
                _comment(con, relation, *comments[relation])
        draft.chmod(draft.stat().st_mode & 0o444)
        sync(draft)
        path.with_name(f"{path.name}.wal").unlink(missing_ok=True)  # of somebody who wrote to the one before
        draft.replace(path)
    except (duckdb.Error, OSError) as error:
        raise explain(error, path) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    with suppress(OSError):
        sync(path.parent)


def remove_drafts(path: Path) -> None:
    """Remove what killed publications left beside the file."""
    for draft in path.parent.glob(f"{path.name}.*.new*"):
        with suppress(OSError):
            draft.unlink()


@contextmanager
def _attached(con: duckdb.DuckDBPyConnection, draft: Path) -> Iterator[None]:
    """Write to a new database file in one transaction; afterwards it is complete and closed."""
    place = str(draft).replace("'", "''")
    con.execute(f"ATTACH '{place}' AS history (STORAGE_VERSION '{_STORAGE_VERSION}')")
    try:
        con.execute("USE history")
        with transaction(con):
            yield
    finally:
        con.execute("USE memory")
        con.execute("DETACH history")


def _build(
    con: duckdb.DuckDBPyConnection, root: Path, manifest: Manifest, catalog: Catalog, order: Iterable[str]
) -> None:
    save_manifest(con, manifest)
    for relation in manifest.progress:
        _bind_files(con, root, relation, manifest, catalog)
    for name in order:
        con.execute(f"CREATE VIEW {name} AS {catalog.views[name]}")


def _bind_files(
    con: duckdb.DuckDBPyConnection, root: Path, relation: str, manifest: Manifest, catalog: Catalog
) -> None:
    """Make a view over an explicit list of files, which stays the same for who has opened it."""
    files = [file for group in manifest.parts(relation).values() for file in group]
    names = ", ".join(f'CAST("{name}" AS {kind}) AS "{name}"' for name, kind in catalog.columns[relation])
    if files:
        source = scan(root, sorted(files, key=lambda file: (file.part, file.generation)))
    else:
        source = "(SELECT " + ", ".join(f'NULL AS "{name}"' for name, _ in catalog.columns[relation]) + ")"
    where = "" if files else " WHERE false"
    con.execute(f"CREATE VIEW {relation} AS SELECT {names} FROM {source}{where}")  # noqa: S608


def _order_views(con: duckdb.DuckDBPyConnection, views: Mapping[str, str]) -> list[str]:
    """Put the views into an order in which each finds those that it reads."""
    waiting = {name: con.get_table_names(sql) for name, sql in views.items()}
    ordered: list[str] = []
    while waiting:
        ready = [name for name, read in waiting.items() if not read & (waiting.keys() - {name})]
        if not ready:
            raise StorageError(f"The views {', '.join(waiting)} read each other")
        ordered += ready
        waiting = {name: read for name, read in waiting.items() if name not in ready}
    return ordered


def _comment(
    con: duckdb.DuckDBPyConnection, relation: str, comment: str | None, columns: Mapping[str, str]
) -> None:
    lines = [f"COMMENT ON VIEW {relation} IS {_quote(comment)}"] if comment else []
    lines += [f'COMMENT ON COLUMN {relation}."{name}" IS {_quote(text)}' for name, text in columns.items()]
    con.execute("; ".join(lines))


def _query_of(sql: str) -> str:
    """Take the query out of a CREATE VIEW statement as DuckDB gives it."""
    return sql.partition(" AS ")[2].rstrip().rstrip(";")


def _quote(text: str | None) -> str:
    return "'" + (text or "").replace("'", "''") + "'"
