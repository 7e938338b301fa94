"""A history in DuckLake: writers take turns, readers do not wait, a history moves in and out whole."""

import os
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from storage.backup import back_up, inspect
from storage.compact import compact
from storage.database import FILE_NAME, Database
from storage.folder import history_path, throwaway_copy
from storage.lake import ARRAYS, adapt, find_views, view_comments
from storage.migrate import load_migrations
from storage.move import move_history
from storage.publish import publish
from storage.query import query_published
from storage.restore import restore
from tocsin.errors import StorageBusy, StorageError
from tocsin.place import LakeAddress, bind_lake

# A Postgres to make databases in, as libpq writes it: "host=/tmp/socket user=postgres".
POSTGRES = os.environ.get("TOCSIN_TEST_POSTGRES")
MIGRATIONS = [each.sql for each in load_migrations()]

_STORE = """
import sys
from datetime import timedelta
from pathlib import Path
from storage.database import Database

db = Database(Path(sys.argv[1]), wait=timedelta(seconds=120))
print("ready", flush=True)
sys.stdin.readline()
for first in range(0, 60, 10):
    with db.write() as con:
        con.execute(
            "INSERT INTO seen SELECT key, key FROM range(?, ?) AS new(key) ANTI JOIN seen USING (key)",
            [first, first + 15],
        )
print("done", flush=True)
"""

_HOLD = """
import sys
from pathlib import Path
from storage.database import Database

with Database(Path(sys.argv[1])).write() as con:
    con.execute("INSERT INTO seen VALUES (1000, 1000)")
    print("held", flush=True)
    sys.stdin.readline()
"""

