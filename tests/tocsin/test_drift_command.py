"""`tocsin drift`: table, JSON, days, and what is said where there is too little data."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from click.testing import CliRunner

from storage.articles import store_articles
from storage.database import Database
from storage.folder import history_path
from storage.scores import ScoreBlock, store_scores
from storage.topics import record_topics
from tocsin.cli.drift import drift as command
from tocsin.errors import StorageError
from tocsin.types import Article, Topic

NOW = datetime.now(UTC)
TOPIC = Topic(name="cables", description="Cables under the sea.")


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


@pytest.fixture
def history(data):
    """Fill a history: each day so many articles; of the last week twice as many match."""

    def fill(*, each_day):
        articles, values = [], []
        for age in range(35):
            for number in range(each_day):
                seen_at = NOW - timedelta(days=age)
                outlet = "B" if age < 7 and number % 2 else "A"
                articles.append(
                    Article(
                        age * 1000 + number, None, f"T{age}-{number}", "", outlet, "f", None, seen_at, "en"
                    )
                )
                values.append(0.9 if number % (3 if age < 7 else 6) == 0 else 0.005)
        block = ScoreBlock(
            [article.article_id for article in articles],
            [TOPIC.name],
            [TOPIC.version],
            "enc",
            ["zero_shot-1"],
            np.array(values, np.float32)[:, None],
        )
        with Database(history_path(data)).write() as con:
            record_topics(con, [TOPIC], run_id="run", now=NOW)
            store_articles(con, "run", articles=articles, sightings=[], keys={})
            store_scores(con, block, NOW)

    return fill


@pytest.fixture
def run(data):
    def run(*arguments, code=0):
        done = CliRunner().invoke(command, ["--data", str(data), *arguments], prog_name="tocsin drift")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return done

    return run


def test_what_moved_and_what_did_not_is_told(history, run):
    history(each_day=60)
    found = json.loads(run("--json").stdout)
    verdicts = {each["measure"]: each["verdict"] for each in found["measures"]}
    assert verdicts == {"scores of cables": "moved a little", "languages": "steady", "outlets": "moved"}
    (scores,) = [each for each in found["measures"] if each["measure"] == "scores of cables"]
    assert (scores["matches_before"], scores["matches_now"]) == (28 * 10, 7 * 20)
    assert (found["articles_before"], found["articles_now"]) == (28 * 60, 7 * 60)
    assert datetime.fromisoformat(found["since"]).date() == (NOW - timedelta(days=6)).date()


def test_the_table_says_how_the_shares_moved(history, run):
    history(each_day=60)
    shown = run().stdout
    assert "matches 16.7% → 33.3%" in shown
    assert "A 100.0% → 50.0%" in shown
    assert "420 articles on 7 days" in shown


def test_too_little_data_is_admitted(history, run):
    history(each_day=4)
    shown = run().stdout
    assert shown.count("too little data") == 3
    assert "cannot be told yet" in shown


@pytest.mark.parametrize("value", ["14d", (NOW - timedelta(days=13)).date().isoformat()])
def test_the_first_day_may_be_a_date_or_a_number_of_days(history, run, value):
    history(each_day=4)
    found = json.loads(run("--json", "--since", value).stdout)
    assert found["articles_now"] == 14 * 4


@pytest.mark.parametrize("value", ["soon", "0d", "-1d", "2999-01-01", "2026-13-01"])
def test_a_day_that_cannot_be_is_refused(history, run, value):
    history(each_day=1)
    assert "--since" in run("--since", value, code=2).stderr


def test_without_a_history_the_way_to_one_is_named(run):
    with pytest.raises(StorageError, match="no history yet"):
        run()
