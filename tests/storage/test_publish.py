"""Publishing: readers see one whole version, only what changed is written, and it equals what is stored."""

import os
import random
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np
import pytest

from storage.articles import store_articles
from storage.changes import WHOLE
from storage.history_file import PARQUET, published_path, read_published
from storage.lake import ARRAYS
from storage.manifest import Manifest, PublishedFile, load_manifest
from storage.marks import marked_months
from storage.parquet import MOST_FILES, choose_merges
from storage.publish import publish
from storage.published_tables import ADDRESSES, KEPT_BACK, choose_tables
from storage.query import query_published
from storage.runs import finish_run, start_run
from storage.scores import ScoreBlock, store_scores
from storage.topics import record_topics
from tocsin.errors import QueryError, StorageError

DAY = timedelta(days=1)


@pytest.fixture
def put(database, make_article, make_topic, now):
    """Store a run with articles that have (id, days ago), each scored for two topics of which one matches."""

    def put(*wanted, topics=None, run="run"):
        chosen = topics or [make_topic("chips"), make_topic("cables")]
        articles = [
            make_article(
                article_id,
                first_seen_at=now - days * DAY,
                feed_url=f"https://reader:secret@feeds.example/{article_id % 3}",
            )
            for article_id, days in wanted
        ]
        values = np.tile(np.array([[0.9, 0.1]], np.float32), (len(articles), 1))
        with database.write() as con:
            start_run(con, run, "monitor", now=now)
            record_topics(con, chosen, run_id=run, now=now)
            store_articles(con, run, articles=articles, sightings=(), keys={})
            block = ScoreBlock(
                [article.article_id for article in articles],
                [topic.name for topic in chosen],
                [topic.version for topic in chosen],
                "encoder",
                ["head"] * len(chosen),
                values,
            )
            store_scores(con, block, now)
            finish_run(con, run, "completed", report={}, now=now)
        return chosen

    return put


def manifest_of(database) -> Manifest:
    with duckdb.connect() as con:
        return load_manifest(con, published_path(database.path.parent))


def written_by(database, generation) -> set[tuple[str, str]]:
    return {
        (file.relation, file.part) for file in manifest_of(database).files if file.generation == generation
    }


def ask(database, query):
    with read_published(database.path.parent) as con:
        return con.execute(query).fetchall()


def assert_published_is_what_is_stored(database):
    """Compare every published relation with the live one, row by row; counts in parts are added up first."""
    with database.read() as live, read_published(database.path.parent) as published:
        names = {
            name
            for (name,) in published.execute(
                "SELECT view_name FROM duckdb_views() WHERE NOT internal"
            ).fetchall()
        }
        stored = {
            name
            for (name,) in live.execute(
                "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() "
                "UNION SELECT view_name FROM duckdb_views() "
                "WHERE database_name = current_database() AND NOT internal"
            ).fetchall()
        }
        assert names == stored - KEPT_BACK
        for name in sorted(names):
            assert _rows(published, name) == _rows(live, name), name


def _rows(con, name):
    described = con.execute(f"DESCRIBE {name}").fetchall()
    columns = [(row[0], ARRAYS.get((name, row[0]), row[1])) for row in described]
    chosen = ", ".join(_plainly(name, *column) for column in columns)
    if name.endswith(("_feed_days", "_hours")):
        chosen = chosen.replace('"articles"', "sum(articles)").replace('"matches"', "sum(matches)")
        return columns, con.execute(f"SELECT {chosen} FROM {name} GROUP BY ALL ORDER BY ALL").fetchall()
    return columns, con.execute(f"SELECT {chosen} FROM {name} ORDER BY ALL").fetchall()


def _plainly(name, column, kind):
    if column in ADDRESSES or (column == "url" and name in ("feeds", "feed_health")):
        return f"replace(\"{column}\", 'reader:secret@', '')"
    if kind == "DOUBLE":
        return f'round("{column}", 9)'
    return f'"{column}"'


def test_what_is_published_equals_what_is_stored_after_every_kind_of_change(database, put, make_topic, now):
    topics = put((1, 0), (2, 0), (3, 40), (4, 90))
    publish(database, now=now)
    assert_published_is_what_is_stored(database)
    put((5, 0), (6, 41), run="run-2")
    publish(database, now=now)
    assert_published_is_what_is_stored(database)
    changed = [make_topic("chips", threshold=0.95), topics[1]]
    put((3, 40), (4, 90), (7, 0), topics=changed, run="run-3")
    publish(database, now=now)
    assert_published_is_what_is_stored(database)
    with database.write() as con:
        con.execute("UPDATE runs SET state = 'abandoned' WHERE run_id = 'run-2'")
    publish(database, now=now)
    assert_published_is_what_is_stored(database)


