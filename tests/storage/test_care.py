"""Prune, compact, back up, restore, check: what was seen and told stays, and no failure halves a file."""

import os
import random
import shutil
import stat
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from old_histories import LEVELS, WHEN, write_history

from storage.alerts import store_alerts
from storage.articles import find_known, store_articles
from storage.backup import back_up
from storage.compact import compact
from storage.database import Database
from storage.history_file import PARQUET, read_published
from storage.integrity import check_history
from storage.marks import marked_months
from storage.prune import KINDS, PruneOrder, prune
from storage.publish import publish
from storage.restore import ASIDE, restore
from storage.scores import ScoreBlock, store_embeddings, store_scores
from storage.stories import store_ties
from storage.topics import record_topics
from tocsin.errors import StorageCorrupt, StorageError
from tocsin.types import StoryTie

DAY = timedelta(days=1)
TRENDS = ("topic_trend", "topic_daily", "topic_hourly", "outlet_daily")


@pytest.fixture
def history(database, make_article, make_sighting, make_topic, make_alert, now):
    """An article a day for 400 days, every third a match; 390 rang, 391 is labelled."""
    ids = list(range(400))
    articles = [
        make_article(number, first_seen_at=now - number * DAY, outlet=f"Outlet {number % 3}")
        for number in ids
    ]
    topic = make_topic("chips")
    values = np.array([[0.9 if number % 3 == 0 else 0.1] for number in ids], np.float32)
    older = make_topic("chips", description="Another one.")
    with database.write() as con:
        record_topics(con, [topic], run_id="run", now=now)
        sightings = [make_sighting(number, seen_at=now - number * DAY) for number in ids]
        store_articles(con, "run", articles=articles, sightings=sightings, keys={n + 1000: n for n in ids})
        store_embeddings(con, "enc", ids, np.eye(400, 384, dtype=np.float32) + 0.01)
        for used, at in ((older, now - 300 * DAY), (topic, now - 299 * DAY)):
            store_scores(con, ScoreBlock(ids, ["chips"], [used.version], "enc", ["h"], values), at)
        store_ties(con, "run", [StoryTie(number, number - number % 2) for number in ids])
        store_alerts(
            con, "run", [make_alert("alert-1", article_id=390, story_id=390, decided_at=now - 390 * DAY)]
        )
        con.execute("INSERT INTO labels VALUES (391, 'chips', true, 'U1', now(), '#policy', 'alert-1')")
        con.execute(
            "INSERT INTO fetches (run_id, feed_url, fetched_at, outcome, received_bytes, seconds, entries, "
            "new_articles) SELECT 'run-' || range, 'f', $now - to_days(range::INTEGER), 'new', 1, 1, 1, 1 "
            "FROM range(400)",
            {"now": now},
        )
        con.execute(
            "INSERT INTO decisions SELECT range, 'chips', '#policy', 'run', $now - to_days(range::INTEGER), "
            "'rule', "
            "false, 0.9, 0.5, NULL, 1, range, NULL, NULL, 'v', 'why' FROM range(400)",
            {"now": now},
        )
    return database


def read(database, query):
    with database.read() as con:
        return con.execute(query).fetchall()


def counts(database):
    return {
        name: read(database, f"SELECT count(*) FROM {name}")[0][0] for name in ("articles", "seen", "alerts")
    }


def wrong(database):
    return [finding for finding in check_history(database) if finding.state == "wrong"]


def trends(database):
    columns = (
        "day, topic, matches, articles, round(corrected_share, 9), round(z_score, 9), round(share_28d, 9)"
    )
    chosen = {"topic_trend": columns}
    return {
        name: read(database, f"SELECT {chosen.get(name, '*')} FROM {name} ORDER BY ALL") for name in TRENDS
    }


# ---------------------------------------------------------------- prune


