"""A history in DuckLake: writers take turns, readers do not wait, a history moves in and out whole."""

import hashlib
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from lakes import POSTGRES, make_database

from flows.retention import prune_history
from storage.backup import back_up, inspect
from storage.compact import compact
from storage.database import FILE_NAME, Database
from storage.folder import history_path, throwaway_copy
from storage.integrity import check_history
from storage.lake import ARRAYS, adapt, find_views, view_comments
from storage.migrate import load_migrations
from storage.move import move_history
from storage.prune import PruneOrder
from storage.publish import publish
from storage.query import query_published
from storage.restore import restore
from storage.size import measure_history
from storage.turns import take_turn
from tocsin.errors import StorageBusy, StorageError
from tocsin.place import LakeAddress, bind_lake, read_lake

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


_START = """
import sys
from pathlib import Path
from storage.database import Database

print("ready", flush=True)
sys.stdin.readline()
with Database(Path(sys.argv[1])).write() as con:
    print(con.execute("SELECT list(number ORDER BY number) FROM schema_migrations").fetchall()[0][0])
"""


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


def weigh(path):
    """Count the rows of every table and take the digest of all of them, in Python: not as moving does it."""
    tables = read(path, "SELECT table_name FROM duckdb_tables() WHERE NOT internal ORDER BY ALL")
    found = {}
    for (name,) in tables:
        rows = read(path, f"FROM {name} ORDER BY ALL")
        found[name] = (len(rows), hashlib.sha256(repr(rows).encode()).hexdigest())
    assert len(found) > 20
    return found


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
    monkeypatch.setattr("storage.extensions.importlib.import_module", _no_module)
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


def test_programs_that_start_together_make_one_history(lake, start_child):
    children = [start_child(_START, lake) for _ in range(3)]
    assert [child.hear() for child in children] == ["ready"] * 3
    for child in children:
        child.process.stdin.write("go\n")
        child.process.stdin.flush()
    numbers = str([item.number for item in load_migrations()])
    assert [child.hear() for child in children] == [numbers] * 3
    assert read(lake, "SELECT count(*) FROM schema_migrations") == [(len(MIGRATIONS),)]


# ---------------------------------------------------------------- what DuckLake does by itself


def test_the_least_and_the_largest_are_of_rows_that_are_left(lake):
    with Database(lake).write() as con:
        con.execute("INSERT INTO seen SELECT range, range FROM range(10)")
        con.execute("DELETE FROM seen WHERE key IN (0, 9)")
    assert read(lake, "SELECT min(key), max(key) FROM seen") == [(1, 8)]


def test_every_table_has_statistics_before_its_first_row_and_they_hide_none(lake):
    columns = "article_id, url, title, summary, outlet, feed_url, first_seen_at, run_id"
    with Database(lake).write() as con:
        con.execute(f"INSERT INTO articles ({columns}) VALUES (5, NULL, 'T', '', 'O', 'f', now(), 'r')")
        con.execute(f"INSERT INTO articles ({columns}) VALUES (2, 'u', 'T', '', 'O', 'f', now(), 'r')")
    catalog = "__ducklake_metadata_lake"
    bare = f"FROM {catalog}.ducklake_table ANTI JOIN {catalog}.ducklake_table_stats USING (table_id)"
    assert read(lake, f"SELECT count(*) {bare}") == [(0,)]
    for where, found in {"url IS NULL": 5, "url = 'u'": 2, "article_id < 3": 2}.items():
        assert read(lake, f"SELECT article_id FROM articles WHERE {where}") == [(found,)]
    assert read(lake, "SELECT min(article_id), max(article_id) FROM articles") == [(2, 5)]


def test_a_catalog_that_is_lost_is_not_an_empty_history(lake, now):
    db = Database(lake)
    publish(db, now=now)
    db.close()
    address = read_lake(lake)
    if address.kind == "sqlite":
        Path(address.catalog).rename(Path(address.catalog).with_name("elsewhere"))
    else:
        empty = make_database("empty")
        address = replace(address, catalog=f"{POSTGRES} dbname={empty}")
        lake.write_text(f"{address}\n", "utf-8")
    for use in (Database(lake).read, Database(lake).write):
        with pytest.raises(StorageError, match="has no catalog"), use():
            pass
    assert address.kind == "postgres" or not Path(address.catalog).exists()


def test_a_place_with_files_of_another_is_refused_for_tending_would_remove_them(lake, tmp_path):
    with Database(lake).write() as con:
        con.execute("INSERT INTO seen SELECT range, range FROM range(500)")
    [size] = list_parquet(lake)
    other = replace(read_lake(lake), kind="sqlite", catalog=str(tmp_path / "other.sqlite"))
    bind_lake(tmp_path / "other", other)
    with pytest.raises(StorageError, match="holds Parquet files already"):
        read(history_path(tmp_path / "other"), "SELECT 1")
    assert list_parquet(lake) == [size]