def test_only_what_changed_is_written(database, put, now):
    put((1, 0), (2, 40))
    publish(database, now=now)
    publish(database, now=now)
    assert not written_by(database, 2)
    put((3, 0), run="run-2")
    publish(database, now=now)
    assert written_by(database, 3) == {
        (relation, "2025-01")
        for relation in ("articles", "scores", "match_scores", "scored_feed_days", "scored_hours", "runs")
    }


def test_a_score_that_goes_out_of_use_has_its_month_published_again(database, put, make_topic, now):
    topics = put((1, 0), (2, 40))
    publish(database, now=now)
    put((2, 40), topics=[make_topic("chips", threshold=0.95), topics[1]], run="run-2")
    with database.read() as con:
        assert marked_months(con, after=0) == (1, {"scores": {"2024-12"}})
    publish(database, now=now)
    assert {part for relation, part in written_by(database, 2) if relation == "scores"} == {"2024-12"}
    put((2, 40), topics=topics, run="run-3")  # back to the older version: no row is new, two change
    publish(database, now=now)
    assert ask(database, "SELECT count(*) FROM matches WHERE topic = 'chips'") == [(2,)]
    assert_published_is_what_is_stored(database)


ITS_BYTES = pytest.mark.duckdb_file("its bytes are exchanged")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("restored", marks=ITS_BYTES),
        pytest.param("replaced", marks=ITS_BYTES),
        "deleted",
        "full",
    ],
)
def test_a_history_that_is_not_the_one_published_is_published_anew(change, database, put, now, tmp_path):
    put((1, 0))
    backup = tmp_path / "backup.duckdb"
    backup.write_bytes(database.path.read_bytes())
    put((2, 0), (3, 40), run="run-2")
    publish(database, now=now)
    if change == "restored":
        database.path.write_bytes(backup.read_bytes())
        put((8, 0), (9, 40), run="run-3")
    elif change == "replaced":
        database.path.unlink()
        put((9, 0))
    elif change == "deleted":
        with database.write() as con:
            con.execute("DELETE FROM articles WHERE article_id = 2")
            con.execute("DELETE FROM scores WHERE article_id = 2")
    publish(database, now=now, full=change == "full")
    assert_published_is_what_is_stored(database)


def test_a_file_that_was_lost_or_cut_is_made_again(database, put, now):
    put((1, 0), (2, 40))
    publish(database, now=now)
    root = database.path.parent / PARQUET
    lost, cut = (next(root.glob(f"{name}/*/*.parquet")) for name in ("articles", "scored_feed_days"))
    lost.unlink()
    cut.write_bytes(cut.read_bytes()[:50])
    publish(database, now=now)
    assert_published_is_what_is_stored(database)


def test_a_reader_that_stays_open_keeps_its_picture(database, put, now):
    put((1, 0), (2, 40))
    publish(database, now=now)
    with read_published(database.path.parent) as con:
        before = con.execute("FROM matches ORDER BY ALL").fetchall()
        for number in range(5):
            put((10 + number, 0), run=f"run-{number}")
            publish(database, now=now + number * timedelta(minutes=5), full=True)
        assert con.execute("FROM matches ORDER BY ALL").fetchall() == before
    assert len(ask(database, "FROM matches")) == len(before) + 5


def test_files_out_of_use_go_when_both_generations_and_hours_have_passed(database, put, now):
    put((1, 0))
    publish(database, now=now)
    old = [file.name for file in manifest_of(database).files]
    root = database.path.parent / PARQUET
    publish(database, now=now, full=True)
    for _ in range(4):
        publish(database, now=now + timedelta(hours=23))
    assert all((root / name).exists() for name in old)
    publish(database, now=now + timedelta(hours=25))
    assert not any((root / name).exists() for name in old)
    on_disk = {path.relative_to(root).as_posix() for path in root.rglob("*.parquet")}
    assert on_disk == {file.name for file in manifest_of(database).files}


def test_small_files_are_merged_and_say_the_same(database, put, now):
    for number in range(MOST_FILES + 3):
        put((number, 0), run=f"run-{number}")
        publish(database, now=now)
    parts = [
        len(group)
        for relation in ("articles", "scored_hours")
        for group in manifest_of(database).parts(relation).values()
    ]
    assert max(parts) <= MOST_FILES
    assert_published_is_what_is_stored(database)


def file(relation="articles", part="2025-01", rows=10, number=0):
    return PublishedFile(f"{relation}/{part}/{number}.parquet", relation, part, rows, 1, 1)


def test_a_large_file_is_not_rewritten_for_a_few_rows():
    small = [file(rows=10, number=number) for number in range(MOST_FILES)]
    assert choose_merges([file(rows=100_000, number=99), *small]) == [small]
    assert choose_merges(small) == []