def test_what_is_old_goes_and_what_was_seen_told_or_labelled_stays(history, now):
    with history.write() as con:
        done = prune(con, PruneOrder(now - 200 * DAY))
    kept = {*range(201), 390, 391}  # 390 began the story of 391
    assert {number for (number,) in read(history, "SELECT article_id FROM articles")} == kept
    assert done.removed["articles"] == 400 - len(kept)
    for table in ("entries", "embeddings", "story_articles"):
        assert {number for (number,) in read(history, f"SELECT article_id FROM {table}")} == kept
    assert counts(history) == {"articles": len(kept), "seen": 400, "alerts": 1}
    with history.read() as con:
        assert find_known(con, [1399]) == {1399: 399}
    assert read(history, "SELECT count(*) FROM fetches") == [(201,)]
    assert wrong(history) == []


def test_trends_say_the_same_before_and_after_and_after_a_second_prune(history, now):
    before = trends(history)
    for days in (300, 200, 200):
        with history.write() as con:
            prune(con, PruneOrder(now - days * DAY))
        assert trends(history) == before
    assert read(history, "SELECT count(*) FROM pruned_feed_days")[0][0] == 400 - 203
    publish(history, now=now)
    with read_published(history.path.parent) as con:
        assert con.execute("SELECT sum(articles) FROM topic_daily").fetchall() == [(400,)]


def test_counts_of_a_group_that_was_pruned_before_are_added_up(history, now):
    with history.write() as con:
        prune(con, PruneOrder(now - 300 * DAY, keep_matches=True))
    before = trends(history)
    with history.write() as con:
        con.execute(
            "UPDATE articles SET first_seen_at = first_seen_at - INTERVAL 1 HOUR WHERE article_id = 399"
        )
        prune(con, PruneOrder(now - 300 * DAY))
        doubled = "SELECT count(*) - count(DISTINCT (day, topic, feed_url, outlet)) FROM pruned_feed_days"
        assert con.execute(doubled).fetchall() == [(0,)]
    assert trends(history)["topic_daily"] == before["topic_daily"]


def test_matches_are_kept_where_that_is_asked_with_the_articles_their_stories_began_with(history, now):
    with history.write() as con:
        prune(con, PruneOrder(now - 200 * DAY, keep_matches=True))
    old = {number for (number,) in read(history, "SELECT article_id FROM articles WHERE article_id > 200")}
    matched = {number for number in range(201, 400) if number % 3 == 0}
    assert old == matched | {number - number % 2 for number in matched if number > 201} | {390, 391} | {
        200
    } - {200}
    assert wrong(history) == []


@pytest.mark.parametrize(
    ("kind", "table", "left"),
    [("embeddings", "embeddings", 202), ("scores", "scores", 400), ("fetches", "fetches", 201),
     ("decisions", "decisions", 201)],
)  # fmt: skip
def test_each_kind_goes_alone(kind, table, left, history, now):
    with history.write() as con:
        done = prune(con, PruneOrder(now - 200 * DAY, (kind,)))
    assert read(history, f"SELECT count(*) FROM {table}") == [(left,)]
    assert set(done.removed) == {table}
    assert counts(history)["articles"] == 400


def test_texts_go_and_headlines_stay(history, now):
    with history.write() as con:
        done = prune(con, PruneOrder(now - 200 * DAY, ("texts",)))
    assert done.texts == 199
    assert read(history, "SELECT count(*) FROM articles WHERE summary = '' AND title <> ''") == [(199,)]


def test_what_is_pruned_is_marked_in_the_same_transaction_and_published(history, now):
    publish(history, now=now)
    with history.write() as con:
        prune(con, PruneOrder(now - 380 * DAY, KINDS))
        _, marked = marked_months(con, after=0)
    assert {"articles", "scores", "entries", "embeddings", "story_articles", "fetches"} <= marked.keys()
    assert marked["articles"] >= {"2023-12", "2024-01"}
    publish(history, now=now)
    with read_published(history.path.parent) as con:
        assert con.execute("SELECT min(article_id), max(article_id), count(*) FROM articles").fetchall() == [
            (0, 391, 383)
        ]
    assert wrong(history) == []


