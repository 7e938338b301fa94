"""What people said of alerts moves the next run's scores, and only those of the topic they spoke of."""

import io
import re
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_network
from itertools import count

import numpy as np
import pytest
from rich.console import Console

from flows.alerts.console import ConsoleOutlet
from flows.feeds.options import PollOptions
from flows.labels import learn_labels
from flows.newsroom import Newsroom
from flows.pipeline import run_steps
from flows.run import MonitorOptions, MonitorRun
from models.encode import load_encoder
from models.topics import default_topics
from storage.alerts import store_alerts
from storage.database import Database
from storage.labels import record_ballots
from tocsin.types import Alert, Ballot, Reason, Topic

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
FERRIES = Topic(
    name="river_ferries",
    description="Ferries and other passenger boats on rivers: routes, prices, accidents.",
)
CABLES = Topic(name="cables", description="Cables under the sea: cuts, repairs, sabotage.")
TOPICS = (FERRIES, CABLES, default_topics()[0])
ITEM = (
    "<item><title>{0}</title><link>https://f.example/{1}</link><guid>{1}</guid><pubDate>{2}</pubDate></item>"
)
TOLD = (
    "Car ferry to the islands sails again after repairs",
    "River ferry raises its prices for commuters",
    "Rowing club wins the boat race on the river",
    "Canoe crews meet for the river race on Sunday",
)
NEXT = ("Rowers win the eights race on the river", "New passenger ferry crosses the river", "Ten soups")


@pytest.fixture(autouse=True)
def _encoder_loaded_once(monkeypatch):
    monkeypatch.setattr("models.encode.load_encoder", cache(load_encoder))


@pytest.fixture
def run_over(tmp_path):
    """Return a function that serves headlines in a feed and makes a run over it, an hour after the last."""
    hours = count()

    def run_once(name, *titles):
        now = NOON + timedelta(hours=next(hours))
        items = "".join(
            ITEM.format(title, abs(hash(title)), "Sun, 22 Nov 2026 11:00:00 GMT") for title in titles
        )
        body = f"<rss version='2.0'><channel><title>Fresh</title>{items}</channel></rss>"
        with Newsroom(anchor=NOON, port=0) as server:
            server.publish("/world-desk/rss.xml", body.encode(), content_type="application/rss+xml")
            feed = next(feed for feed in server.feeds if "world-desk" in feed.url)
            options = MonitorOptions(
                feeds=(feed,),
                topics=TOPICS,
                channel="console",
                operator_channel="console",
                poll=PollOptions(allow_networks=(ip_network("127.0.0.1/32"),)),
                baseline=False,
                poll_all=True,
            )
            run = MonitorRun(
                db=Database(tmp_path / f"{name}.duckdb"),
                options=options,
                outlet_for=lambda _: ConsoleOutlet(Console(file=io.StringIO())),
                clock=lambda: now,
                run_id=f"run-{now:%H}",
            )
            run_steps(run)
        return run.db

    return run_once


def vote(db, topic, *, relevant):
    """Say yes to the articles whose headline holds the word, and no to the others."""
    with db.write() as con:
        rows = con.execute("SELECT article_id, title FROM articles ORDER BY title").fetchall()
        for article_id, title in rows:
            alert = Alert(
                f"alert-{article_id}",
                article_id,
                "c",
                title,
                None,
                "X",
                NOON,
                NOON,
                (Reason(topic, 0.9, ""),),
            )
            store_alerts(con, "run", [alert])
            record_ballots(con, [Ballot(alert.alert_id, "c", (("U1", relevant in title),))], NOON)


def scores(db):
    with db.read() as con:
        found = con.execute(
            "SELECT title, topic, score, head FROM scores JOIN articles USING (article_id) WHERE is_newest"
        ).fetchall()
    return {(title, topic): (score, head) for title, topic, score, head in found}


def test_labels_change_the_next_runs_scores_of_their_topic_and_of_no_other(run_over):
    run_over("untaught", *TOLD)
    db = run_over("taught", *TOLD)
    vote(db, FERRIES.name, relevant="ferry")
    before, after = scores(run_over("untaught", *NEXT)), scores(run_over("taught", *NEXT))
    rowing, ferry = ((title, FERRIES.name) for title in NEXT[:2])
    assert after[rowing][0] < before[rowing][0] - 0.3
    assert after[ferry][0] > 0.9
    assert re.fullmatch("few_label-[0-9]+[+]zero_shot-2[+]labels-4-[0-9a-f]{6}", after[rowing][1])
    others = [pair for pair in after if pair[1] != FERRIES.name]
    assert len(others) == 2 * (len(TOLD) + len(NEXT))
    for pair in others:  # to rounding: heads of one kind are one matrix product
        assert after[pair][0] == pytest.approx(before[pair][0], abs=1e-6)
        assert after[pair][1] == before[pair][1]
    told = {pair: found for pair, found in after.items() if pair[0] in TOLD}
    assert told == {pair: before[pair] for pair in told}  # what was scored before stays as it was


def test_a_label_comes_with_the_text_that_was_judged_and_its_stored_vector(run_over, encoder_once):
    db = run_over("taught", *TOLD)
    vote(db, FERRIES.name, relevant="ferry")
    labels = learn_labels(db, [FERRIES.name], revision=encoder_once.revision)
    assert {label.text: label.positive for label in labels[FERRIES.name]} == dict(
        zip(TOLD, (True, True, False, False), strict=True)
    )
    for label in labels[FERRIES.name]:
        np.testing.assert_array_equal(label.vector, encoder_once.embed([label.text])[0])
    assert learn_labels(db, [CABLES.name], revision=encoder_once.revision) == {}


@pytest.fixture
def encoder_once():
    return load_encoder()