def test_months_that_are_over_are_merged_into_one_file():
    closed = [file(part="2024-12", number=number, rows=10**number) for number in range(2)]
    assert choose_merges([*closed, file()]) == [closed]


def test_users_and_passwords_of_feeds_are_not_published(database, put, now):
    put((1, 0))
    publish(database, now=now)
    assert ask(database, "SELECT feed_url FROM articles") == [("https://feeds.example/1",)]
    for path in [published_path(database.path.parent), *(database.path.parent / PARQUET).rglob("*.parquet")]:
        assert b"secret" not in path.read_bytes()
    assert ask(database, "SELECT DISTINCT feed_url FROM topic_feed_days") == [("https://feeds.example/1",)]


def test_the_folder_can_be_moved_and_is_published_again(database, put, now, tmp_path):
    put((1, 0))
    publish(database, now=now)
    moved = tmp_path / "it's moved"
    database.path.parent.rename(moved)
    with pytest.raises(StorageError, match="parquet"):
        query_published(moved, "FROM articles")
    from storage.database import Database

    publish(Database(moved / database.path.name), now=now)
    assert not written_by(Database(moved / database.path.name), 2)
    assert query_published(moved, "SELECT count(*) FROM articles").rows == [(1,)]


def test_every_table_is_described_or_kept_back(con):
    names = [
        name
        for (name,) in con.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database()"
        ).fetchall()
    ]
    assert {table.name for table in choose_tables(names)} == set(names) - KEPT_BACK


def test_a_table_that_nobody_described_is_published_whole(database, put, now):
    put((1, 0))
    with database.write() as con:
        con.execute("CREATE TABLE later (name VARCHAR); INSERT INTO later VALUES ('a')")
    publish(database, now=now)
    with database.write() as con:
        con.execute("UPDATE later SET name = 'b'")
    publish(database, now=now)
    assert ask(database, "FROM later") == [("b",)]
    assert manifest_of(database).parts("later").keys() == {WHOLE}


def test_every_published_view_and_column_says_what_it_means(database, now):
    publish(database, now=now)
    silent = ask(
        database,
        "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal AND schema_name = 'main' "
        "AND comment IS NULL "
        "UNION ALL SELECT view_name, '' FROM duckdb_views() WHERE NOT internal AND comment IS NULL",
    )
    assert not silent


def test_nothing_published_is_a_clear_error(tmp_path):
    with pytest.raises(StorageError, match=r"nothing was published yet.*tocsin publish.*--live"):
        query_published(tmp_path, "SELECT 1")


@pytest.mark.parametrize(
    "sql", ["DELETE FROM articles", "DROP VIEW articles", "CREATE TABLE mine (i INTEGER)", "COMMIT"]
)
def test_the_published_history_cannot_be_changed_by_a_query(sql, database, put, now):
    put((1, 0))
    publish(database, now=now)
    with pytest.raises(QueryError):
        query_published(database.path.parent, sql)
    assert query_published(database.path.parent, "SELECT count(*) FROM articles").rows == [(1,)]


# ---------------------------------------------------------------- killed, full, read-only

_PUBLISH_ON_AND_ON = """
import itertools, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from storage.database import Database
from storage.publish import publish
from storage.runs import start_run

database = Database(Path(sys.argv[1]))
for number in itertools.count(int(sys.argv[2])):
    now = datetime(2025, 1, 27, tzinfo=UTC) + timedelta(days=number)
    with database.write() as con:
        start_run(con, f"run-{number}", "monitor", now=now)
        con.execute(
            "INSERT INTO articles (article_id, title, summary, outlet, feed_url, first_seen_at, run_id) "
            "SELECT $n * 10 + range, 'T', '', 'O', 'f', $now, 'r' FROM range(10)", {"n": number, "now": now},
        )
    done = publish(database, now=now)
    print(number, done.generation, flush=True)
"""


@pytest.mark.parametrize("seed", range(4))
def test_a_publisher_killed_anywhere_leaves_one_whole_version(seed, database, start_child, now):
    publish(database, now=now)
    rng = random.Random(seed)
    for attempt in range(3):
        child = start_child(_PUBLISH_ON_AND_ON, database.path, 1 + 1000 * attempt)
        said = [child.hear() for _ in range(rng.randint(1, 4))][-1]
        spin = rng.randint(0, 600_000)
        while spin:
            spin -= 1
        child.kill()
        [(articles, days)] = ask(database, "SELECT count(*), count(DISTINCT first_seen_at) FROM articles")
        assert articles == 10 * days  # never half a run
        assert ask(database, "SELECT count(*) FROM runs") == [(days,)]  # nor one table newer than another
        number = int(said.split()[0])
        assert ask(database, f"SELECT count(*) FROM runs WHERE run_id = 'run-{number}'") == [(1,)]
    publish(database, now=now + timedelta(days=5000))
    assert_published_is_what_is_stored(database)
    known = {file.name for file in manifest_of(database).files}
    root = database.path.parent / PARQUET
    assert {path.relative_to(root).as_posix() for path in root.rglob("*.parquet")} == known
    beside = {path.name for path in database.path.parent.iterdir()} - {"tocsin.duckdb.wal"}
    assert beside == {database.path.name, "history.duckdb", PARQUET}