def test_an_article_whose_guid_its_feed_uses_again_is_kept_to_tell_its_news_from_it(
    history, make_sighting, now
):
    with history.write() as con:
        again = [make_sighting(number, guid="the-one", seen_at=now - number * DAY) for number in (399, 5)]
        con.execute("DELETE FROM entries WHERE article_id IN (399, 5)")
        store_articles(con, "run", articles=(), sightings=again, keys={})
        prune(con, PruneOrder(now - 200 * DAY))
    assert read(history, "SELECT count(*) FROM articles WHERE article_id = 399") == [(1,)]


def test_an_entry_of_a_pruned_article_is_not_stored_again(history, make_sighting, now):
    with history.write() as con:
        prune(con, PruneOrder(now - 200 * DAY))
        store_articles(con, "run-2", articles=(), sightings=[make_sighting(399)], keys={})
    assert wrong(history) == []


# ---------------------------------------------------------------- compact


def test_compaction_gives_room_back_and_changes_nothing_else(history, now):
    with history.write() as con:
        prune(con, PruneOrder(now - 100 * DAY, KINDS))
    kept = {
        name: read(history, f"FROM {name} ORDER BY ALL") for name in ("articles", "scores", "seen", "alerts")
    }
    comment = "SELECT comment FROM duckdb_columns() WHERE table_name = 'articles' ORDER BY ALL"
    said = read(history, comment)
    done = compact(history)
    assert done.after == history.path.stat().st_size < done.before
    assert {name: read(history, f"FROM {name} ORDER BY ALL") for name in kept} == kept
    assert read(history, comment) == said
    publish(history, now=now)
    assert wrong(history) == []
    assert {path.name for path in history.path.parent.iterdir()} == {
        "tocsin.duckdb",
        "history.duckdb",
        PARQUET,
    }


_PRUNE_ON_AND_ON = """
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from flows.retention import prune_history
from storage.database import Database
from storage.prune import PruneOrder

database = Database(Path(sys.argv[1]))
now = datetime(2025, 1, 27, 12, tzinfo=UTC)
print("ready", flush=True)
for days in range(390, 100, -10):
    order = PruneOrder(now - timedelta(days=days))
    prune_history(database, order, run_id=f"prune-{days}", now=now)
    print(days, flush=True)
"""


@pytest.mark.parametrize("seed", range(4))
def test_a_prune_killed_anywhere_leaves_a_whole_history(seed, history, start_child, now):
    before = trends(history)
    child = start_child(_PRUNE_ON_AND_ON, history.path)
    assert child.hear() == "ready"
    rng = random.Random(seed)
    for _ in range(rng.randint(0, 2)):
        child.hear()
    spin = rng.randint(0, 3_000_000)
    while spin:
        spin -= 1
    child.kill()
    assert trends(history) == before
    assert counts(history)["seen"] == 400
    publish(history, now=now)
    assert wrong(history) == []
    compact(history)
    assert {path.name for path in history.path.parent.iterdir()} == {
        "tocsin.duckdb",
        "history.duckdb",
        PARQUET,
    }


# ---------------------------------------------------------------- backup and restore


def test_a_backup_restored_elsewhere_is_the_same_history(history, now, tmp_path):
    done = back_up(history, tmp_path / "b.duckdb", now=now)
    assert stat.S_IMODE(done.path.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if "b.duckdb" in path.name] == ["b.duckdb"]
    restored = restore(done.path, tmp_path / "other")
    other = Database(restored.path)
    listing = "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database()"
    tables = [name for (name,) in read(history, listing)]
    for name in tables:
        if name != "alerts":
            assert read(other, f"FROM {name} ORDER BY ALL") == read(history, f"FROM {name} ORDER BY ALL"), (
                name
            )
    assert (restored.rows, restored.made_at, restored.doubtful) == (done.rows, now, 1)
    assert read(other, "SELECT state FROM alerts") == [("sending",)]  # its channel is asked first
    assert read(other, "SELECT count(*) FROM duckdb_schemas() WHERE schema_name = 'backup'") == [(0,)]
    publish(other, now=now)
    assert wrong(other) == []


