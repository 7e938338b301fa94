"""docs/views.md: three worked questions for each view, which are answered from a published history."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from models.topics import default_topics
from storage.articles import store_articles
from storage.database import Database
from storage.history_file import read_published
from storage.publish import publish
from storage.scores import ScoreBlock, store_scores
from storage.stories import store_ties
from storage.topics import record_topics
from tocsin.types import StoryTie

PAGE = (Path(__file__).parents[2] / "docs" / "views.md").read_text(encoding="utf-8")
SECTIONS = {part.split("`")[1]: part for part in re.split(r"\n### ", PAGE)[1:]}
QUESTIONS = [
    pytest.param(sql, id=f"{view}-{number}")
    for view, part in SECTIONS.items()
    for number, sql in enumerate(re.findall(r"```sql\n(.*?)```", part, re.DOTALL))
]
PROMISED = [
    "articles",
    "stories",
    "matches",
    "alerts",
    "feed_health",
    "topic_hourly",
    "topic_daily",
    "topic_trend",
    "outlet_daily",
    "co_topics",
    "top_stories",
]


@pytest.fixture(scope="module")
def published(tmp_path_factory, place_history, make_article):
    """Publish sixty days of news of two outlets for the default topics, up to now; give the folder."""
    database = Database(place_history(tmp_path_factory.mktemp("views")))
    now = datetime.now(UTC)
    articles = [
        make_article(number, first_seen_at=now - timedelta(hours=7 * number), outlet=f"Outlet {number % 2}")
        for number in range(200)
    ]
    ids = [article.article_id for article in articles]
    topics = default_topics()
    names, versions = [topic.name for topic in topics], [topic.version for topic in topics]
    values = np.random.default_rng(1).random((len(ids), len(topics))).astype(np.float32)
    with database.write() as con:
        record_topics(con, topics, run_id="run", now=now)
        store_articles(con, "run", articles=articles, sightings=(), keys={})
        store_scores(con, ScoreBlock(ids, names, versions, "encoder", ["head"] * len(names), values), now)
        store_ties(con, "run", [StoryTie(number, number - number % 2) for number in ids])
    publish(database, now=now)
    return database.path.parent


@pytest.mark.parametrize("view", PROMISED)
def test_each_promised_view_has_three_worked_questions_that_ask_it(view):
    asked = re.findall(r"```sql\n(-- [^\n]*\?\n.*?)```", SECTIONS[view], re.DOTALL)
    assert len(asked) == 3
    assert sum(bool(re.search(rf"\b(FROM|JOIN) {view}\b", sql)) for sql in asked) >= 2


@pytest.mark.parametrize("sql", QUESTIONS)
def test_a_worked_question_is_answered(sql, published):
    with read_published(published) as con:
        con.execute(sql).fetchall()


@pytest.mark.parametrize("view", [view for view in PROMISED if view not in ("alerts", "feed_health")])
def test_each_promised_view_has_rows(view, published):
    with read_published(published) as con:
        assert con.execute(f"SELECT count(*) FROM {view}").fetchall()[0][0] > 0
