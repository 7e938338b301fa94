"""Pruning and compaction: what was seen, told or labelled stays, and no failure halves a file."""

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from care import DAY, counts, read, trends, wrong

from storage.articles import find_known, store_articles
from storage.compact import compact
from storage.history_file import PARQUET, read_published
from storage.marks import marked_months
from storage.prune import KINDS, PruneOrder, prune
from storage.publish import publish


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


@pytest.mark.duckdb_file("its size; test_lake.py has the other")
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
        history.path.name,
        "history.duckdb",
        PARQUET,
    }
