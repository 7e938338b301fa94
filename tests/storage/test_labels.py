"""Labels follow the ballots: added, turned round, taken back, and the same after a repeat."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.alerts import store_alerts
from storage.articles import store_articles
from storage.labels import LabelledText, load_labels, record_ballots, voted_channels
from storage.scores import DIMENSIONS, store_embeddings
from tocsin.types import Ballot

PEOPLE = ["U1", "U2", "U3"]
votes = st.dictionaries(st.sampled_from(PEOPLE), st.booleans()).map(lambda said: tuple(sorted(said.items())))


def ballot(*said, alert_id="alert-1", channel="#policy"):
    return Ballot(alert_id, channel, said)


@pytest.fixture
def stored(con, make_article, make_alert):
    """An article told to two channels, in alerts that name two topics."""
    store_articles(con, "run", articles=[make_article()], sightings=[], keys={})
    store_alerts(con, "run", [make_alert(), make_alert("alert-2", channel="#other")])
    return con


def held(con):
    rows = con.execute("SELECT topic, labelled_by, positive, alert_id FROM labels ORDER BY ALL").fetchall()
    return {tuple(row) for row in rows}


def test_a_vote_counts_for_every_topic_that_the_alert_names(stored, now):
    assert record_ballots(stored, [ballot(("U1", True))], now) == (2, 0)
    assert stored.execute("SELECT * FROM labels ORDER BY topic").fetchall() == [
        (1, topic, True, "U1", now, "#policy", "alert-1") for topic in ("export_controls", "us_china_rivalry")
    ]


def test_a_vote_can_be_turned_round_and_taken_back_and_when_it_was_made_stays(stored, now):
    record_ballots(stored, [ballot(("U1", True), ("U2", True))], now)
    later = now + timedelta(hours=1)
    assert record_ballots(stored, [ballot(("U1", True), ("U2", False))], later) == (2, 2)
    times = stored.execute("SELECT DISTINCT labelled_by, labelled_at FROM labels ORDER BY 1").fetchall()
    assert times == [("U1", now), ("U2", later)]
    assert record_ballots(stored, [ballot()], later) == (0, 4)
    assert held(stored) == set()


def test_alerts_without_a_ballot_keep_their_labels_and_unknown_ones_are_passed_over(stored, now):
    record_ballots(stored, [ballot(("U1", True)), ballot(("U1", False), alert_id="alert-2")], now)
    assert record_ballots(stored, [ballot(), ballot(("U9", True), alert_id="unknown")], now) == (0, 2)
    assert {row[3] for row in held(stored)} == {"alert-2"}


@settings(max_examples=40, deadline=None)
@given(readings=st.lists(votes, min_size=1, max_size=5))
def test_labels_are_always_what_the_last_reading_said_and_a_repeat_changes_nothing(
    undone, make_alert, now, readings
):
    with undone() as con:
        store_alerts(con, "run", [make_alert()])
        for said in readings:
            record_ballots(con, [ballot(*said)], now)
            assert record_ballots(con, [ballot(*said)], now) == (0, 0)
        topics = ("export_controls", "us_china_rivalry")
        expected = {(topic, person, yes, "alert-1") for topic in topics for person, yes in readings[-1]}
        assert held(con) == expected


@pytest.mark.parametrize(
    ("said", "positive"),
    [
        ([("U1", True)], True),
        ([("U1", True), ("U2", False), ("U3", False)], False),
        ([("U1", True), ("U2", False)], None),
    ],
)
def test_readers_get_the_majoritys_word(stored, make_article, now, said, positive):
    record_ballots(stored, [ballot(*said)], now)
    article = make_article()
    labels = load_labels(stored, ["export_controls", "us_china_rivalry"])
    if positive is None:
        assert labels == {}
    else:
        assert labels["export_controls"] == [LabelledText(article.title, article.summary, positive)]
        assert set(labels) == {"export_controls", "us_china_rivalry"}


def test_channels_are_those_that_were_told_of_articles_lately(stored, make_alert, now):
    store_alerts(stored, "run", [make_alert("ops", article_id=9, channel="#ops", reasons=())])
    assert voted_channels(stored, now) == []
    stored.execute("UPDATE alerts SET state = 'delivered', delivered_at = ?", [now])
    assert voted_channels(stored, now) == ["#other", "#policy"]
    assert voted_channels(stored, now + timedelta(seconds=1)) == []


def vote_on(con, make_article, make_alert, said, now):
    """Store an article for each yes or no, each judged a minute after the one before."""
    for number, positive in enumerate(said, start=10):
        store_articles(con, "run", articles=[make_article(number)], sightings=[], keys={})
        store_alerts(con, "run", [make_alert(f"a-{number}", article_id=number)])
        later = now + timedelta(minutes=number)
        record_ballots(con, [ballot(("U1", positive), alert_id=f"a-{number}")], later)


def test_readers_get_the_newest_of_each_answer_and_only_of_the_topics_they_ask_for(
    con, make_article, make_alert, now
):
    vote_on(con, make_article, make_alert, [False, False, True, True, True, True], now)
    found = load_labels(con, ["export_controls"], most=2)
    assert list(found) == ["export_controls"]
    assert [label.positive for label in found["export_controls"]] == [False, False, True, True]
    newest = con.execute("SELECT title FROM articles WHERE article_id >= 14 ORDER BY article_id").fetchall()
    assert [(label.title,) for label in found["export_controls"]][2:] == newest
    assert load_labels(con, ["nobody_judged"]) == load_labels(con, []) == {}


def test_readers_get_the_vector_of_the_encoder_they_name(con, make_article, make_alert, now):
    vote_on(con, make_article, make_alert, [True], now)
    unit = np.eye(1, DIMENSIONS, dtype=np.float32)
    store_embeddings(con, "enc-1", [10], unit)
    (label,) = load_labels(con, ["export_controls"], revision="enc-1")["export_controls"]
    np.testing.assert_array_equal(label.embedding, unit[0])
    (label,) = load_labels(con, ["export_controls"], revision="enc-2")["export_controls"]
    assert label.embedding is None