_ON_A_FULL_DISK = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from storage.database import Database
from storage.publish import publish
from tocsin.errors import StorageError

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    publish(Database(Path(sys.argv[1])), now=datetime(2025, 1, 28, tzinfo=UTC))
    print("published")
except StorageError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.duckdb_file("the limit strikes its catalog before what is published")
@pytest.mark.parametrize("limit", [2_000, 100_000])
def test_a_full_disk_keeps_what_was_published_and_stored(limit, database, put, start_child, now):
    put((1, 0))
    publish(database, now=now)
    put(*((number, 0) for number in range(2, 2000)), run="run-2")
    said = start_child(_ON_A_FULL_DISK, database.path, limit).hear()
    assert said.startswith(f"StorageError {database.path.parent}/history")
    assert "could not be written: the disk is full" in said
    assert ask(database, "SELECT count(*) FROM articles") == [(1,)]
    publish(database, now=now)
    assert_published_is_what_is_stored(database)


_AS_NOBODY = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from storage.database import Database
from storage.publish import publish
from tocsin.errors import StorageError

if os.getuid() == 0:
    os.setuid(65534)
try:
    publish(Database(Path(sys.argv[1])), now=datetime(2025, 1, 28, tzinfo=UTC))
    print("published")
except StorageError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.duckdb_file("to open its catalog another user needs more than to read")
def test_a_read_only_folder_is_a_clear_error(database, put, start_child, now, tmp_path_factory):
    put((1, 0))
    publish(database, now=now)
    put((2, 0), run="run-2")
    folder = database.path.parent
    for path in (*folder.rglob("*"), folder, *folder.parents):
        if path.is_relative_to(tmp_path_factory.getbasetemp().parent):
            path.chmod(
                stat.S_IMODE(path.stat().st_mode) | stat.S_IROTH | (stat.S_IXOTH if path.is_dir() else 0)
            )
    said = start_child(_AS_NOBODY, database.path).hear()
    assert said.startswith(f"StorageError {folder}/history")
    assert "may not be opened or written" in said
    assert ask(database, "SELECT count(*) FROM articles") == [(1,)]


def test_readers_in_other_processes_see_whole_versions_while_runs_publish(database, put, start_child, now):
    put((0, 0), (1, 0))
    publish(database, now=now)
    reader = """
import sys, duckdb
for line in sys.stdin:
    with duckdb.connect(sys.argv[1], read_only=True) as con:
        print(con.execute("SELECT count(*) FROM articles").fetchone()[0],
              con.execute("SELECT count(DISTINCT article_id) FROM scores").fetchone()[0], flush=True)
"""
    readers = [start_child(reader, published_path(database.path.parent)) for _ in range(2)]
    for number in range(1, 6):
        for child in readers:
            child.process.stdin.write("ask\n")
            child.process.stdin.flush()
        put((2 * number, 0), (2 * number + 1, 0), run=f"run-{number}")
        publish(database, now=now)
        for child in readers:
            articles, scored = map(int, child.hear().split())
            assert articles == scored
            assert articles in (2 * number, 2 * number + 2)


_ASK = """
import duckdb, sys
with duckdb.connect(sys.argv[1], read_only=True) as con:
    print(con.execute("SELECT count(*) FROM articles").fetchone()[0])
"""


@pytest.mark.duckdb_file("held by nobody else")
def test_other_tools_read_it_while_a_run_holds_the_live_file(database, put, hold, now):
    put((1, 0))
    publish(database, now=now)
    hold(database.path)
    path = published_path(database.path.parent)
    command = os.environ.get("DUCKDB_CLI") or str(Path(sys.executable).with_name("duckdb"))
    asking = [[sys.executable, "-c", _ASK, path]]
    if Path(command).exists():  # pip install duckdb-cli
        query = "SELECT count(*) FROM articles"
        asking.append([command, "-readonly", "-csv", "-noheader", path, query])
    for words in asking:
        done = subprocess.run(words, check=True, capture_output=True, text=True, cwd="/")
        assert done.stdout.strip() == "1"
