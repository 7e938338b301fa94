"""Histories of every level of the schema: brought forward, no row is lost and everything answers."""

import sys
from pathlib import Path

import duckdb
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from old_histories import LEVELS, ROWS, WHEN, read_rows, write_history

from storage.articles import find_known
from storage.database import Database
from storage.history_file import read_published
from storage.integrity import check_history
from storage.migrate import load_migrations
from storage.publish import publish

pytestmark = pytest.mark.duckdb_file("old files")

# Histories in the world were made by these, so their text never changes again.
RELEASED = {
    1: "1be4880a1e85b254",
    2: "1d2df9668fb967ac",
    3: "9e2862dcd99cf110",
    4: "9562895fc752966c",
    5: "72e2f104fb206f44",
    6: "d351e203eadf90b1",
    7: "22288d262004984e",
    8: "a34c272bd2d17f39",
    9: "507b027c8f892fbc",
    10: "4a5de14375dc6dc0",
    11: "9c2545f8adda7bd8",
    12: "6ed809b30abb79dd",
    13: "ae5bb27b6f8bc35a",
    14: "4397568f7fc32ee3",
    15: "afb46bb91e9a8865",
    16: "775af956db8cf102",
    17: "cef148025ec42d24",
}


def test_what_was_released_is_never_edited():
    text = {each.number: each.checksum[:16] for each in load_migrations() if each.number in RELEASED}
    assert text == RELEASED


def test_the_rows_of_these_histories_cover_every_table_that_holds_what_people_or_runs_made(con):
    tables = con.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database()"
    ).fetchall()
    made_by_care = {"schema_migrations", "publication_marks", "pruned_feed_days", "pruned_hours"}
    assert ROWS.keys() == {name for (name,) in tables} - made_by_care


@pytest.mark.parametrize("level", LEVELS)
def test_a_history_of_any_level_keeps_its_rows_and_answers_every_view(level, path):
    wrote = write_history(path, level)
    database = Database(path)
    with database.read() as con:
        assert read_rows(con, {table: names for table, (names, _) in wrote.items()}) == wrote
        views = con.execute(
            "SELECT view_name FROM duckdb_views() WHERE database_name = current_database() AND NOT internal"
        ).fetchall()
        for (name,) in views:
            con.execute(f"FROM {name}").fetchall()
        assert con.execute("SELECT count(*) FROM matches").fetchall() == [(3,)]
        assert con.execute("SELECT sum(articles), sum(matches) FROM topic_trend").fetchall() == [(5, 3)]
        assert find_known(con, [101, 999]) == {101: 1}
    publish(database, now=WHEN)
    with read_published(path.parent) as con:
        assert con.execute("SELECT count(*) FROM matches").fetchall() == [(3,)]
    assert [each for each in check_history(database) if each.state == "wrong"] == []


def test_a_history_that_is_not_brought_forward_is_not_changed_by_looking(path):
    write_history(path, 1)
    with Database(path).look() as con:
        assert con.execute("SELECT max(number) FROM schema_migrations").fetchall() == [(1,)]
    with duckdb.connect(path, read_only=True) as con:
        assert con.execute("SELECT max(number) FROM schema_migrations").fetchall() == [(1,)]
