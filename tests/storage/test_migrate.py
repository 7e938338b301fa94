"""The schema: every start leads to the same end, and what we do not know is refused."""

from datetime import timedelta

import duckdb
import pytest

from storage.database import Database
from storage.migrate import Migration, load_migrations, migrate, pending_migrations
from tocsin.errors import StorageError

_START = """
import sys
from pathlib import Path
from storage.database import Database

print("ready", flush=True)
sys.stdin.readline()
with Database(Path(sys.argv[1])).write() as con:
    print(con.execute("SELECT list(number ORDER BY number) FROM schema_migrations").fetchall()[0][0])
"""


def describe_schema(con) -> tuple[list, list]:
    columns = con.execute(
        "SELECT table_name, column_name, data_type, is_nullable, comment FROM duckdb_columns() "
        "WHERE NOT internal ORDER BY ALL"
    ).fetchall()
    views = con.execute(
        "SELECT view_name, sql, comment FROM duckdb_views() WHERE NOT internal ORDER BY ALL"
    ).fetchall()
    return columns, views


def make_file(path, *statements: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(path) as con:
        for statement in statements:
            con.execute(statement)


def test_each_migration_is_applied_once_and_written_down():
    with duckdb.connect() as con:
        assert migrate(con) == len(load_migrations())
        assert migrate(con) == 0
        ledger = con.execute(
            "SELECT number, name, checksum FROM schema_migrations ORDER BY number"
        ).fetchall()
    assert ledger == [(item.number, item.name, item.checksum) for item in load_migrations()]


@pytest.mark.duckdb_file("made by hand")
@pytest.mark.parametrize("count", range(len(load_migrations()) + 1))
@pytest.mark.parametrize("first", ["write", "read"])
def test_a_half_migrated_file_becomes_the_newest_at_first_use(first, count, path):
    path.parent.mkdir()
    with duckdb.connect(path) as con:
        migrate(con, load_migrations()[:count])
    database = Database(path)
    with getattr(database, first)() as con:
        assert pending_migrations(con) == ()
        assert describe_schema(con) == describe_schema(Database(None)._memory)


def test_a_failing_migration_leaves_the_schema_as_it_was(database, monkeypatch):
    broken = (
        *load_migrations(),
        Migration(len(load_migrations()) + 1, "broken", "CREATE TABLE a (i INTEGER); FROM b"),
    )
    with database.read() as con:
        before = describe_schema(con)
    monkeypatch.setattr("storage.migrate.load_migrations", lambda: broken)
    with pytest.raises(StorageError, match="b"), database.write():
        pass
    monkeypatch.undo()
    with database.read() as con:
        assert describe_schema(con) == before


@pytest.mark.parametrize("use", ["write", "read"])
def test_a_history_of_a_newer_tocsin_is_refused(use, database):
    with database.write() as con:
        con.execute("INSERT INTO schema_migrations VALUES (9999, 'later', 'x', now())")
    with (
        pytest.raises(StorageError, match=r"newer Tocsin.*9999") as caught,
        getattr(Database(database.path), use)(),
    ):
        pass
    assert caught.value.path == database.path


def test_a_history_made_with_other_migrations_is_refused(database):
    with database.write() as con:
        con.execute("UPDATE schema_migrations SET checksum = 'other' WHERE number = 1")
    with pytest.raises(StorageError, match=r"another form of schema change 1 \(tables\)"), database.write():
        pass


@pytest.mark.duckdb_file("made by hand")
def test_somebody_elses_database_is_refused_and_untouched(path):
    make_file(path, "CREATE TABLE customers (name VARCHAR)")
    before = path.read_bytes()
    with pytest.raises(StorageError, match="customers"), Database(path).write():
        pass
    assert path.read_bytes() == before


@pytest.mark.duckdb_file("without a name for its catalog")
def test_programs_that_start_together_make_one_history(path, start_child):
    children = [start_child(_START, path) for _ in range(3)]
    assert [child.hear() for child in children] == ["ready"] * 3
    for child in children:
        child.process.stdin.write("go\n")
        child.process.stdin.flush()
    numbers = str([item.number for item in load_migrations()])
    assert [child.hear() for child in children] == [numbers] * 3
    with Database(path, wait=timedelta(seconds=30)).read() as con:
        assert pending_migrations(con) == ()


@pytest.mark.parametrize(
    "names", [["0002_b.sql"], ["0001_a.sql", "0001_b.sql"], ["0001_a.sql", "0003_c.sql"]]
)
def test_a_folder_with_gaps_or_doubles_is_refused(names, tmp_path):
    for name in names:
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(StorageError, match="without gaps"):
        load_migrations(tmp_path)


def test_every_table_view_and_column_of_a_table_is_explained(con):
    undocumented = con.execute(
        """
        SELECT table_name FROM duckdb_tables() WHERE NOT internal AND comment IS NULL
        UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal AND comment IS NULL
        UNION ALL
        SELECT columns.table_name || '.' || columns.column_name
        FROM duckdb_columns() AS columns JOIN duckdb_tables() AS tables USING (table_oid)
        WHERE NOT tables.internal AND columns.comment IS NULL
        """
    ).fetchall()
    assert undocumented == []


def test_nothing_relies_on_keys_or_indexes(con):
    kinds = con.execute("SELECT DISTINCT constraint_type FROM duckdb_constraints()").fetchall()
    assert kinds == [("NOT NULL",)]
    assert con.execute("FROM duckdb_indexes()").fetchall() == []


PROMISED = {
    "current_topics": "position topic version threshold definition recorded_at",
    "feed_health": (
        "url title outlet folder health failures last_outcome last_severity last_status last_reason "
        "last_message polled_at succeeded_at next_poll_at poll_interval baseline_at "
        "failing_since gone_at moved_to distrust_304_at last_new_at usual_gap"
    ),
    "matches": (
        "article_id topic score topic_version threshold encoder_revision head scored_at "
        "title outlet url published_at first_seen_at day"
    ),
    "outbox": (
        "alert_id channel topic topics score title url outlet article_id "
        "decided_at state attempts retry_at error"
    ),
    "topic_daily": "day topic matches articles share",
}


@pytest.mark.parametrize("view", PROMISED)
def test_a_view_keeps_the_columns_that_were_promised(view, con):
    con.execute(f"FROM {view}")
    assert " ".join(column[0] for column in con.description) == PROMISED[view]
    con.fetchall()