def test_a_backup_into_a_folder_is_named_by_the_time_and_never_overwrites(history, now, tmp_path):
    done = back_up(history, tmp_path, now=now)
    assert done.path.name == "tocsin-20250127T120000Z.duckdb"
    before = done.path.read_bytes()
    with pytest.raises(StorageError, match="exists already"):
        back_up(history, tmp_path, now=now)
    assert done.path.read_bytes() == before
    with history.write() as con:
        con.execute("DELETE FROM fetches")
    assert back_up(history, tmp_path, now=now, force=True).rows == done.rows - 400


def test_a_backup_holds_what_a_killed_run_left_in_the_log(history, start_child, now, tmp_path):
    child = start_child(
        "import sys, duckdb\n"
        "con = duckdb.connect(sys.argv[1])\n"
        'con.execute("INSERT INTO seen VALUES (1, 1)")\n'
        "print('stored', flush=True)\nsys.stdin.readline()",
        history.path,
    )
    assert child.hear() == "stored"
    child.kill()
    assert history.path.with_name("tocsin.duckdb.wal").exists()
    done = back_up(history, tmp_path / "b.duckdb", now=now)
    with duckdb.connect(done.path, read_only=True) as con:
        assert con.execute("SELECT count(*) FROM seen").fetchall() == [(401,)]


@pytest.mark.parametrize("level", LEVELS)
def test_a_backup_of_an_older_schema_is_kept_as_it_is_and_restored_to_the_newest(level, path, now, tmp_path):
    write_history(path, level)
    done = back_up(Database(path), tmp_path / "b.duckdb", now=now)
    assert done.change == level
    restored = restore(done.path, tmp_path / "other")
    assert restored.migrated == len(LEVELS) - level
    other = Database(restored.path)
    publish(other, now=WHEN)
    assert read(other, "SELECT count(*) FROM matches") == [(3,)]
    assert wrong(other) == []