def test_a_turn_that_cannot_be_taken_names_its_file(tmp_path):
    (tmp_path / "c.sqlite.writer.lock").mkdir()
    address = LakeAddress("sqlite", str(tmp_path / "c.sqlite"), str(tmp_path / "p"))
    with (
        pytest.raises(StorageError, match=r"writer\.lock cannot be locked"),
        take_turn(None, address, wait=1),
    ):
        pass


def test_the_first_who_reads_makes_an_empty_history(lake):
    assert read(lake, "SELECT count(*) FROM articles") == [(0,)]


def test_an_exception_undoes_the_whole_block(lake):
    db = Database(lake)
    for number in range(2):
        with pytest.raises(ZeroDivisionError), db.write() as con:
            con.execute("INSERT INTO seen VALUES (1, 1)").fetchall()[number // 0]
    with pytest.raises(StorageError, match="nowhere"), db.write() as con:
        con.execute("INSERT INTO seen VALUES (1, 1); FROM nowhere")
    assert read(lake, "SELECT count(*) FROM seen") == [(0,)]


def test_a_read_block_cannot_write(lake):
    with Database(lake).write():
        pass
    with pytest.raises(StorageError, match="read-only"), Database(lake).read() as con:
        con.execute("INSERT INTO seen VALUES (1, 1)")


# ---------------------------------------------------------------- moving


def test_a_history_moves_to_ducklake_and_back_with_every_row(file, lake, tmp_path):
    there = move_history(file, lake)
    back = move_history(lake, tmp_path / "new" / FILE_NAME)
    assert {table.name: table.rows for table in there.tables}["embeddings"] == 29
    assert back.tables == there.tables
    assert weigh(file) == weigh(tmp_path / "new" / FILE_NAME)
    assert {table.name: table.rows for table in back.tables} == {
        name: rows for name, (rows, _) in weigh(file).items()
    }
    for sql in ("FROM matches ORDER BY ALL", "FROM topic_hourly ORDER BY ALL"):
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


# ---------------------------------------------------------------- its size


def list_parquet(path):
    return [each.stat().st_size for each in Path(read_lake(path).data).rglob("*.parquet")]


def test_its_size_is_that_of_its_parquet_files_and_its_catalog(lake):
    db = Database(lake)
    for number in range(3):
        with db.write() as con:
            con.execute("INSERT INTO seen SELECT range, ? FROM range(500)", [number])
    found = measure_history(db)
    assert (found.files, found.data) == (3, sum(list_parquet(lake)))
    assert found.folder == Path(read_lake(lake).data)
    assert found.catalog > 100_000
    if read_lake(lake).kind == "sqlite":
        assert found.catalog >= Path(read_lake(lake).catalog).stat().st_size
    done = compact(db)
    assert done.before == found.total
    after = measure_history(db)
    assert (done.after, after.files) == (after.total, 2)  # and the list of migrations, from the catalog
    assert 0 < after.data < found.data


def test_a_check_and_a_prune_tell_what_the_lake_holds_not_the_size_of_its_address(lake, now):
    db = Database(lake)
    with db.write() as con:
        con.execute(
            "INSERT INTO fetches (run_id, feed_url, fetched_at, outcome, received_bytes, seconds, entries, "
            "new_articles) SELECT 'r', 'f', $now - to_days(range::INTEGER), 'new', 1, 1, 1, 1 "
            "FROM range(4000)", {"now": now},
        )  # fmt: skip
    size = measure_history(db)
    [disk] = [each for each in check_history(db) if each.check == "disk"]
    assert f"{size.data / 1e9:,.3f} GB in 1 Parquet files" in disk.detail
    done = prune_history(db, PruneOrder(now - timedelta(days=100)), run_id="p", now=now)
    assert done.removed["fetches"] > 3000
    assert (done.bytes_before, done.bytes_after) == (size.total, measure_history(db).total)


def test_a_check_of_a_lake_that_does_not_open_ends_with_what_to_mend(lake, now):
    db = Database(lake)
    publish(db, now=now)
    db.close()
    address = read_lake(lake)
    lake.write_text(f"{replace(address, catalog='/nowhere/c.sqlite', kind='sqlite')}\n", "utf-8")
    live, disk = check_history(Database(lake))
    assert (live.state, disk.state) == ("wrong", "note")
    assert "has no catalog" in live.detail
    assert "restore" not in live.advice
