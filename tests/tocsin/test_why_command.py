"""`tocsin why`: finding the article a person means, its way, and what is said came of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from click.testing import CliRunner

from flows.feeds.identity import entry_keys
from storage.alerts import store_alerts
from storage.articles import store_articles
from storage.database import Database
from storage.decisions import store_decisions
from storage.feeds import save_feeds, save_states
from storage.folder import history_path
from storage.scores import ScoreBlock, mark_unscored, store_scores
from storage.stories import store_ties
from storage.topics import record_topics
from tocsin.cli.why import why as command
from tocsin.decisions import Decision
from tocsin.errors import StorageError
from tocsin.types import Alert, Article, Entry, Feed, FeedState, Reason, Sighting, StoryTie, Topic

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FEED = "https://user:secret@feeds.example/rss"
CABLES, SHIPS = (Topic(name=name, description="Anything at all about it.") for name in ("cables", "ships"))
BAN = Article(
    1, "https://a.example/ban?utm_source=x", "Ministry bans the app", "", "One", FEED, NOW, NOW, "en"
)
COPY = replace(
    BAN, article_id=2, url="https://b.example/2", title="Ministry bans app, says wire", outlet="Two"
)
PLAIN = replace(BAN, article_id=3, url="https://a.example/3", title="Pool reopens", first_seen_at=NOW)
GERMAN = replace(BAN, article_id=4, url=None, title="Schiff beschädigt Kabel", language="de")


def alert(**changes):
    reasons = (Reason("cables", 0.9, "Because."),)
    return replace(Alert("a1", 1, "policy", BAN.title, None, "One", NOW, NOW, reasons, story_id=1), **changes)


def decision(article_id=1, rule="rings", **changes):
    named = Decision(article_id, "cables", CABLES.version, "policy", 1, rule, 0.9, 0.5, NOW)
    return replace(named, explanation=f"Said by {rule}.", **changes)


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


@pytest.fixture
def fill(data):
    """Store four articles with their scores, two of them one story, and what else a test gives."""

    def store(*, alerts=(), decisions=(), scores=((0.9, 0.1), (0.6, 0.1), (0.1, 0.2))):
        with Database(history_path(data)).write() as con:
            save_feeds(con, [Feed(FEED, title="The Feed")], NOW)
            save_states(con, [FeedState(FEED, baseline_at=NOW - timedelta(days=9))])
            record_topics(con, [CABLES, SHIPS], run_id="run", now=NOW)
            keys = {entry_keys(FEED, Entry("", url=BAN.url)).url: 1}
            seen = [
                Sighting(url, 1, None, BAN.url, BAN.title, NOW, NOW) for url in (FEED, "https://c.example/f")
            ]
            store_articles(con, "run", articles=[BAN, COPY, PLAIN, GERMAN], sightings=seen, keys=keys)
            store_ties(con, "run", [StoryTie(1, 1), StoryTie(2, 1, 0.9), StoryTie(3, 3)])
            names, versions = ["cables", "ships"], [CABLES.version, SHIPS.version]
            values = np.array(scores, np.float32)
            store_scores(con, ScoreBlock([1, 2, 3], names, versions, "enc", ["h", "h"], values), NOW)
            mark_unscored(con, "enc", [4], reason="language", now=NOW)
            store_decisions(con, "run", decisions)
            store_alerts(con, "run", alerts)

    return store


@pytest.fixture
def ask(data):
    def ask(*arguments):
        return CliRunner().invoke(command, [*arguments, "--data", str(data)])

    return ask


@pytest.mark.parametrize(
    "given",
    [
        ("1",),
        ("https://a.example/ban?utm_source=x",),
        ("https://www.a.example/ban/",),  # another spelling of the address is the same identity
        ("Ministry bans the app",),
        ("the", "MINISTRY", "app"),
    ],
)
def test_an_article_is_found_by_id_by_address_and_by_words(fill, ask, given):
    fill()
    result = ask(*given, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["article"]["article_id"] == 1


def test_words_that_fit_several_articles_list_them_and_exit_with_two(fill, ask):
    fill()
    result = ask("ministry")
    assert result.exit_code == 2
    assert "several articles fit" in result.stderr
    assert "1  Ministry bans the app (One)" in result.stderr
    assert "2  Ministry bans app, says wire (Two)" in result.stderr


@pytest.mark.parametrize(
    "given", ["99", "https://nowhere.example/", "unheard of", "99999999999999999999999", " ", "$value '; --"]
)
def test_what_no_article_fits_is_an_error_with_exit_code_one(fill, ask, given):
    fill()
    result = ask(given)
    assert isinstance(result.exception, StorageError)
    assert result.exception.exit_code == 1
    assert given in str(result.exception)


def test_of_an_address_that_never_came_the_feeds_of_its_site_are_named_with_their_health(fill, ask, data):
    fill()
    with Database(history_path(data)).write() as con:
        con.execute("UPDATE feeds SET failures = 4, succeeded_at = $now, polled_at = $now", {"now": NOW})
        con.execute("UPDATE feeds SET last_message = 'Server answered 503'")
    said = str(ask("https://a.example/never-came").exception)
    assert (
        "comes from https://feeds.example/rss (failing, polled 2026-11-20 12:00 UTC: Server answered 503)"
        in said
    )
    assert "secret" not in said
    assert "comes from" not in str(ask("https://nowhere.example/").exception)


def test_the_whole_way_is_told_without_credentials(fill, ask):
    fill(alerts=[alert()], decisions=[decision(alert_id="a1")])
    result = ask("1")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "secret" not in result.stdout
    assert lines[0] == "article Ministry bans the app"
    assert lines[2].startswith(
        "feed The Feed (https://feeds.example/rss), also in 1 other feed; first polled"
    )
    assert "language en" in lines
    assert "story 1: 2 articles in One, Two" in lines
    assert "scores cables 0.900, threshold 0.500: rings - Said by rings." in lines
    assert lines[-1] == "outcome It waits to be told to policy on cables."


HELD = NOW + timedelta(hours=9)


@pytest.mark.parametrize(
    ("article", "facts", "outcome", "said"),
    [
        (
            "1",
            {"alerts": [alert(state="delivered")], "decisions": [decision()]},
            "told",
            "It was told to policy on",
        ),
        ("1", {"alerts": [alert(hold_until=HELD)]}, "waits", "not before 2026-11-20 21:00 UTC"),
        ("1", {"alerts": [alert(state="failed")]}, "failed", "and is given up"),
        (
            "2",
            {"alerts": [alert(state="delivered")], "decisions": [decision(2, "story_told")]},
            "told_with_story",
            "Its story was told to policy",
        ),
        (
            "1",
            {"decisions": [decision(rule="few_outlets")]},
            "few_outlets",
            "No alert. cables: Said by few_outlets.",
        ),
        ("2", {"alerts": [alert()], "decisions": [decision(2, "too_old")]}, "too_old", "Said by too_old."),
        ("1", {}, "not_recorded", "no decision is recorded"),
        ("3", {}, "not_close", "the nearest is ships with 0.200, threshold 0.500."),
        ("4", {}, "unscored", "the encoder does not cover its language"),
    ],
)
def test_what_came_of_it_is_said_in_a_sentence(fill, ask, article, facts, outcome, said):
    fill(**facts)
    result = json.loads(ask(article, "--json").stdout)
    assert result["outcome"] == outcome
    assert said in result["explanation"]
    assert ask(article).stdout.rstrip().endswith(result["explanation"])


def test_a_headline_cannot_write_to_the_terminal(fill, ask, monkeypatch):
    monkeypatch.setattr(f"{__name__}.BAN", replace(BAN, title="Ministry \x1b[31mbans\x1b[0m the app"))
    fill()
    assert "\x1b" not in ask("1").stdout + ask("ministry").stderr


def test_a_topic_over_its_threshold_is_the_one_that_is_explained(fill, ask):
    under = replace(decision(rule="below_threshold"), topic="ships", score=0.45)
    fill(decisions=[under, decision(rule="low_tier")], scores=((0.9, 0.45), (0.6, 0.1), (0.1, 0.2)))
    result = json.loads(ask("1", "--json").stdout)
    assert result["outcome"] == "low_tier"
    assert [topic["topic"] for topic in result["topics"]] == ["cables", "ships"]
