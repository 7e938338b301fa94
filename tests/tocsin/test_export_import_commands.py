"""`tocsin export` and `tocsin import`: what goes out comes back, once, in every format, and rings nobody."""

import csv
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from click.testing import CliRunner

from storage.articles import find_known, store_articles
from storage.database import Database
from storage.folder import history_path
from storage.history_file import read_published
from storage.scores import ScoreBlock, store_scores
from storage.topics import record_topics
from tocsin.cli.export import export
from tocsin.cli.import_ import import_
from tocsin.errors import SettingsError, StorageError
from tocsin.types import Article, Sighting, Topic

NOW = datetime(2026, 11, 20, 12, 30, 15, 123456, tzinfo=UTC)
TOPICS = [Topic(name=name, description="Anything at all about it.") for name in ("cables", "ships")]
FEED = "https://user:secret@feeds.example/rss"


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    articles = [
        Article(
            1, "https://x.example/1", 'Says "no", twice', "One,\ntwo; ünï 芯片", "A", FEED, None, NOW, "en"
        ),
        Article(2, None, "NULL", "", "B", FEED, NOW, NOW - timedelta(days=40), None, "[1]"),
        Article(4, None, "", "", "", FEED, None, NOW - timedelta(days=3), None, None),
        Article(3, "https://x.example/3", "{}", "'", "B", FEED, NOW, NOW - timedelta(days=2), "de"),
    ]
    sightings = [
        Sighting(FEED, 1, "g1", "https://x.example/1", "Says no", None, NOW),
        Sighting("https://b.example/rss", 1, None, None, 'Says "no", twice', NOW, NOW + timedelta(hours=1)),
        Sighting(FEED, 3, "g3", None, "{}", None, NOW),
    ]
    values = np.array([[0.9, 0.1], [0.8, 0.7], [0.2, 0.3]], np.float32)
    with Database(history_path(tmp_path / "data")).write() as con:
        record_topics(con, TOPICS, run_id="run", now=NOW)
        keys = {101: 1, 102: 1, -5: 2, 103: 3}
        store_articles(con, "run", articles=articles, sightings=sightings, keys=keys)
        block = ScoreBlock(
            [1, 2, 3], ["cables", "ships"], [t.version for t in TOPICS], "enc", ["h"] * 2, values
        )
        store_scores(con, block, NOW)
    return tmp_path / "data"


def run(command, *arguments):
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def contents(folder):
    """Everything but the ids of runs, with the addresses of feeds as they may leave the house."""
    shown = "* EXCLUDE (run_id) REPLACE (replace(feed_url, 'user:secret@', '') AS feed_url)"
    with Database(history_path(folder)).read() as con:
        return [
            con.execute(f"SELECT {columns} FROM {table} ORDER BY ALL").fetchall()
            for table, columns in (("articles", shown), ("entries", shown), ("seen", "*"))
        ]


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_a_whole_history_comes_back_once_and_without_secrets(data, tmp_path, suffix):
    file = tmp_path / f"it's all.{suffix}"
    assert "4 articles" in run(export, str(file))
    assert b"secret" not in file.read_bytes()
    other = tmp_path / "other"
    first = json.loads(run(import_, str(file), "--json", "--data", str(other)))
    assert first == {"articles": 4, "new_articles": 4, "new_entries": 3, "new_scores": 0}
    assert contents(other) == contents(data)
    with Database(history_path(other)).read() as con:
        assert find_known(con, [101, 102, -5, 103, 7]) == {101: 1, 102: 1, -5: 2, 103: 3}
    again = json.loads(run(import_, str(file), "--json", "--data", str(other)))
    assert again == {"articles": 4, "new_articles": 0, "new_entries": 0, "new_scores": 0}
    assert contents(other) == contents(data)
    with Database(history_path(other)).read() as con:
        assert con.execute("SELECT count(*) FROM alerts").fetchall() == [(0,)]
    with read_published(other) as con:
        assert con.execute("SELECT count(*) FROM articles").fetchall() == [(4,)]


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_matches_of_a_topic_come_back_as_matches(data, tmp_path, suffix):
    file, other = tmp_path / f"cables.{suffix}", tmp_path / "other"
    assert "2 matches" in run(export, str(file), "--topic", "cables")
    for added in (2, 0):
        done = json.loads(run(import_, str(file), "--json", "--data", str(other)))
        assert (done["articles"], done["new_articles"], done["new_scores"]) == (2, added, added)
    columns = "article_id, topic, score, threshold, head, day, title"
    query = f"SELECT {columns} FROM matches WHERE topic = 'cables' ORDER BY 1"
    with Database(history_path(other)).read() as con:
        found = con.execute(query).fetchall()
        assert con.execute("SELECT count(*) FROM current_topics").fetchall() == [(0,)]
    with Database(history_path(data)).read() as con:
        assert found == con.execute(query).fetchall()


def test_an_imported_score_does_not_displace_the_one_in_use(data, tmp_path):
    run(export, "old.parquet", "--what", "matches")
    changed = TOPICS[0].model_copy(update={"threshold": 0.95})
    with Database(history_path(data)).write() as con:
        record_topics(con, [changed], run_id="run", now=NOW)
        block = ScoreBlock(
            [1, 2, 3], ["cables"], [changed.version], "enc", ["h"], np.full((3, 1), 0.5, np.float32)
        )
        store_scores(con, block, NOW)
        con.execute("DELETE FROM scores WHERE NOT is_newest")
    done = json.loads(run(import_, "old.parquet", "--json"))
    assert (done["new_articles"], done["new_scores"]) == (0, 2)
    with Database(history_path(data)).read() as con:
        assert con.execute(
            "SELECT count(*) FROM scores WHERE is_newest AND topic = 'cables' AND score = 0.5"
        ).fetchall() == [(3,)]


def test_a_span_of_days_can_be_chosen_and_files_are_plain(data, tmp_path):
    assert "3 articles" in run(export, "new.csv", "--since", "2026-11-01")
    with (tmp_path / "new.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["article_id"] for row in rows] == ["4", "3", "1"]
    assert json.loads(rows[2]["seen"]) == [101, 102]
    run(export, "new.jsonl", "--since", "2026-11-01")
    lines = (tmp_path / "new.jsonl").read_text(encoding="utf-8").splitlines()
    assert [len(json.loads(line)["entries"]) for line in lines] == [0, 1, 2]


def test_what_is_no_export_is_refused_and_nothing_is_stored(data, tmp_path):
    (tmp_path / "a.csv").write_text("title,url\nx,y\n", encoding="utf-8")
    (tmp_path / "a.parquet").write_bytes(b"nonsense")
    for name, message in (
        ("a.csv", "it lacks article_id"),
        ("a.parquet", "cannot be read as parquet"),
        ("none.jsonl", "there is no such file"),
        ("a.xlsx", r"\.parquet, \.csv or \.jsonl"),
    ):
        with pytest.raises(SettingsError, match=message):
            CliRunner().invoke(import_, [name], catch_exceptions=False)
    before = contents(data)
    with pytest.raises(SettingsError, match="name the file"):
        CliRunner().invoke(export, ["a.txt"], catch_exceptions=False)
    assert contents(data) == before
    assert CliRunner().invoke(export, ["a.csv", "--what", "articles", "--topic", "cables"]).exit_code == 2


def test_a_file_that_cannot_be_written_leaves_nothing_behind(data, tmp_path):
    with pytest.raises(StorageError):
        CliRunner().invoke(export, [str(tmp_path / "no folder" / "a.csv")], catch_exceptions=False)
    assert not list(tmp_path.glob("**/*.new"))