_STOP = """
import sys
from pathlib import Path
from storage import move

copy = move._copy
def stop(con, table, columns):
    if table == "scores":
        print("stopped", flush=True)
        sys.stdin.readline()
    return copy(con, table, columns)

move._copy = stop
move.move_history(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.fixture(params=["sqlite", "postgres"])
def lake(request, tmp_path) -> Path:
    """The path of a history in an empty DuckLake."""
    pytest.importorskip("duckdb_extension_ducklake", reason="needs tocsin[ducklake]")
    catalog = str(tmp_path / "lake" / "catalog.sqlite")
    if request.param == "postgres":
        if POSTGRES is None:
            pytest.skip("TOCSIN_TEST_POSTGRES names no Postgres")
        catalog = f"{POSTGRES} dbname={make_database(tmp_path.name)}"
    address = LakeAddress(request.param, catalog, str(tmp_path / "lake" / "parquet"))
    bind_lake(tmp_path / "local", address)
    return history_path(tmp_path / "local")


def make_database(name: str) -> str:
    name = f"tocsin_{os.getpid()}_{abs(hash(name))}"
    subprocess.run(["psql", "-q", f"{POSTGRES} dbname=postgres", "-c", f"CREATE DATABASE {name}"], check=True)
    return name


@pytest.fixture
def file(tmp_path, make_article, make_alert, now) -> Path:
    """A history in a file, with a little in it."""
    from storage.alerts import store_alerts
    from storage.articles import store_articles

    path = tmp_path / "old" / FILE_NAME
    with Database(path).write() as con:
        articles = [make_article(number, title=f"Chips 'n' ships {number}") for number in range(1, 30)]
        store_articles(con, "run", articles=articles, sightings=[], keys={n: n for n in range(1, 30)})
        store_alerts(con, "run", [make_alert()])
        vectors = "SELECT range, 'enc', CAST(list_transform(range(384), lambda i: i / range) AS FLOAT[384]), "
        con.execute(f"INSERT INTO embeddings {vectors} DATE '2025-01-27' FROM range(1, 30)")
        con.execute("INSERT INTO scores SELECT range, 't', 'v', 'enc', 'h', 0.5, now(), "
                    "DATE '2025-01-27', true FROM range(1, 30)")  # fmt: skip
    return path


def read(path, sql):
    with Database(path).read() as con:
        return con.execute(sql).fetchall()


# ---------------------------------------------------------------- the dialect, in any environment


def test_every_array_of_a_migration_is_known_and_becomes_a_list():
    views = find_views(MIGRATIONS)
    written = [adapt(sql, views) for sql in MIGRATIONS]
    assert sum(sql.count("[384]") for sql in MIGRATIONS) == len(ARRAYS)
    assert not any("[384]" in sql for sql in written)
    assert any("embedding        FLOAT[] NOT NULL" in sql for sql in written)


def test_comments_on_columns_of_views_are_left_out_and_those_of_tables_stay():
    sql = (
        "CREATE VIEW seen_today AS SELECT 1 AS a;\n"
        "COMMENT ON COLUMN seen_today.a IS 'It''s; a view''s.';\n"
        "COMMENT ON COLUMN runs.flow IS 'A table''s.';\n"
    )
    assert adapt(sql, find_views([sql])) == (
        "CREATE VIEW seen_today AS SELECT 1 AS a;\n\nCOMMENT ON COLUMN runs.flow IS 'A table''s.';\n"
    )
    assert view_comments([sql]) == {("seen_today", "a"): "It's; a view's."}


def test_the_comments_that_are_left_out_are_those_that_a_file_has():
    with Database(None).read() as con:
        kept = con.execute(
            "SELECT columns.table_name, column_name, columns.comment FROM duckdb_columns() AS columns "
            "JOIN duckdb_views() AS views ON views.view_name = columns.table_name AND NOT views.internal "
            "WHERE columns.comment IS NOT NULL"
        ).fetchall()
    known = view_comments(MIGRATIONS)
    assert {(view, column): text for view, column, text in kept} == known


def test_without_the_extensions_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("storage.lake.importlib.import_module", _no_module)
    bind_lake(tmp_path, LakeAddress("sqlite", str(tmp_path / "c.sqlite"), str(tmp_path / "p")))
    with pytest.raises(StorageError, match=r"DuckDB 1\.5\.5.*tocsin\[ducklake\]"):
        read(history_path(tmp_path), "SELECT 1")


def _no_module(name):
    raise ImportError(name)


# ---------------------------------------------------------------- several processes


def test_two_writers_store_each_identity_once_while_a_reader_reads(lake, start_child):
    with Database(lake).write():
        pass
    children = [start_child(_STORE, lake) for _ in range(2)]
    assert [child.hear() for child in children] == ["ready", "ready"]
    for child in children:
        child.process.stdin.write("\n")
        child.process.stdin.flush()
    seen, reader = [], Database(lake, wait=timedelta(0))
    while not seen or seen[-1] < 65:
        with reader.read() as con:
            seen.append(con.execute("SELECT count(*) FROM seen").fetchone()[0])
        assert all(child.process.poll() in {None, 0} for child in children)
    assert [child.hear() for child in children] == ["done", "done"]
    assert seen == sorted(seen)
    assert read(lake, "SELECT count(*), count(DISTINCT key) FROM seen") == [(65, 65)]


def test_a_reader_does_not_wait_for_a_writer_and_a_second_writer_is_told_busy(lake, start_child):
    db = Database(lake, wait=timedelta(seconds=0.2))
    with db.write() as con:
        con.execute("INSERT INTO seen VALUES (1, 1)")
    child = start_child(_HOLD, lake)
    assert child.hear() == "held"
    assert read(lake, "SELECT count(*) FROM seen") == [(1,)]
    with pytest.raises(StorageBusy, match="being written to"), db.write():
        pass
    child.kill()
    with Database(lake, wait=timedelta(seconds=60)).write() as con:  # the turn ends with its holder
        con.execute("INSERT INTO seen VALUES (2, 2)")
    assert read(lake, "SELECT key FROM seen ORDER BY key") == [(1,), (2,)]


def test_an_exception_undoes_the_whole_block(lake):
    db = Database(lake)
    for number in range(2):
        with pytest.raises(ZeroDivisionError), db.write() as con:
            con.execute("INSERT INTO seen VALUES (1, 1)").fetchall()[number // 0]
    with pytest.raises(StorageError, match="nowhere"), db.write() as con:
        con.execute("INSERT INTO seen VALUES (1, 1); FROM nowhere")
    assert read(lake, "SELECT count(*) FROM seen") == [(0,)]


def test_a_read_block_cannot_write(lake):
    with pytest.raises(StorageError, match="read-only"), Database(lake).read() as con:
        con.execute("INSERT INTO seen VALUES (1, 1)")


# ---------------------------------------------------------------- moving


def test_a_history_moves_to_ducklake_and_back_with_every_row(file, lake, tmp_path):
    there = move_history(file, lake)
    back = move_history(lake, tmp_path / "new" / FILE_NAME)
    assert {table.name: table.rows for table in there.tables}["embeddings"] == 29
    assert back.tables == there.tables
    for sql in ("FROM embeddings ORDER BY ALL", "FROM alerts", "FROM articles ORDER BY ALL", "FROM matches",
                "FROM schema_migrations ORDER BY ALL"):  # fmt: skip
        assert read(file, sql) == read(tmp_path / "new" / FILE_NAME, sql)
    assert not list((tmp_path / "new").glob("*.moving*"))


def test_a_place_with_rows_is_refused_and_left_as_it_is(file, lake):
    move_history(file, lake)
    with pytest.raises(StorageError, match="rows already"):
        move_history(file, lake)
    with pytest.raises(StorageError, match="exists already"):
        move_history(lake, file)
    assert read(lake, "SELECT count(*) FROM articles") == [(29,)]


def test_a_copy_that_differs_does_not_count(file, lake, monkeypatch):
    from storage import move

    weigh = move._weigh
    lost = {"articles": (28, "1")}
    monkeypatch.setattr(
        move, "_weigh", lambda con, place, columns: lost.get(place, weigh(con, place, columns))
    )
    with pytest.raises(StorageError, match="articles differs"):
        move_history(file, lake)
    assert read(lake, "SELECT count(*) FROM alerts") == [(0,)]


@pytest.mark.parametrize("backwards", [False, True])
def test_killed_in_the_middle_it_can_be_repeated(backwards, file, lake, tmp_path, start_child):
    source, target = file, lake
    if backwards:
        move_history(file, lake)
        source, target = lake, tmp_path / "new" / FILE_NAME
    child = start_child(_STOP, source, target)
    assert child.hear() == "stopped"
    child.kill()
    assert {table.name: table.rows for table in move_history(source, target).tables}["scores"] == 29
    assert read(target, "SELECT count(*) FROM articles") == [(29,)]


# ---------------------------------------------------------------- what works with files otherwise


def test_it_is_published_with_every_comment_and_the_arrays_of_a_file(file, lake):
    move_history(file, lake)
    publish(Database(lake), now=read(lake, "SELECT now()")[0][0])
    folder = lake.parent
    assert query_published(folder, "SELECT count(*) FROM articles").rows == [(29,)]
    [(comment,)] = query_published(
        folder,
        "SELECT comment FROM duckdb_columns() WHERE table_name = 'topic_trend' AND column_name = 'z_score'",
    ).rows
    assert comment.startswith("How unusual")
    similar = "SELECT count(array_cosine_similarity(embedding, embedding)) FROM embeddings"
    assert query_published(folder, similar).rows == [(29,)]


def test_a_dry_run_works_on_a_file_of_its_own(file, lake):
    move_history(file, lake)
    with throwaway_copy(lake) as copy, Database(copy).write() as con:
        con.execute("DELETE FROM alerts")
        assert con.execute("SELECT count(*) FROM articles").fetchall() == [(29,)]
    assert read(lake, "SELECT count(*) FROM alerts") == [(1,)]


def test_a_backup_is_a_file_and_is_not_restored_into_ducklake(file, lake, tmp_path, now):
    move_history(file, lake)
    made = back_up(Database(lake), tmp_path / "kept.duckdb", now=now)
    assert inspect(made.path).rows == made.rows > 29
    with pytest.raises(StorageError, match="tocsin migrate"):
        restore(made.path, lake.parent)
    done = restore(made.path, tmp_path / "restored")
    assert read(done.path, "SELECT count(*) FROM articles") == [(29,)]


def test_tending_joins_small_files_and_keeps_every_row(lake):
    db = Database(lake)
    for number in range(4):
        with db.write() as con:
            con.execute("INSERT INTO seen SELECT range, ? FROM range(500)", [number])
    before = read(lake, "SELECT count(*), sum(hash(seen)) FROM seen")
    count = "SELECT count(*) FROM ducklake_list_files('lake', 'seen')"
    assert read(lake, count) == [(4,)]
    compact(db)
    assert read(lake, count) == [(1,)]
    assert read(lake, "SELECT count(*), sum(hash(seen)) FROM seen") == before