@pytest.mark.parametrize("harm", ["cut", "one block", "not a database", "rows missing", "empty"])
def test_a_damaged_backup_is_refused_and_changes_nothing(harm, history, now, tmp_path):
    backup = back_up(history, tmp_path / "b.duckdb", now=now).path
    publish(history, now=now)
    data = bytearray(backup.read_bytes())
    if harm == "cut":
        backup.write_bytes(data[: len(data) // 2])
    elif harm == "one block":
        for at in range(3 * 4096, len(data), 262_144):
            data[at + 5000 : at + 5100] = os.urandom(100)
        backup.write_bytes(data)
    elif harm == "rows missing":
        with duckdb.connect(backup) as con:
            con.execute("DELETE FROM seen WHERE key = 1001")
    else:
        backup.write_bytes(b"" if harm == "empty" else b"PK" + b"\0" * 5000)
    before = history.path.read_bytes()
    with pytest.raises(StorageCorrupt, match=r"b\.duckdb"):
        restore(backup, history.path.parent, force=True)
    assert history.path.read_bytes() == before
    assert {each.name for each in history.path.parent.iterdir()} == {
        "tocsin.duckdb",
        "history.duckdb",
        PARQUET,
    }
    with pytest.raises(StorageCorrupt):
        restore(backup, tmp_path / "other")
    assert not (tmp_path / "other" / "tocsin.duckdb").exists()


def test_a_restore_refuses_a_folder_with_a_history_unless_forced_and_keeps_what_was_there(
    history, now, tmp_path
):
    backup = back_up(history, tmp_path / "b.duckdb", now=now).path
    with history.write() as con:
        con.execute("DELETE FROM articles")
    with pytest.raises(StorageError, match=r"is there already.*--force"):
        restore(backup, history.path.parent)
    assert counts(history)["articles"] == 0
    done = restore(backup, history.path.parent, force=True)
    assert counts(history)["articles"] == 400
    assert done.aside == history.path.with_name(history.path.name + ASIDE)
    assert counts(Database(done.aside))["articles"] == 0


def test_a_quiet_restore_makes_the_next_poll_of_each_feed_its_baseline(path, now, tmp_path):
    write_history(path, LEVELS[-1])
    backup = back_up(Database(path), tmp_path / "b.duckdb", now=now).path
    loud = restore(backup, tmp_path / "loud")
    quiet = restore(backup, tmp_path / "quiet", quietly=True)
    assert read(Database(loud.path), "SELECT baseline_at IS NULL FROM feeds") == [(False,)]
    assert read(Database(quiet.path), "SELECT baseline_at IS NULL FROM feeds") == [(True,)]


def test_a_backup_of_a_newer_tocsin_is_refused(history, now, tmp_path):
    with history.write() as con:
        con.execute("INSERT INTO schema_migrations VALUES (9999, 'later', 'x', now())")
    backup = back_up(history, tmp_path / "b.duckdb", now=now).path
    with pytest.raises(StorageError, match="newer Tocsin"):
        restore(backup, tmp_path / "other")
    assert not list((tmp_path / "other").iterdir())


_ON_A_FULL_DISK = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from storage.backup import back_up
from storage.compact import compact
from storage.database import Database
from storage.restore import restore
from tocsin.errors import StorageError

limit, data, other = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
for action in (
    lambda: back_up(Database(data), other / "full.duckdb", now=datetime(2025, 1, 27, tzinfo=UTC)),
    lambda: restore(other / "b.duckdb", data.parent, force=True),
    lambda: compact(Database(data)),
):
    try:
        action()
        print("done", flush=True)
    except StorageError as error:
        print(type(error).__name__, str(error).replace(chr(10), " "), flush=True)
"""


@pytest.mark.parametrize("limit", [4_000, 700_000])
def test_a_full_disk_is_a_clear_error_and_leaves_nothing_half(limit, history, start_child, now, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    back_up(history, other / "b.duckdb", now=now)
    before = counts(history)
    child = start_child(_ON_A_FULL_DISK, limit, history.path, other)
    for _ in range(3):
        said = child.hear()
        assert said.startswith("StorageError"), said
        assert "disk is full" in said
    child.end()
    assert counts(history) == before
    assert {each.name for each in other.iterdir()} == {"b.duckdb"}
    names = {each.name for each in history.path.parent.iterdir()}
    assert names - {"tocsin.duckdb.wal"} == {"tocsin.duckdb"}


_AS_NOBODY = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from storage.backup import back_up
from storage.database import Database
from storage.restore import restore
from tocsin.errors import StorageError

if os.getuid() == 0:
    os.setuid(65534)
data, other = Path(sys.argv[1]), Path(sys.argv[2])
for action in (
    lambda: back_up(Database(data), other, now=datetime(2025, 1, 27, tzinfo=UTC)),
    lambda: restore(other / "b.duckdb", data.parent, force=True),
):
    try:
        action()
        print("done", flush=True)
    except StorageError as error:
        print(type(error).__name__, str(error).replace(chr(10), " "), flush=True)
"""


@pytest.fixture
def open_folder():
    """A folder that other users may enter, as pytest's own are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in folder.iterdir():
        path.chmod(0o755)
    shutil.rmtree(folder)


def test_a_read_only_folder_is_a_clear_error(history, start_child, now, open_folder):
    data, other = open_folder / "data", open_folder / "other"
    data.mkdir()
    other.mkdir()
    back_up(history, other / "b.duckdb", now=now)
    shutil.copy(history.path, data)
    for path in (other / "b.duckdb", data / "tocsin.duckdb"):
        path.chmod(0o444)
    for folder in (data, other):
        folder.chmod(0o555)
    child = start_child(_AS_NOBODY, data / "tocsin.duckdb", other)
    said = [child.hear() for _ in range(2)]
    assert [each.split()[0] for each in said] == ["StorageError"] * 2, said
    assert all("may not be opened or written" in each for each in said), said
    assert [each.name for each in data.iterdir()] == ["tocsin.duckdb"]
    assert [each.name for each in other.iterdir()] == ["b.duckdb"]


def test_a_run_may_hold_the_history_and_the_backup_waits(history, hold, now, tmp_path):
    held = hold(history.path)
    patient = Database(history.path, wait=timedelta(seconds=30), sleep=lambda _: held.end())
    assert back_up(patient, tmp_path / "b.duckdb", now=now).rows > 0


# ---------------------------------------------------------------- check


def states(database):
    return {finding.check: finding.state for finding in check_history(database)}


def test_a_whole_history_passes_every_check(history, now):
    assert states(history)["published"] == "note"
    publish(history, now=now)
    found = states(history)
    assert set(found.values()) == {"ok"}
    assert found.keys() == {"live", "schema", "orphans", "doubles", "seen", "published", "files", "views",
                            "counts", "disk"}  # fmt: skip


@pytest.mark.parametrize(
    ("harm", "check", "said"),
    [
        ("DELETE FROM articles WHERE article_id = 7", "orphans", "scores"),
        ("DELETE FROM articles WHERE article_id = 390", "orphans", "1 alerts"),
        ("INSERT INTO story_articles VALUES (8888, 8888, NULL, 'run')", "orphans", "1 story_articles"),
        ("INSERT INTO seen SELECT * FROM seen LIMIT 1", "doubles", "1 seen"),
        ("INSERT INTO scores SELECT * FROM scores WHERE is_newest LIMIT 1", "doubles", "1 newest scores"),
    ],
)
def test_rows_that_do_not_fit_are_found_with_what_to_do(harm, check, said, history):
    with history.write() as con:
        con.execute(harm)
    [finding] = wrong(history)
    assert finding.check == check
    assert said in finding.detail
    assert finding.advice


@pytest.mark.parametrize("harm", ["lost", "cut", "garbled", "moved"])
def test_published_files_that_cannot_be_read_are_found(harm, history, now, tmp_path):
    publish(history, now=now)
    file = next((history.path.parent / PARQUET).glob("articles/*/*.parquet"))
    if harm == "lost":
        file.unlink()
    elif harm == "cut":
        file.write_bytes(file.read_bytes()[:-9])
    elif harm == "garbled":
        data = bytearray(file.read_bytes())
        data[40:400] = os.urandom(360)
        file.write_bytes(data)
    else:
        history.path.parent.rename(tmp_path / "moved")
        history = Database(tmp_path / "moved" / "tocsin.duckdb")
    found = wrong(history)
    assert {finding.check for finding in found} == {"published" if harm == "moved" else "files"}
    assert "tocsin publish" in found[0].advice
    publish(history, now=now, full=True)
    assert wrong(history) == []


def test_what_is_not_published_yet_is_a_note(history, now):
    publish(history, now=now)
    with history.write() as con:
        con.execute("DELETE FROM fetches WHERE run_id = 'run-3'")
    finding = next(each for each in check_history(history) if each.check == "counts")
    assert (finding.state, finding.advice) == ("note", "tocsin publish")
    assert "fetches: 400 of 399 rows" in finding.detail


def test_an_older_schema_is_a_note_and_stays_as_it_is(path):
    write_history(path, 3)
    found = {finding.check: finding for finding in check_history(Database(path))}
    assert found["schema"].state == "note"
    assert "tocsin backup" in found["schema"].advice
    with duckdb.connect(path, read_only=True) as con:
        assert con.execute("SELECT max(number) FROM schema_migrations").fetchall() == [(3,)]


def test_a_damaged_live_file_is_found(history):
    data = bytearray(history.path.read_bytes())
    for at in range(3 * 4096, len(data), 262_144):
        data[at + 5000 : at + 5100] = os.urandom(100)
    history.path.write_bytes(data)
    [finding] = wrong(history)
    assert finding.check == "live"
    assert "restore" in finding.advice


def test_a_full_disk_is_found(history, monkeypatch):
    usage = shutil.disk_usage(history.path.parent)._replace(free=1_000_000)
    monkeypatch.setattr("storage.integrity.shutil.disk_usage", lambda _: usage)
    [finding] = wrong(history)
    assert (finding.check, finding.state) == ("disk", "wrong")
